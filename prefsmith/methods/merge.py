"""A trained adapter and its base as one plain model, compared with the two before it is written."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Literal, cast

import torch
from torch import nn

from prefsmith.config import ModelConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.render import Renderer
from prefsmith.errors import ConfigError, DataError
from prefsmith.evaluate.reader import result_of
from prefsmith.model import adapters, quantize
from prefsmith.model.load import Loaded, digest, stored_dtype
from prefsmith.model.merge import ROUNDED_TOLERANCE, TOLERANCE, Drift, Text, merge, refuse_drift, write_merged
from prefsmith.records import Group, Message
from prefsmith.report.card import Merge, merged_card
from prefsmith.report.run import RecordedRun, read_run
from prefsmith.train.findings import Sample

Precision = Literal["base", "float32", "bfloat16", "float16"]

TEXT_TOKENS = 256
"""Most tokens of a text on which base and adapter are compared with the merged model."""
RANDOM_TEXTS, RANDOM_TOKENS = 8, 64
"""How many sequences of random ids are compared where there are no texts, and how long they are."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged, how far it drifted, and where it is.

    Args:
        out: the folder that was written; None where nothing was to be written.
        base: folder or hub id of the model that the adapter is for.
        adapter: what it is, in a few words.
        dtype: precision of the files.
        texts: what the two were compared on.
        drift: how far the merged model is from base and adapter.
        tolerance: the largest drift that is taken, in nats.
    """

    out: Path | None
    base: str
    adapter: str
    dtype: str
    texts: str
    drift: Drift
    tolerance: float

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {**asdict(self), "out": None if self.out is None else str(self.out)}


def merge_adapter(
    path: str,
    out: Path,
    *,
    base: str | None = None,
    dtype: Precision = "base",
    tolerance: float | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    dry_run: bool = False,
) -> Merged:
    """Merge an adapter into its base and write the model, unless it is another one than the two apart.

    Args:
        path: a run's folder, or an adapter's.
        out: folder to write; nothing is there yet.
        base: the model that the adapter is for. Default: what the run, or the adapter's folder, names.
        dtype: precision of the files; `base` is that of the base's own.
        tolerance: largest drift of a logit or a log-probability, in nats. Default: 1e-3, or 0.1 below float32.
        device: `auto` takes a GPU where there is one.
        trust_remote_code: run code that comes with the model.
        dry_run: compare, and write nothing.

    Raises:
        ConfigError: there is no adapter, its base is another one, it cannot be merged, or the folder cannot be written.
        TrainingError: the merged model drifted further than the tolerance.
    """
    _refuse_existing(out)
    folder = _adapter_folder(path)
    run = read_run(place) if ((place := Path(path).expanduser()) / "run.yaml").is_file() else None
    named = str(run.settings.get("model.path") or "") if run is not None else ""
    origin = base or named or adapters.named_base(folder)
    config = ModelConfig(path=folder, device=device, trust_remote_code=trust_remote_code)
    loaded = adapters.load_base(config, origin)
    if run is not None:
        _refuse_other_base(run, loaded, origin)
    stored = stored_dtype(origin, trust_remote_code=trust_remote_code) if dtype == "base" else getattr(torch, dtype)
    if tolerance is None:
        tolerance = TOLERANCE.get(stored, ROUNDED_TOLERANCE)
    plain = _in_float(loaded, config, origin)
    adapted = adapters.put_on(loaded, folder)
    kind = adapters.describe(adapted) + ("" if plain is None else f", on {quantize.read_note(Path(folder))} weights")
    texts, words = _texts(run, loaded)
    model, drift = merge(adapted, texts, stored, plain=plain)
    refuse_drift(drift, tolerance, where=folder)
    merged = Merged(None if dry_run else out, origin, kind, str(stored).removeprefix("torch."), words, drift, tolerance)
    if not dry_run:
        write_merged(model, loaded.tokenizer, out, dtype=stored, card=merged_card(_facts(merged, path), run))
    return merged


def _refuse_existing(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise ConfigError("merge.out", "there is something already", where=str(out), fix="choose another --out")


def _adapter_folder(path: str) -> str:
    """The folder of the adapter: that of a run's model, or the one that is named."""
    place = Path(result_of(path)).expanduser()
    if not (place / "adapter_config.json").is_file():
        what = "there is no adapter to merge: no adapter_config.json"
        fix = "name an adapter's folder, or a run of one; a run that trained all weights has a whole model in model/"
        raise ConfigError("merge.adapter", what, where=str(place), fix=fix)
    return str(place)


def _refuse_other_base(run: RecordedRun, loaded: Loaded, origin: str) -> None:
    """The run has written down what it began with."""
    began = run.model.get("sha256")
    if began and began != digest(loaded.model):
        what = "this is not the model that the run began with: its digest is another one"
        fix = f"name that model with --model; {run.folder / 'model'} as it is can be merged into any that it fits"
        raise ConfigError("merge.base", what, where=origin, fix=fix)


def _in_float(loaded: Loaded, config: ModelConfig, origin: str) -> nn.Module | None:
    """Base and adapter in the float32 numbers that quantised weights stand for; None where they are not quantised."""
    if not quantize.quantized_layers(loaded.model):
        return None
    again = adapters.load_base(config, origin, plain=True)
    quantize.put_numbers_into(again.model, loaded.model)
    return adapters.put_on(again, config.path)


def _texts(run: RecordedRun | None, loaded: Loaded) -> tuple[Sequence[Text], str]:
    """Ids to compare on, and what they are: answers that the run has sampled, behind their prompts, or random ones."""
    template = run.config.data.template if run is not None and run.config is not None else "auto"
    renderer = Renderer(loaded.tokenizer, "plain" if template == "plain" else "auto", today=date.today())
    longest = min(TEXT_TOKENS, loaded.longest or TEXT_TOKENS)
    encoder = Encoder(loaded.tokenizer, renderer, max_length=longest, end_ids=loaded.end_ids)
    samples = run.samples if run is not None else ()
    # Those of the trained model first: what it writes is what it is used for.
    ordered = sorted(samples, key=lambda sample: -sample.step)
    texts = [ids for sample in ordered if (ids := _ids_of(sample, encoder))]
    if texts:
        return texts, "samples of the run"
    drawn, tokens = random.Random(0), len(loaded.tokenizer)
    length = min(RANDOM_TOKENS, longest)
    return [[drawn.randrange(tokens) for _ in range(length)] for _ in range(RANDOM_TEXTS)], "random ids"


def _ids_of(sample: Sample, encoder: Encoder) -> list[int]:
    """Prompt and answer as the model reads them; none where the prompt cannot be written."""
    prompt = sample.prompt
    if not isinstance(prompt, str):
        prompt = tuple(Message(role, content) for role, content in prompt)
    try:
        before = encoder.prompt_ids(Group(sample.source, sample.source, prompt, ()), room=1)
    except DataError:
        return []
    answer = cast("list[int]", encoder.tokenizer(sample.completion, add_special_tokens=False)["input_ids"])
    return [*before, *answer][: encoder.max_length]


def _facts(merged: Merged, path: str) -> Merge:
    """What the card says of it."""
    drift = merged.drift
    return Merge(
        folder=merged.out or Path(),
        source=path,
        base=merged.base,
        adapter=merged.adapter,
        dtype=merged.dtype,
        compared=f"{drift.texts} texts ({merged.texts}) of {drift.tokens:,} tokens",
        logits=drift.logits,
        nats=drift.nats,
        version=version("prefsmith"),
    )
