"""The training loop, from top to bottom."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.stream import Step, Stream
from prefsmith.errors import Interrupted
from prefsmith.model.moving import MovingReference
from prefsmith.model.score import Frozen, Scorer
from prefsmith.train.checkpoint import Checkpoint, CheckpointStore, random_states, restore_random_states
from prefsmith.train.monitor import MetricsLog, as_row, peak_memory_bytes, require_finite, require_same_start
from prefsmith.train.objective import Objective, States
from prefsmith.train.optim import Optimizer, weight_of
from prefsmith.train.parallel import ALONE, Ranks
from prefsmith.train.parts import names_in, put, read_parts
from prefsmith.train.reduction import Draw
from prefsmith.train.room import OutOfRoom, budget_that_fits, out_of_memory, out_of_memory_among
from prefsmith.train.signals import Stopped, StopSignals
from prefsmith.train.step import Scored, accumulate_step, score_step

Row = Mapping[str, object]

OTHER_REFERENCE = (
    "the reference is another model, dropout is active, or the adapter's initialisation changed the base; "
    "name another reference on purpose with reference.path"
)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When what happens.

    Args:
        token_budget: most tokens of a micro-batch.
        checkpoint_every: steps between checkpoints; the last step saves one too.
        evaluate_every: steps between evaluations, 0 for none but the one after the last step.
        same_start: whether policy and reference must agree before the first step.
    """

    token_budget: int
    checkpoint_every: int
    evaluate_every: int
    same_start: bool


class Trainer:
    """Everything that a run moves, and what it is moved by.

    Args:
        policy: the model to train.
        reference: what it is compared with; None where no loss asks.
        objective: the loss terms.
        stream: the steps.
        optimizer: moves the policy's weights.
        store: keeps checkpoints.
        log: keeps metrics.
        rhythm: when what happens.
        evaluate: scores the held-out rows, given what the losses remember; None where there are none. It may look,
            not touch.
        identity: what the run is of (digests); kept in every checkpoint.
        observe: is shown every row of metrics.
        ranks: the processes of the run.
    """

    def __init__(
        self,
        policy: Scorer,
        reference: Frozen | None,
        objective: Objective,
        stream: Stream,
        optimizer: Optimizer,
        *,
        store: CheckpointStore,
        log: MetricsLog,
        rhythm: Rhythm,
        evaluate: Callable[[States], Row] | None = None,
        identity: Mapping[str, Any] | None = None,
        observe: Callable[[Row], None] = lambda row: None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        self.policy, self.reference, self.objective = policy, reference, objective
        self.stream, self.optimizer, self.store, self.log, self.rhythm = stream, optimizer, store, log, rhythm
        self.evaluate, self.identity, self.observe = evaluate, dict(identity or {}), observe
        self.states = objective.first_states()
        self.moving = reference if isinstance(reference, MovingReference) else None

    def run(self, done: int = 0, *, evaluate_first: bool = False) -> int:
        """Do the steps after the first `done`; returns the number of steps done in all.

        Args:
            done: steps that are behind.
            evaluate_first: whether the evaluation after step `done` is still owed.

        Raises:
            TrainingError: a value is not finite, the start is not the reference, memory ran out, or a checkpoint cannot
                be written.
            Interrupted: a signal came; the step or save was finished, an evaluation left, and a checkpoint saved.
        """
        with StopSignals() as signals:
            if evaluate_first:
                self._heed(signals, done, unevaluated=not self._evaluate(done, signals))
            for step in self.stream.steps(done):
                self._show(self._step(step))
                done, last = step.number, step.number == len(self.stream)
                evaluate = last or self._due(step, self.rhythm.evaluate_every)
                self._heed(signals, done, unevaluated=evaluate)
                if evaluate:
                    self._heed(signals, done, unevaluated=not self._evaluate(done, signals))
                if last or self._due(step, self.rhythm.checkpoint_every):
                    self.save(done)
                    self._heed(signals, done)
            self.store.finish()
            self._heed(signals, done)
        return done

    def _heed(self, signals: StopSignals, number: int, *, unevaluated: bool = False) -> None:
        """Let a checkpoint exist that all have written, and save and stop if a signal came to any process.

        It is saved before an evaluation, too, which may take longer than whoever stops us waits.

        Raises:
            Interrupted: a signal came.
        """
        told = self.ranks.gather((signals.caught or 0, self.store.is_written()))
        if all(written for _, written in told):
            self.store.finish()
        if caught := max(each for each, _ in told):
            self.save(number, unevaluated=unevaluated)
            self.store.finish()
            raise self._interrupted(caught, number)

    def _evaluate(self, number: int, signals: StopSignals) -> bool:
        """Score the held-out rows; False where a signal came first. Among processes all finish what one has begun."""
        if self.evaluate is None:
            return True
        random = random_states(self.ranks)
        try:
            with signals.at_once() if self.ranks.alone else nullcontext():
                row = self.evaluate(self.states)
        except Stopped:
            restore_random_states(random, self.ranks)
            return False
        except OutOfRoom as error:
            groups = error.groups
        else:
            self._show({"step": number, "split": "eval", **row})
            return True
        if self.ranks.in_step:
            raise out_of_memory_among(f"on held-out rows after step {number}", groups)

        def look(groups: Sequence[EncodedGroup], budget: int) -> None:
            score_step(Frozen(self.policy), self.reference, self.objective, groups, budget, states=self.states)

        raise out_of_memory(f"on held-out rows after step {number}", groups, budget_that_fits(groups, look))

    def _interrupted(self, signal_number: int, number: int) -> Interrupted:
        folder = self.store.folder.parent
        what = f"stopped by a signal after step {number} of {len(self.stream)}; it is saved"
        fix = f"go on with `prefsmith train --out {folder} --resume`"
        return Interrupted(signal_number, what, where=str(folder), fix=fix)

    def _step(self, step: Step) -> dict[str, object]:
        """One optimiser step: gradient, checks, update. The weights move last."""
        started = time.perf_counter()
        sources = [group.group.source for group in step.groups]
        scored = self._accumulate(step)
        if step.number == 1 and self.rhythm.same_start and scored.scores.reference is not None:
            where = f"step 1, rows {', '.join(sources[:3])} and others"
            require_same_start(
                scored.scores.policy,
                scored.scores.reference,
                where=where,
                fix=OTHER_REFERENCE,
                precision=self.policy.precision,
            )
        self.ranks.add_gradients(self.optimizer.weights.values())
        grad_norm = self.optimizer.clip(self.ranks.total)
        require_finite(step.number, scored.loss, grad_norm, sources)
        learning_rate = self.optimizer.step(step.number)
        self.states = self.objective.next_states(self.states, scored.scores, scored.labels)
        moved = self.moving is not None and self.moving.step(step.number)
        row = self._row(step, scored, grad_norm, learning_rate, time.perf_counter() - started)
        return {**row, "reference_moved": True} if moved else row

    def _accumulate(self, step: Step) -> Scored:
        def gradient(groups: Sequence[EncodedGroup], budget: int, ranks: Ranks = ALONE) -> Scored:
            draw = Draw(self.stream.seed, step.number)
            return accumulate_step(
                self.policy, self.reference, self.objective, groups, budget, states=self.states, draw=draw, ranks=ranks
            )

        try:
            return gradient(step.groups, self.rhythm.token_budget, self.ranks)
        except OutOfRoom as error:
            groups = error.groups
        if self.ranks.in_step:  # nothing can be tried without the others
            raise out_of_memory_among(f"in step {step.number}", groups)
        kept = self.optimizer.room_to_come()
        fits = budget_that_fits(groups, gradient)
        del kept
        raise out_of_memory(f"in step {step.number}", groups, fits)

    def save(self, number: int, *, unevaluated: bool = False) -> None:
        """Write a checkpoint after step `number`; `unevaluated` says that its evaluation is still owed."""
        self.store.save(
            Checkpoint(
                step=number,
                weights=dict(self.optimizer.weights),
                optimizer=self.optimizer.state(),
                random=random_states(self.ranks),
                reference={} if self.moving is None else self.moving.tensors(),
                state={
                    "metrics_bytes": self.log.sync(),
                    "unevaluated": unevaluated,
                    "memory": self.states,
                    **self.identity,
                },
            )
        )

    def load(self, checkpoint: Checkpoint) -> None:
        """Put weights, optimiser, generators, memory and reference where they were when the checkpoint was written."""
        weights = self.optimizer.weights
        if checkpoint.parts is not None:
            self.optimizer.begin(weight_of(name) for name in names_in(checkpoint.parts) if name not in weights)
            read_parts(checkpoint.parts, {**weights, **self.optimizer.state()})
        else:
            for name, weight in weights.items():
                put(weight, checkpoint.weights[name])
            self.optimizer.load_state(checkpoint.optimizer)
        restore_random_states(checkpoint.random, self.ranks)
        if self.moving is not None:
            self.moving.load(checkpoint.reference)
        self.states = tuple(checkpoint.state.get("memory", self.states))

    def _row(
        self, step: Step, scored: Scored, grad_norm: float, learning_rate: float, seconds: float
    ) -> dict[str, object]:
        return {
            "step": step.number,
            "epoch": step.epoch,
            **as_row(scored, self.objective),
            "grad_norm": grad_norm,
            "learning_rate": learning_rate,
            "seconds": round(seconds, 4),
            "peak_memory_bytes": peak_memory_bytes(self.policy.device),
        }

    def _show(self, row: Row) -> None:
        self.log.write(row)
        self.observe(row)

    @staticmethod
    def _due(step: Step, every: int) -> bool:
        return every > 0 and step.number % every == 0
