"""A whole run: the one place that puts the parts together. Read, split, encode, load, train, evaluate, export."""

import hashlib
import json
import platform
import shutil
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prefsmith.config import RunConfig, changed_keys, load_settings
from prefsmith.data.encode import EncodedGroup, Encoder
from prefsmith.data.pack import pack
from prefsmith.data.rejects import Rejects
from prefsmith.data.render import Renderer
from prefsmith.data.schema import Reading, read_groups
from prefsmith.data.split import shared_prompts, split
from prefsmith.data.stream import Stream, with_mismatched
from prefsmith.data.views import Wanted, describe, view
from prefsmith.errors import ConfigError, DataError, PrefsmithError, TrainingError
from prefsmith.evaluate.implicit import HeldOut, held_out
from prefsmith.losses import resolve
from prefsmith.model import adapters
from prefsmith.model.ladder import choose_path
from prefsmith.model.load import Loaded, describe_loaded, digest, load
from prefsmith.model.reference import make_reference
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Group
from prefsmith.train.checkpoint import (
    CheckpointStore,
    file_digest,
    lock,
    sync_files,
    sync_folder,
    write_durably,
)
from prefsmith.train.loop import Rhythm, Row, Trainer
from prefsmith.train.monitor import MetricsLog, read_rows
from prefsmith.train.optim import Optimizer, count
from prefsmith.train.step import Objective
from prefsmith.types import Batch

Say = Callable[[str], None]

MAY_CHANGE = ("out", "checkpoint.", "evaluate.")
MORE_STEPS = ("train.max_steps", "train.epochs")


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left behind.

    Args:
        folder: everything is in it; `model/` is the result.
        steps: optimiser steps that were done.
        metrics: the rows of metrics.jsonl.
        evaluation: the last evaluation row; None where nothing was held out.
    """

    folder: Path
    steps: int
    metrics: list[dict[str, object]]
    evaluation: dict[str, object] | None


def fit(
    config: RunConfig,
    *,
    groups: Sequence[Group] | None = None,
    model: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None = None,
    resume: bool = False,
    say: Say = print,
) -> Run:
    """Train as the settings say, and write the run's folder.

    Args:
        config: every setting.
        groups: training rows in memory, in the place of `data.train`.
        model: policy and tokenizer in memory, in the place of `model.path`. The policy is trained in place.
        resume: go on behind the newest whole checkpoint of `config.out`, exactly as if the run had never stopped.
        say: is given a line at a time of what happens.

    Raises:
        ConfigError: a setting is wrong, or the folder holds another run.
        DataError: a row cannot be used.
        TrainingError: the run stopped itself.
        Interrupted: a signal stopped it.
    """
    terms = [
        resolve(
            each.name,
            each.settings,
            weight=each.weight,
            where="loss" if len(config.losses) == 1 else f"loss.{i}",
        )
        for i, each in enumerate(config.losses)
    ]
    objective = Objective(tuple(terms))
    if config.reference.kind == "none" and objective.needs_reference:
        name = next(term.entry.name for term in terms if term.entry.needs_reference)
        what, fix = (
            f"{name} compares the policy with a reference, and reference.kind is none",
            "leave it at auto",
        )
        raise ConfigError("reference.none", what, where="reference.kind", fix=fix)
    config = _with_folder(config)
    folder = Path(str(config.out))
    _claim(folder, config, resume)
    with lock(folder):
        try:
            return _Composition(config, folder, objective, say).run(groups, model, resume=resume)
        except PrefsmithError:
            raise
        except Exception:
            with suppress(OSError):
                (folder / "crash.log").write_text(traceback.format_exc(), encoding="utf-8")
            raise


@dataclass(frozen=True, slots=True)
class _Rows:
    """Encoded rows of one side, and what data.json says of them."""

    groups: list[EncodedGroup]
    record: dict[str, object]


class _Composition:
    """The parts of one run, made one after the other."""

    def __init__(self, config: RunConfig, folder: Path, objective: Objective, say: Say) -> None:
        self.config, self.folder, self.objective, self.say = config, folder, objective, say
        self.rejects = Rejects(skip=config.data.skip_bad)
        self.wanted = [
            Wanted(
                loss=term.entry.name,
                kind=term.entry.kind,
                soft_labels=term.entry.soft_labels is not None,
                desirable_only=term.entry.desirable_only,
            )
            for term in objective.terms
        ]

    def run(
        self,
        groups: Sequence[Group] | None,
        model: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None,
        *,
        resume: bool,
    ) -> Run:
        """Everything, in order."""
        config, say = self.config, self.say
        train_groups, eval_groups, record = self._read(groups)
        loaded = load(config.model) if model is None else describe_loaded(*model, config.model.path or "in memory")
        _seed(config)
        encoder = self._encoder(loaded)
        train = self._encode(encoder, train_groups, "train")
        held = self._encode(encoder, eval_groups, "eval") if eval_groups else _Rows([], {})
        if not train.groups:
            raise DataError("data.no_rows", "no row is left to train on", where=config.data.train,
                            fix="data.json in the run's folder says what was dropped, and why")  # fmt: skip
        probes = _probes([*train.groups, *held.groups])
        policy, reference, identity = self._models(loaded, probes, encoder.max_length, train.groups)
        stream = Stream(
            train.groups,
            pairs_per_step=config.train.pairs_per_step,
            epochs=config.train.epochs,
            seed=config.train.seed,
            max_steps=config.train.max_steps,
            add_mismatched=encoder.add_mismatched if self.objective.mismatched else None,
        )
        if self.objective.mismatched and held.groups:
            held = _Rows(list(with_mismatched(held.groups, encoder.add_mismatched)), held.record)
        self._write_records({**record, "train_encoded": train.record, "eval_encoded": held.record})
        with closing(MetricsLog(self.folder / "metrics.jsonl")) as log:
            trainer = self._trainer(policy, reference, stream, held.groups, identity, log)
            done = self._resume(trainer, identity) if resume else 0
            labels = "comparisons" if self.wanted[0].kind == "pairwise" else "ratings"
            say(f"{len(stream)} steps of {config.train.pairs_per_step} {labels}")
            steps = trainer.run(done)
        export(policy.model, loaded, self.folder, template=encoder.renderer.template)
        return self._finish(steps)

    def _read(self, groups: Sequence[Group] | None) -> tuple[list[Group], list[Group], dict[str, object]]:
        """Training and held-out rows, and what was read."""
        data, record = self.config.data, dict[str, object]()
        if groups is None:
            if not data.train:
                fix = "name a preference file with --data"
                raise ConfigError("data.none", "there is nothing to train on", where="data.train", fix=fix)
            everything = self._read_file(data.train, "train", record).groups
        else:
            everything = list(groups)
            record["train"] = {"path": "in memory", "groups": len(everything)}
        if data.eval is not None:
            train, held = everything, self._read_file(data.eval, "eval", record).groups
            if leaked := shared_prompts(train, held):
                self.say(f"warning: {leaked} of {len(held)} held-out rows have a prompt that is trained on")
                record["eval_prompts_in_train"] = leaked
        else:
            train, held = split(everything, data.eval_fraction)
        for wanted in self.wanted:
            self.say(f"  made of it: {describe(_viewable(train, wanted), wanted)}")
        self.say(f"  {len(train):,} rows to train on, {len(held):,} held out")
        return train, held, record

    def _read_file(self, path: str, side: str, record: dict[str, object]) -> Reading:
        data, before = self.config.data, len(self.rejects.rows)
        reading = read_groups(path, format=data.format, columns=data.columns, limit=data.limit, rejects=self.rejects)
        assert reading.schema is not None  # there is at least one group
        refused = len(self.rejects.rows) - before
        self.say(f"{path}: {reading.rows:,} rows; {reading.schema.describe()}")
        if refused:
            self.say(f"  {refused} rows cannot be used and go to rejected.jsonl")
        for what, n in reading.notes.items():
            self.say(f"  {n} {what}")
        record[side] = {
            "path": path,
            "sha256": file_digest(Path(path)),
            "rows": reading.rows,
            "groups": len(reading.groups),
            "rejected": refused,
            "recognised": reading.schema.describe(),
            **({"notes": reading.notes} if reading.notes else {}),
        }
        return reading

    def _encoder(self, loaded: Loaded) -> Encoder:
        data, longest = self.config.data, loaded.longest
        if data.max_length is not None and longest is not None and data.max_length > longest:
            what = f"data.max_length={data.max_length}, and the model takes at most {longest} tokens"
            raise ConfigError("data.max_length", what, where="data.max_length", fix=f"at most {longest}")
        renderer = Renderer(loaded.tokenizer, data.template)
        self.say(f"  written as {renderer.describe()}")
        return Encoder(
            loaded.tokenizer,
            renderer,
            max_length=data.max_length or longest,
            truncation=data.truncation,
            end_ids=loaded.end_ids,
        )

    def _encode(self, encoder: Encoder, groups: Sequence[Group], side: str) -> _Rows:
        """Views and ids of every group; what cannot be used is refused as it is when read."""
        encoder.counts = type(encoder.counts)()
        encoded: list[EncodedGroup] = []
        refused = len(self.rejects.rows)
        for group in groups:
            try:
                views = [view(group, wanted) for wanted in self.wanted]
                if not any(len(each) for each in views):
                    encoder.counts.kinds["without a label for this loss"] += 1
                    continue
                if (each := encoder.encode(group, views)) is not None:
                    encoded.append(each)
            except DataError as error:
                self.rejects.refuse(error, asdict(group))
        record: dict[str, object] = {
            **encoder.counts.as_dict(),
            "rejected": len(self.rejects.rows) - refused,
            "max_length": encoder.max_length,
        }
        for what, n in sorted(encoder.counts.kinds.items()):
            self.say(f"  {side}: {n:,} of {len(groups):,} rows {what}")
        return _Rows(encoded, record)

    def _models(
        self, loaded: Loaded, probes: Sequence[Batch], max_length: int | None, groups: Sequence[EncodedGroup]
    ) -> tuple[Scorer, Frozen | None, dict[str, Any]]:
        """Policy and reference, and the digests that say what the run is of."""
        config = self.config
        identity = {"model": digest(loaded.model), "data": encoded_digest(groups)}
        model: nn.Module = loaded.model.eval()
        if config.adapter.kind == "lora":
            model = adapters.attach(loaded.model, config.adapter, seed=config.train.seed).eval()
        else:
            model.requires_grad_(True)
        policy, choice = choose_path(model, probes, wanted=config.model.attention, max_length=max_length)
        trained = count(each for each in model.parameters() if each.requires_grad)
        self.say(
            f"{loaded.origin}: {trained:,} of {count(model.parameters()):,} weights are trained, on {policy.device}"
        )
        self.say(f"  path: {choice.describe()}; {policy.head.describe()}")
        reference = None
        if self.objective.needs_reference:
            reference, words = make_reference(policy, config.reference, config.model, probes, max_length=max_length)
            self.say(f"  reference: {words}")
        dropouts = adapters.dropout_modules(model)
        if dropouts and self.objective.two_passes:
            what = "this loss takes two passes, which dropout would make differ"
            raise ConfigError("adapter.dropout", what, where="adapter.dropout", fix="adapter.dropout=0")
        for module in dropouts:
            module.train()
        return policy, reference, identity

    def _trainer(
        self,
        policy: Scorer,
        reference: Frozen | None,
        stream: Stream,
        held: Sequence[EncodedGroup],
        identity: Mapping[str, Any],
        log: MetricsLog,
    ) -> Trainer:
        config = self.config

        def evaluate() -> Row:
            return self._held_out(policy, reference, held).row

        return Trainer(
            policy,
            reference,
            self.objective,
            stream,
            Optimizer(policy.model, config.optim, peak=config.learning_rate, steps=len(stream)),
            store=CheckpointStore(self.folder / "checkpoints", keep=config.checkpoint.keep),
            log=log,
            rhythm=Rhythm(
                token_budget=config.train.token_budget,
                checkpoint_every=config.checkpoint.every,
                evaluate_every=config.evaluate.every,
                same_start=config.reference.path is None,
            ),
            evaluate=evaluate if held else None,
            identity=identity,
            observe=lambda row: self.say(line_of(row, len(stream))),
        )

    def _held_out(self, policy: Scorer, reference: Frozen | None, held: Sequence[EncodedGroup]) -> HeldOut:
        budget = self.config.train.token_budget
        return held_out(Frozen(policy), reference, self.objective, held, token_budget=budget)

    def _resume(self, trainer: Trainer, identity: Mapping[str, Any]) -> int:
        """Put everything back where the newest whole checkpoint has it; returns the steps that were done."""
        trainer.store.clean()
        checkpoint, damaged = trainer.store.newest()
        for each in damaged:
            self.say(f"warning: a checkpoint is damaged and not used: {each}")
        if checkpoint is None:
            trainer.log.rewind(0)
            self.say("there is no checkpoint yet: starting from the beginning")
            return 0
        for key, now in identity.items():
            if checkpoint.state.get(key) != now:
                what = f"the {key} is not what this run began with"
                fix = "resume with the same files, or start anew in another folder"
                raise ConfigError("run.changed", what, where=str(self.folder), fix=fix)
        trainer.log.rewind(int(checkpoint.state["metrics_bytes"]))
        trainer.load(checkpoint)
        self.say(f"resuming after step {checkpoint.step}")
        return checkpoint.step

    def _write_records(self, data: dict[str, object]) -> None:
        try:
            write_durably(self.folder / "run.yaml", self.config.to_yaml().encode())
            write_durably(self.folder / "data.json", json.dumps(data, indent=1).encode())
            write_durably(self.folder / "environment.json", json.dumps(environment(), indent=1).encode())
            if self.rejects.rows:
                self.rejects.write(self.folder / "rejected.jsonl")
        except OSError as error:
            what = f"the run's folder cannot be written: {error.strerror}"
            raise TrainingError(
                "run.write", what, where=str(self.folder), fix="make room, or choose another --out"
            ) from error

    def _finish(self, steps: int) -> Run:
        metrics = read_rows(self.folder / "metrics.jsonl")
        evaluation = next((row for row in reversed(metrics) if row.get("split") == "eval"), None)
        self.say(f"the model is in {self.folder / 'model'}")
        return Run(self.folder, steps, metrics, evaluation)


def export(model: nn.Module, loaded: Loaded, folder: Path, *, template: str | None) -> Path:
    """Write `model/`: the model or the adapter, with tokenizer and chat template, whole or not at all.

    Raises:
        TrainingError: the disk is full or fails; the checkpoints have the weights.
    """
    place, beside = folder / "model", folder / f".model-{uuid.uuid4().hex}"
    try:
        beside.mkdir()
        if adapters.has_adapter(model):
            adapters.save(model, beside)
        else:
            adapters.unwrapped(model).save_pretrained(beside)
        if template is not None:
            loaded.tokenizer.chat_template = template
        loaded.tokenizer.save_pretrained(beside)
        sync_files(beside)
        if place.exists():
            shutil.rmtree(place)
        beside.rename(place)
        sync_folder(folder)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        what = f"the model could not be written: {getattr(error, 'strerror', None) or error}"
        fix = "make room and go on with --resume: the last checkpoint has the weights"
        raise TrainingError("run.export", what, where=str(place), fix=fix) from error
    return place


def environment() -> dict[str, object]:
    """Versions and machine, for the record."""
    names = ("prefsmith", "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")
    return {
        "versions": {name: version(name) for name in names},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def encoded_digest(groups: Sequence[EncodedGroup]) -> str:
    """sha256 of everything that training reads of the rows, in their order."""
    total = hashlib.sha256()
    for group in groups:
        total.update(repr((group.prompt, group.completions, group.views, group.compared)).encode())
    return total.hexdigest()


def line_of(row: Mapping[str, object], steps: int) -> str:
    """A row of metrics as a plain line."""

    def number(key: str, form: str) -> str | None:
        value = row.get(key)
        return f"{key.replace('_', ' ')} {value:{form}}" if isinstance(value, int | float) else None

    if row.get("split") == "eval":
        parts = [f"held out after step {row['step']}:", number("loss", ".4f"), number("margin", "+.3f")]
        for key, words in (("accuracy", "accuracy"), ("shorter_accuracy", '"the shorter is better"')):
            if row.get(key) is not None:
                bounds = f"[{row[f'{key}_low']:.3f}, {row[f'{key}_high']:.3f}]"
                parts.append(f"{words} {row[key]:.3f} {bounds}")
        return "  ".join(part for part in parts if part)
    parts = [
        f"step {row['step']}/{steps}",
        number("loss", ".4f"),
        number("margin", "+.3f"),
        number("accuracy", ".2f"),
        number("grad_norm", ".3g"),
        number("learning_rate", ".2e"),
        number("seconds", ".2f"),
    ]
    return "  ".join(part for part in parts if part)


def _with_folder(config: RunConfig) -> RunConfig:
    """The settings with a folder: the first free runs/<loss>-<number> where none is named."""
    if config.out is not None:
        return config
    stem = "-".join(each.name for each in config.losses)
    numbers = (number for number in range(1, 10**6) if not Path(f"runs/{stem}-{number}").exists())
    return config.model_copy(update={"out": f"runs/{stem}-{next(numbers)}"})


def _claim(folder: Path, config: RunConfig, resume: bool) -> None:
    """Make the folder, or make sure that what is in it may be gone on with.

    Raises:
        ConfigError: it holds another run, or this run with other settings.
    """
    stored = folder / "run.yaml"
    if folder.exists() and not folder.is_dir():
        raise ConfigError("run.folder", "this is a file", where=str(folder), fix="give another folder with --out")
    if stored.is_file():
        if not resume:
            what, fix = (
                "the folder holds a run",
                "go on with it by --resume, or give another folder with --out",
            )
            raise ConfigError("run.exists", what, where=str(folder), fix=fix)
        _refuse_changes(load_settings(stored), config)
    elif folder.exists() and not _vacant(folder):
        what, fix = "the folder is not empty and holds no run", "give another folder with --out"
        raise ConfigError("run.exists", what, where=str(folder), fix=fix)
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder cannot be made: {error.strerror}"
        raise ConfigError("run.folder", what, where=str(folder), fix="give another folder with --out") from error


def _vacant(folder: Path) -> bool:
    """Whether nothing is in the folder but what a start leaves that failed before it wrote its settings."""
    names = {each.name for each in folder.iterdir()} - {"LOCK", "crash.log"}
    return names <= {"checkpoints"} and not any((folder / "checkpoints").glob("*"))


def _refuse_changes(stored: RunConfig, now: RunConfig) -> None:
    free = now.optim.schedule == "constant" and stored.optim.schedule == "constant"
    for key in changed_keys(stored, now):
        if key.startswith(MAY_CHANGE) or (free and key in MORE_STEPS):
            continue
        hint = "; with optim.schedule=constant a run may be made longer" if key in MORE_STEPS else ""
        raise ConfigError(
            "run.changed",
            f"{key} is not what this run began with",
            where=str(stored.out),
            fix=f"resume with the stored settings (run.yaml), or start anew in another folder{hint}",
        )


def _probes(groups: Sequence[EncodedGroup]) -> list[Batch]:
    """The longest group, and the shortest beside the longest."""
    longest = max(groups, key=lambda group: group.longest)
    shortest = min(groups, key=lambda group: group.longest)
    return [pack([longest]), pack([shortest, longest])] if shortest is not longest else [pack([longest])]


def _viewable(groups: Sequence[Group], wanted: Wanted) -> list[Group]:
    """The groups that the loss can use; others are refused when they are encoded."""
    usable = []
    for group in groups:
        with suppress(DataError):
            view(group, wanted)
            usable.append(group)
    return usable


def _seed(config: RunConfig) -> None:
    torch.manual_seed(config.train.seed)
    if config.train.deterministic:
        torch.use_deterministic_algorithms(True)
