"""The model card: what a reader of the weights alone should know, as README.md beside them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from prefsmith.errors import ConfigError
from prefsmith.files import write_durably
from prefsmith.report.run import RecordedRun
from prefsmith.report.summary import interval, last_step, results, run_findings, run_kl
from prefsmith.report.tables import data_table, loss_words, machine_table, model_table, settings_table
from prefsmith.report.visible import on_one_line

HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
KINDS = {
    "lora": "A low-rank adapter (LoRA) for",
    "dora": "A low-rank adapter with lengths of rows (DoRA) for",
    "ia3": "An adapter of factors (IA3) for",
}
BITS = {
    "nf4": 'load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True',
    "int8": "load_in_8bit=True",
}
"""What transformers is told to load a base as the adapter was trained on it."""
HUB_DATA = re.compile(rf"hub:({HUB_ID.pattern})(,.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Merge:
    """An adapter that was merged into its base.

    Args:
        folder: of the merged model.
        source: the run or the adapter's folder.
        base: folder or hub id of the base.
        adapter: what it was, in a few words.
        dtype: precision of the files.
        compared: what the merged model was compared on.
        logits: largest change of a logit.
        nats: largest change of a log-probability.
        version: of prefsmith.
    """

    folder: Path
    source: str
    base: str
    adapter: str
    dtype: str
    compared: str
    logits: float
    nats: float
    version: str


def write_card(run: RecordedRun) -> Path | None:
    """Write model/README.md where the run has come to its end and left a model.

    Raises:
        ConfigError: it cannot be written.
    """
    folder = run.folder / "model"
    if run.state != "finished" or not folder.is_dir():
        return None
    path = folder / "README.md"
    try:
        write_durably(path, card(run).encode())
    except OSError as error:
        what = f"the model card cannot be written: {error.strerror}"
        raise ConfigError("report.write", what, where=str(path), fix="make room, and give the command again") from error
    return path


def card(run: RecordedRun) -> str:
    """The card as Markdown behind a front matter that the hub reads. A licence is not guessed."""
    return _card(_front_matter(run), run.name, [_what_it_is(run), *_of_run(run, _loading(run))])


def merged_card(merge: Merge, run: RecordedRun | None) -> str:
    """The card of a merged model; of what was trained it says what the run says, where one is known."""
    load, how = _loading_whole(merge.folder), ["## Merging", _table(_merge_table(merge))]
    what = f"The model {code(merge.base)} with the adapter of {code(merge.source)} merged into its weights by prefsmith"
    if run is None:
        front = {**_base_model(merge.base), "library_name": "transformers", "pipeline_tag": "text-generation"}
        parts = [f"{what}.", "## Load it", load, *how]
        return _card({**front, "tags": ["prefsmith"]}, merge.folder.name, parts)
    how_trained = (
        f"trained on preferences with {code(loss_words(run) or 'an unknown loss')} in {last_step(run):,} steps"
    )
    front = {**_front_matter(run), "library_name": "transformers"}
    return _card(front, merge.folder.name, [f"{what}, {how_trained}.", *_of_run(run, load, *how)])


def _card(front: dict[str, object], title: str, parts: list[str]) -> str:
    matter = yaml.safe_dump(front, sort_keys=False)
    return "\n\n".join([f"---\n{matter}---", f"# {code(title)}", *parts]) + "\n"


def _of_run(run: RecordedRun, load: str, *more: str) -> Iterator[str]:
    """What the run says of the model, from its evaluation to its limits."""
    yield from ("## Evaluation", *_evaluation(run), "## Load it", load, *more)
    yield from ("## Training data", _table(data_table(run)))
    yield from ("## Training", _table([*model_table(run), *machine_table(run)]))
    yield "Settings of the loss, and those that differ from their defaults:"
    yield _table([(each.key, each.value) for each in settings_table(run) if each.changed])
    yield from ("## Limits", *_limits(run))


def _merge_table(merge: Merge) -> list[tuple[str, str]]:
    return [
        ("base", merge.base),
        ("adapter", merge.adapter),
        ("precision of the weights", merge.dtype),
        ("compared with base and adapter on", merge.compared),
        ("largest change of a logit", f"{merge.logits:.2g}"),
        ("largest change of a log-probability", f"{merge.nats:.2g} nats"),
        ("prefsmith", merge.version),
    ]


def code(text: str) -> str:
    """Text of any kind as a Markdown code span, in which nothing is markup."""
    line = on_one_line(text) or " "
    fence = "`" * (_longest_fence(line) + 1)
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def _front_matter(run: RecordedRun) -> dict[str, object]:
    """Only what is known: a folder on a disk is no base model that the hub could link to."""
    front = _base_model(str(run.model.get("origin") or ""))
    front["library_name"] = "peft" if run.adapter else "transformers"
    front["pipeline_tag"] = "text-generation"
    losses = [name for name in loss_words(run).split(" + ") if name]
    front["tags"] = ["prefsmith", *losses, *([_kind(run)] if run.adapter else [])]
    paths = (str(run.settings.get(key) or "") for key in ("data.train", "data.eval"))
    datasets = [found[1] for path in paths if (found := HUB_DATA.fullmatch(path))]
    if datasets:
        front["datasets"] = list(dict.fromkeys(datasets))
    return front


def _kind(run: RecordedRun) -> str:
    """Kind of the adapter, as the settings name it."""
    return str(run.settings.get("adapter.kind", "adapter"))


def _base_model(origin: str) -> dict[str, object]:
    return {"base_model": origin} if HUB_ID.fullmatch(origin) and not Path(origin).exists() else {}


def _what_it_is(run: RecordedRun) -> str:
    kind = KINDS.get(_kind(run), "An adapter for") if run.adapter else "The model"
    origin, trained = str(run.model.get("origin") or "an unknown model"), "" if run.adapter else ", trained further"
    return (
        f"{kind} {code(origin)}{trained} on preferences with {code(loss_words(run) or 'an unknown loss')} "
        f"by prefsmith, in {last_step(run):,} steps."
    )


def _evaluation(run: RecordedRun) -> Iterator[str]:
    yield " ".join(escaped(sentence) for sentence in results(run)) + " In brackets: 95 % intervals."
    kl = run_kl(run)
    if kl is not None:
        yield (
            f"KL to the starting model: {kl.value:.2f} nats an answer {interval(kl)}, estimated from {kl.n} samples "
            "at temperature 1."
        )
    if run.samples:
        yield "Answers before and after training are in `samples.jsonl` and `report.html` of the run's folder."


def _loading(run: RecordedRun) -> str:
    """Python that loads what stands beside this card, from the folder that the card is in."""
    if not run.adapter:
        return _loading_whole(run.folder / "model")
    base = repr(on_one_line(str(run.model.get("origin") or "the base model")))
    stored = BITS.get(str(run.settings.get("model.quantize", "none")))
    names = "AutoModelForCausalLM, AutoTokenizer" + (", BitsAndBytesConfig" if stored else "")
    bits = f", quantization_config=BitsAndBytesConfig({stored})" if stored else ""
    folder = repr(on_one_line(str(run.folder / "model")))
    return _python(
        "from peft import PeftModel",
        f"from transformers import {names}",
        "",
        f"base = AutoModelForCausalLM.from_pretrained({base}{bits})",
        f"model = PeftModel.from_pretrained(base, {folder})",
        f"tokenizer = AutoTokenizer.from_pretrained({folder})",
    )


def _loading_whole(place: Path) -> str:
    folder = repr(on_one_line(str(place)))
    return _python(
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f"model = AutoModelForCausalLM.from_pretrained({folder})",
        f"tokenizer = AutoTokenizer.from_pretrained({folder})",
    )


def _python(*lines: str) -> str:
    fence = "`" * max(3, _longest_fence("\n".join(lines)) + 1)
    return "\n".join([f"{fence}python", *lines, fence])


def _limits(run: RecordedRun) -> Iterator[str]:
    found = [each for each in run_findings(run) if each.severity != "good"]
    lines = [f"- {escaped(' '.join(part for part in (each.what, each.amount) if part))}" for each in found]
    if lines:
        yield "What the report found:"
        yield "\n".join(lines)
    yield (
        "The evaluation is on rows of the kind that it was trained on, and says nothing of others. Whatever is wrong "
        "with the base model or with the preferences is in this model too. Licence and permitted use follow from "
        "theirs; this card does not know them."
    )


def _table(rows: list[tuple[str, str]]) -> str:
    if not rows:
        return "Not known."
    lines = [f"| {escaped(name)} | {code(value).replace('|', chr(92) + '|')} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def escaped(text: str) -> str:
    """Text in which no character is Markdown or HTML, and none is escaped that could not be."""
    marks = r"[\\`*<>#|~&$]|(?<!\w)_|_(?!\w)|!(?=\[)|\[(?=[^\]]*\][(\[:])|\](?=[(\[:])"
    return re.sub(marks, lambda found: f"\\{found[0]}", on_one_line(text))


def _longest_fence(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
