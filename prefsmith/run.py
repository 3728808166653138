"""A whole run: the one place that puts the parts together. Read, split, encode, load, train, evaluate, export."""

import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prefsmith.config import LossConfig, RunConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack
from prefsmith.data.prepare import EncodedSides, Preparation, encoded_digest
from prefsmith.data.render import Renderer
from prefsmith.data.stream import Stream, with_mismatched
from prefsmith.data.views import Wanted
from prefsmith.errors import ConfigError, DataError, PrefsmithError
from prefsmith.evaluate.implicit import held_out
from prefsmith.losses import resolve
from prefsmith.model import adapters
from prefsmith.model.export import export
from prefsmith.model.ladder import choose_path
from prefsmith.model.load import (
    Loaded,
    check_origin,
    describe_loaded,
    digest,
    find_device,
    load,
    require_full_precision,
)
from prefsmith.model.reference import make_reference
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Group
from prefsmith.train.checkpoint import Checkpoint, CheckpointStore, lock
from prefsmith.train.folder import claim, environment, with_folder, write_records
from prefsmith.train.loop import Rhythm, Row, Trainer
from prefsmith.train.monitor import MetricsLog, line_of, read_rows
from prefsmith.train.optim import Optimizer, count
from prefsmith.train.step import Objective
from prefsmith.types import Batch

Say = Callable[[str], None]


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
    objective = _objective(config)
    config = _resolved(config, objective)
    find_device(config.model.device)
    if model is None:
        check_origin(config.model.path)
    if config.reference.path is not None:
        check_origin(config.reference.path, "reference.path")
    config = with_folder(config, resume=resume)
    folder = Path(str(config.out))
    claim(folder, config, resume)
    with lock(folder), _deterministic(config.train.deterministic):
        try:
            return _Composition(config, folder, objective, say).run(groups, model, resume=resume)
        except PrefsmithError:
            raise
        except Exception:
            with suppress(OSError):
                (folder / "crash.log").write_text(traceback.format_exc(), encoding="utf-8")
            raise


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    """Only operations that are reproducible to the bit, while the context is open."""
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by CUDA when it starts
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _objective(config: RunConfig) -> Objective:
    """The loss terms, their settings checked before anything is read or loaded."""
    terms = []
    for index, each in enumerate(config.losses):
        where = "loss" if len(config.losses) == 1 else f"loss.{index}"
        terms.append(resolve(each.name, each.settings, weight=each.weight, where=where))
    for term in terms:
        if config.reference.kind == "none" and term.entry.needs_reference:
            what = f"{term.entry.name} compares the policy with a reference, and reference.kind is none"
            raise ConfigError("reference.none", what, where="reference.kind", fix="leave it at auto")
    if config.reference.path is not None and not any(term.entry.needs_reference for term in terms):
        what = "a reference is named, and no loss compares the policy with one"
        raise ConfigError("reference.none", what, where="reference.path", fix="leave it out, or train another loss")
    return Objective(tuple(terms))


def _resolved(config: RunConfig, objective: Objective) -> RunConfig:
    """The settings with every value that is in force, so that run.yaml repeats the run whatever defaults become."""
    losses = [
        LossConfig.model_validate({"name": term.entry.name, "weight": term.weight, **term.settings})
        for term in objective.terms
    ]
    optim = config.optim.model_copy(update={"learning_rate": config.learning_rate})
    return config.model_copy(update={"loss": losses if isinstance(config.loss, list) else losses[0], "optim": optim})


class _Composition:
    """The parts of one run, made one after the other."""

    def __init__(self, config: RunConfig, folder: Path, objective: Objective, say: Say) -> None:
        self.config, self.folder, self.objective, self.say = config, folder, objective, say

    def run(
        self,
        groups: Sequence[Group] | None,
        model: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None,
        *,
        resume: bool,
    ) -> Run:
        """Everything, in order."""
        store = CheckpointStore(self.folder / "checkpoints", keep=self.config.checkpoint.keep)
        checkpoint = self._newest(store) if resume else None
        choices = self._choices(checkpoint)
        preparation = Preparation(self.config.data, self._wanted(), self.say)
        try:
            sides = preparation.read(groups)
            loaded = load(self.config.model) if model is None else _in_memory(model, self.config)
            encoder = self._encoder(loaded, date.fromisoformat(choices["date"]))
            rows = preparation.encode(encoder, sides)
        except DataError:
            preparation.rejects.write(self.folder / "rejected.jsonl")
            raise
        torch.manual_seed(self.config.train.seed)
        policy, reference, identity = self._models(loaded, rows, encoder.max_length, choices)
        stream, held = self._stream(rows, encoder)
        if checkpoint is not None:
            self._refuse_others(checkpoint, identity)
        write_records(self.folder, self.config, preparation.record, environment())
        preparation.rejects.write(self.folder / "rejected.jsonl")
        with closing(MetricsLog(self.folder / "metrics.jsonl")) as log:
            trainer = self._trainer(policy, reference, stream, held, {**identity, **choices}, store, log)
            done = self._go_back(trainer, checkpoint)
            self._announce(stream)
            steps = trainer.run(done, evaluate_first=checkpoint is not None and bool(checkpoint.state["unevaluated"]))
        export(policy.model, loaded.tokenizer, self.folder, template=encoder.renderer.template)
        metrics = read_rows(self.folder / "metrics.jsonl")
        evaluation = next((row for row in reversed(metrics) if row.get("split") == "eval"), None)
        self.say(f"the model is in {self.folder / 'model'}")
        return Run(self.folder, steps, metrics, evaluation)

    def _wanted(self) -> list[Wanted]:
        entries = [term.entry for term in self.objective.terms]
        return [
            Wanted(each.name, each.kind, soft_labels=each.soft_labels is not None, desirable_only=each.desirable_only)
            for each in entries
        ]

    def _newest(self, store: CheckpointStore) -> Checkpoint | None:
        """The checkpoint to go on from; what is wrong with newer ones is told."""
        store.clean()
        checkpoint, damaged = store.newest()
        for each in damaged:
            self.say(f"warning: a checkpoint is damaged and not used: {each}")
        return checkpoint

    def _choices(self, checkpoint: Checkpoint | None) -> dict[str, Any]:
        """What was chosen when the run began and decides its bits: made once, kept in every checkpoint."""
        if checkpoint is None:
            today = date.today().isoformat()  # chat templates may write it
            return {"date": today, "threads": torch.get_num_threads(), "attention": self.config.model.attention}
        choices = {key: checkpoint.state[key] for key in ("date", "threads", "attention")}
        if choices["threads"] != torch.get_num_threads():
            self.say(f"  on {choices['threads']} threads, as the run began")
            torch.set_num_threads(choices["threads"])
        return choices

    def _encoder(self, loaded: Loaded, today: date) -> Encoder:
        data, longest = self.config.data, loaded.longest
        if data.max_length is not None and longest is not None and data.max_length > longest:
            what = f"data.max_length={data.max_length}, and the model takes at most {longest} tokens"
            raise ConfigError("data.max_length", what, where="data.max_length", fix=f"at most {longest}")
        renderer = Renderer(loaded.tokenizer, data.template, today=today)
        self.say(f"  written as {renderer.describe()}")
        return Encoder(
            loaded.tokenizer,
            renderer,
            max_length=data.max_length or longest,
            truncation=data.truncation,
            end_ids=loaded.end_ids,
        )

    def _models(
        self, loaded: Loaded, rows: EncodedSides, max_length: int | None, choices: dict[str, Any]
    ) -> tuple[Scorer, Frozen | None, dict[str, Any]]:
        """Policy and reference, and the digests that say what the run is of. The path goes into `choices`."""
        config, probes = self.config, _probes([*rows.train, *rows.held_out])
        identity = {"model": digest(loaded.model), "data": encoded_digest(rows.train)}
        model: nn.Module = loaded.model.eval()
        if config.adapter.kind == "lora":
            model = adapters.attach(loaded.model, config.adapter, seed=config.train.seed).eval()
        else:
            model.requires_grad_(True)
        require_full_precision(model)
        policy, choice = choose_path(model, probes, wanted=choices["attention"], max_length=max_length)
        choices["attention"] = choice.path
        trained, all_weights = count(each for each in model.parameters() if each.requires_grad), model.parameters()
        self.say(f"{loaded.origin}, sha256 {identity['model'][:12]}")
        self.say(f"  {trained:,} of {count(all_weights):,} weights are trained, on {policy.device}")
        self.say(f"  path: {choice.describe()}; {policy.head.describe()}")
        reference = None
        if self.objective.needs_reference:
            reference, words = make_reference(
                policy, config.reference, config.model, probes, loaded.tokenizer, max_length=max_length
            )
            self.say(f"  reference: {words}")
            if config.reference.path is not None:
                identity["reference"] = digest(reference.scorer.model)
        dropouts = adapters.dropout_modules(model)
        if dropouts and self.objective.two_passes:
            what = "this loss takes two passes, which dropout would make differ"
            raise ConfigError("adapter.dropout", what, where="adapter.dropout", fix="adapter.dropout=0")
        for module in dropouts:
            module.train()
        return policy, reference, identity

    def _stream(self, rows: EncodedSides, encoder: Encoder) -> tuple[Stream, list[EncodedGroup]]:
        """The steps, and the held-out rows as the losses need them."""
        add_mismatched = encoder.add_mismatched if self.objective.mismatched else None
        stream = Stream(
            rows.train,
            pairs_per_step=self.config.train.pairs_per_step,
            epochs=self.config.train.epochs,
            seed=self.config.train.seed,
            max_steps=self.config.train.max_steps,
            add_mismatched=add_mismatched,
        )
        held = rows.held_out
        if add_mismatched is None:
            return stream, held
        if len({group.group.prompt_key() for group in held}) < 2:
            self.say("warning: fewer than two prompts are held out, and this loss compares across them: no evaluation")
            return stream, []
        return stream, list(with_mismatched(held, add_mismatched))

    def _trainer(
        self,
        policy: Scorer,
        reference: Frozen | None,
        stream: Stream,
        held: Sequence[EncodedGroup],
        identity: Mapping[str, Any],
        store: CheckpointStore,
        log: MetricsLog,
    ) -> Trainer:
        config, budget = self.config, self.config.train.token_budget

        def evaluate() -> Row:
            return held_out(Frozen(policy), reference, self.objective, held, token_budget=budget).row

        return Trainer(
            policy,
            reference,
            self.objective,
            stream,
            Optimizer(policy.model, config.optim, peak=config.learning_rate, steps=len(stream)),
            store=store,
            log=log,
            rhythm=Rhythm(
                token_budget=budget,
                checkpoint_every=config.checkpoint.every,
                evaluate_every=config.evaluate.every,
                same_start=config.reference.path is None,
            ),
            evaluate=evaluate if held else None,
            identity=identity,
            observe=lambda row: self.say(line_of(row, len(stream))),
        )

    def _announce(self, stream: Stream) -> None:
        first, warmup = self.objective.terms[0].entry, self.config.optim.warmup_steps
        labels = "comparisons" if first.kind == "pairwise" else "completions" if first.desirable_only else "ratings"
        self.say(f"{len(stream)} steps of {self.config.train.pairs_per_step} {labels}")
        if warmup >= len(stream):
            self.say(f"warning: optim.warmup_steps={warmup}, so the learning rate never gets beyond its warm-up")

    def _refuse_others(self, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> None:
        for key, now in identity.items():
            if checkpoint.state.get(key) != now:
                what = f"the {key} is not what this run began with"
                fix = "resume with the same files, or start anew in another folder"
                raise ConfigError("run.changed", what, where=str(self.folder), fix=fix)

    def _go_back(self, trainer: Trainer, checkpoint: Checkpoint | None) -> int:
        """Put everything back where the checkpoint has it; returns the steps that were done."""
        if checkpoint is None:
            if not trainer.log.is_empty():
                self.say("there is no checkpoint yet: starting from the beginning")
            trainer.log.rewind(0)
            return 0
        if not trainer.log.rewind(int(checkpoint.state["metrics_bytes"])):
            self.say("warning: metrics.jsonl has lost rows from before the checkpoint")
        trainer.load(checkpoint)
        self.say(f"resuming after step {checkpoint.step}")
        return checkpoint.step


def _in_memory(model: tuple[PreTrainedModel, PreTrainedTokenizerBase], config: RunConfig) -> Loaded:
    return describe_loaded(*model, config.model.path or "in memory")


def _probes(groups: Sequence[EncodedGroup]) -> list[Batch]:
    """The longest group, and the shortest beside the longest."""
    longest = max(groups, key=lambda group: group.longest)
    shortest = min(groups, key=lambda group: group.longest)
    return [pack([longest]), pack([shortest, longest])] if shortest is not longest else [pack([longest])]
