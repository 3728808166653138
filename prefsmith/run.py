"""A whole run: the one place that puts the parts together. Read, split, encode, load, train, evaluate, export."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prefsmith import report
from prefsmith.assembly import (
    Models,
    Say,
    check_places,
    describe_stream,
    labels_wanted,
    load_or_take,
    make_encoder,
    make_models,
    make_stream,
    objective_of,
    resolved,
)
from prefsmith.config import RunConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.encoded_rows import Selection
from prefsmith.data.prepare import Preparation, encoded_digest
from prefsmith.data.sides import EncodedSides
from prefsmith.data.stream import Stream
from prefsmith.errors import DataError, PrefsmithError, TrainingError
from prefsmith.evaluate.implicit import held_out
from prefsmith.evaluate.sampler import Sampler
from prefsmith.evaluate.samples import SampleLog
from prefsmith.model.export import export
from prefsmith.model.load import Loaded, find_device
from prefsmith.model.score import Frozen
from prefsmith.records import Group
from prefsmith.train import sharding
from prefsmith.train.budget import settle
from prefsmith.train.checkpoint import CheckpointStore, lock
from prefsmith.train.determinism import deterministic
from prefsmith.train.findings import Doctor
from prefsmith.train.folder import claim, environment, require_one_folder, with_folder, write_outcome, write_records
from prefsmith.train.loop import Rhythm, Row, Trainer
from prefsmith.train.monitor import MetricsLog, NoLog, line_of, read_rows
from prefsmith.train.objective import Objective, States
from prefsmith.train.optim import Optimizer
from prefsmith.train.parallel import Ranks, joined
from prefsmith.train.reference_pass import ask as ask_reference
from prefsmith.train.resuming import choices_of, go_back, newest, refuse_others
from prefsmith.train.room import is_out_of_memory, out_of_memory_elsewhere

Watch = Callable[[Row, int], None]


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
    watch: Watch | None = None,
) -> Run:
    """Train as the settings say, and write the run's folder.

    Args:
        config: every setting.
        groups: training rows in memory, in the place of `data.train`.
        model: policy and tokenizer in memory, in the place of `model.path`. The policy is trained in place.
        resume: go on behind the newest whole checkpoint of `config.out`, exactly as if the run had never stopped.
        say: is given a line at a time of what happens.
        watch: is given every row of metrics and the number of steps of the run; without it `say` gets a line of each.

    Raises:
        ConfigError: a setting is wrong, or the folder holds another run.
        DataError: a row cannot be used.
        TrainingError: the run stopped itself.
        Interrupted: a signal stopped it.
    """
    apart = config.train.parallel == "fsdp"
    with joined(in_step=apart, device=config.model.device) as ranks, ExitStack() as stack:
        if not ranks.is_first:
            say, watch = (lambda line: None), (lambda row, steps: None)
        objective = objective_of(config)
        settings = resolved(config, objective)
        if ranks.in_step:
            sharding.refuse_unsharded(config)
        ranks.require_same(settings.flat(), where="the command line")
        config = ranks.from_first(lambda: with_folder(settings, resume=resume))
        check_places(config, in_memory=model is not None)
        folder = Path(str(config.out))
        ranks.from_first(lambda: claim(folder, config, resume))
        ranks.from_first(lambda: stack.enter_context(lock(folder)))
        require_one_folder(folder, ranks)
        stack.enter_context(deterministic(config.train.deterministic))
        watch = watch or (lambda row, steps: say(line_of(row, steps)))
        try:
            return _Composition(config, folder, objective, say, watch, ranks).run(groups, model, resume=resume)
        except PrefsmithError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise out_of_memory_elsewhere(error) from error
            with suppress(OSError):
                name = "crash.log" if ranks.is_first else f"crash-{ranks.index}.log"
                (folder / name).write_text(traceback.format_exc(), encoding="utf-8")
            raise


class _Composition:
    """The parts of one run, made one after the other."""

    def __init__(
        self, config: RunConfig, folder: Path, objective: Objective, say: Say, watch: Watch, ranks: Ranks
    ) -> None:
        self.config, self.folder, self.objective, self.say, self.watch = config, folder, objective, say, watch
        self.ranks = ranks
        self.placed = config
        if ranks.in_step:  # parts are taken out of a model in the computer's own memory
            on_cpu = config.model.model_copy(update={"device": "cpu"})
            self.placed = config.model_copy(update={"model": on_cpu})

    def run(
        self,
        groups: Sequence[Group] | None,
        model: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None,
        *,
        resume: bool,
    ) -> Run:
        """Everything, in order."""
        started = time.perf_counter()
        config, say, ranks = self.config, self.say, self.ranks
        store = CheckpointStore.of(config.checkpoint, self.folder / "checkpoints", ranks)
        checkpoint = newest(store, say) if resume else None
        choices = choices_of(checkpoint, attention=config.model.attention, ranks=ranks, say=say)
        preparation = Preparation(config.data, labels_wanted(self.objective), say, first=ranks.one_per_machine)
        loaded, encoder, rows = self._encoded(preparation, groups, model, date.fromisoformat(choices["date"]))
        torch.manual_seed(config.train.seed)
        models = self._models(loaded, encoder, rows, choices)
        stream, held = make_stream(config, self.objective, rows, encoder, say)
        config = self._settle(models, stream, held, choices)
        if checkpoint is not None:
            refuse_others(checkpoint, models.identity, self.folder)
        ranks.require_same({**models.identity, "held-out data": encoded_digest(rows.held_out)}, str(self.folder))
        facts = {**models.facts, "steps": len(stream)}
        if ranks.is_first:
            write_records(self.folder, config, preparation.record, facts, environment(ranks))
            preparation.rejects.write(self.folder / "rejected.jsonl")
        self._spread(models, from_first=model is None)
        sampler = Sampler(models.policy, models.reference, encoder, rows, config, in_parts=ranks.in_step, say=say)
        samples = SampleLog(self.folder / "samples.jsonl", sampler, ranks)
        samples.before()
        doctor = Doctor(self.folder, len(stream), config, preparation.record, say)
        everything = Selection([rows.train, rows.held_out])
        ask_reference(models.reference, everything, config, models.identity, folder=self.folder, say=say, ranks=ranks)
        if checkpoint is not None:
            refuse_others(checkpoint, models.identity, self.folder)
        with (
            closing(store),
            closing(MetricsLog(self.folder / "metrics.jsonl") if ranks.is_first else NoLog()) as log,
        ):
            trainer = self._trainer(models, stream, held, choices, store, log, sampler, doctor)
            done = go_back(trainer, checkpoint, say)
            doctor.begin()
            describe_stream(config, self.objective, stream, say, done=done)
            steps = trainer.run(done, evaluate_first=checkpoint is not None and bool(checkpoint.state["unevaluated"]))
        samples.after(steps)
        doctor.end()
        if ranks.in_step:
            sharding.make_whole(models.policy, ranks)
        template = encoder.renderer.template
        ranks.from_first(lambda: self._write_result(models, loaded, template, steps, time.perf_counter() - started))
        return self._left(steps)

    def _left(self, steps: int) -> Run:
        """What the run left behind."""
        metrics = read_rows(self.folder / "metrics.jsonl")
        evaluation = next((row for row in reversed(metrics) if row.get("split") == "eval"), None)
        return Run(self.folder, steps, metrics, evaluation)

    def _encoded(
        self,
        preparation: Preparation,
        groups: Sequence[Group] | None,
        model: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None,
        today: date,
    ) -> tuple[Loaded, Encoder, EncodedSides]:
        """The model, and the rows as it reads them; what was refused is written down even where that ends the run."""
        try:
            sides = preparation.read(groups)
            loaded = load_or_take(self.placed, model, self.ranks)
            encoder = make_encoder(self.config.data, loaded, today, self.say)
            return loaded, encoder, preparation.encode(encoder, sides)
        except DataError:
            if self.ranks.is_first:
                with suppress(TrainingError):  # of a full disk: what is wrong with the data is told
                    preparation.rejects.write(self.folder / "rejected.jsonl")
            raise

    def _models(self, loaded: Loaded, encoder: Encoder, rows: EncodedSides, choices: dict[str, Any]) -> Models:
        """Policy and reference, on the path that is among the choices from here on."""
        models = make_models(
            self.placed,
            self.objective,
            loaded,
            rows,
            self.say,
            max_length=encoder.max_length,
            attention=choices["attention"],
            ranks=self.ranks,
        )
        choices["attention"] = models.choice.path
        return models

    def _write_result(self, models: Models, loaded: Loaded, template: str | None, steps: int, seconds: float) -> None:
        """The model, whatever else there is to say, and the report."""
        export(models.policy.model, loaded.tokenizer, self.folder, template=template)
        write_outcome(self.folder, steps=steps, seconds=seconds)
        self.say(f"the model is in {self.folder / 'model'}")
        self._report()

    def _spread(self, models: Models, *, from_first: bool) -> None:
        """From here on the processes draw numbers of their own, and with fsdp each keeps a part of every weight.

        Args:
            models: policy and reference.
            from_first: whether only the first process has read the policy's weights.
        """
        if (ranks := self.ranks).alone:
            return
        torch.manual_seed(self.config.train.seed + 1_000_003 * ranks.index)
        self.say(f"  {ranks.describe()} (train.parallel={self.config.train.parallel})")
        if ranks.in_step:
            sharding.spread(
                models.policy,
                None if models.reference is None else models.reference.scorer,
                sharding.mesh_of(ranks, find_device(self.config.model.device)),
                stays=self.objective.asked.kl,
                from_first=(from_first, from_first and self.config.reference.path is None),
            )

    def _report(self) -> None:
        """The page about the run. The model is written: nothing that goes wrong here takes it back."""
        try:
            self.say(f"the report is {report.write(self.folder)}")
        except Exception as error:
            with suppress(OSError):
                (self.folder / "crash.log").write_text(traceback.format_exc(), encoding="utf-8")
            self.say(f"warning: no report was written: {type(error).__name__}: {error}")
            self.say(f"  `prefsmith report {self.folder}` draws it again")

    def _settle(
        self, models: Models, stream: Stream, held: Sequence[EncodedGroup], choices: dict[str, Any]
    ) -> RunConfig:
        """The settings with a token budget that is a number: the one that the run began with, if it was found then."""
        self.config = settle(
            self.config,
            self.objective,
            models.policy,
            models.reference,
            stream,
            held,
            self.say,
            known=choices.get("token_budget"),
            device=find_device(self.config.model.device),
        )
        choices["token_budget"] = budget = min(self.ranks.gather(self.config.train.budget))
        self.config = self.config.model_copy(
            update={"train": self.config.train.model_copy(update={"token_budget": budget})}
        )
        return self.config

    def _trainer(
        self,
        models: Models,
        stream: Stream,
        held: Sequence[EncodedGroup],
        choices: Mapping[str, Any],
        store: CheckpointStore,
        log: MetricsLog,
        sampler: Sampler,
        doctor: Doctor,
    ) -> Trainer:
        config, budget = self.config, self.config.train.budget

        def evaluate(states: States) -> Row:
            row = held_out(
                Frozen(models.policy),
                models.reference,
                self.objective,
                held,
                token_budget=budget,
                states=states,
                ranks=self.ranks,
            ).row
            return row if config.evaluate.kl_budget is None else {**row, **sampler.divergence()}

        def observe(row: Row) -> None:
            self.watch(row, len(stream))
            doctor.see(row)

        sharding.take_apart(models.policy)  # the optimiser moves this process's parts
        return Trainer(
            models.policy,
            models.reference,
            self.objective,
            stream,
            Optimizer(models.policy.model, config.optim, peak=config.learning_rate, steps=len(stream)),
            store=store,
            log=log,
            rhythm=Rhythm(
                token_budget=budget,
                checkpoint_every=config.checkpoint.every,
                evaluate_every=config.evaluate.every,
                same_start=config.reference.path is None,
            ),
            evaluate=evaluate if held else None,
            identity={**models.identity, **choices},
            observe=observe,
            ranks=self.ranks,
        )
