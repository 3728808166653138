"""A reward learned from preferences: Bradley-Terry, a body and one row, the best on held-out pairs kept.

    P(a is preferred to b) = s(r(a) - r(b)),   s the logistic function

The loss is the registry's, with the reward in the place of log policy - log reference: `dpo` with beta 1 is the
likelihood of Bradley and Terry. Data, order of the rows, reduction, optimiser and metrics are those of any run. It is
opened again by `feedback.reward.open_reward`, and by the judge `reward`.
"""

import copy
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from prefsmith.assembly import labels_wanted, make_encoder, make_stream, objective_of, resolved
from prefsmith.config import RunConfig
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.data.prepare import Preparation
from prefsmith.data.stream import Stream
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.feedback.reward import RECORD, LearnedReward
from prefsmith.files import write_durably
from prefsmith.model.export import export
from prefsmith.model.load import describe_loaded, load_tokenizer
from prefsmith.model.reward import RewardModel, new_reward_model
from prefsmith.records import Group
from prefsmith.run import Say, Watch
from prefsmith.stats import Share, wilson
from prefsmith.train.folder import free_folder
from prefsmith.train.monitor import MetricsLog, as_row, evidence, require_finite
from prefsmith.train.objective import Objective
from prefsmith.train.optim import Optimizer
from prefsmith.train.reduction import Reduction, reduction_of
from prefsmith.train.step import Scored, join_scored
from prefsmith.types import SequenceScores, TokenScores

TOKENS = 8192
"""Most tokens of a micro-batch where no budget is named."""


@dataclass(frozen=True, slots=True)
class RewardRun:
    """A reward model that was trained.

    Args:
        folder: `model/` is the result, metrics.jsonl and reward.json how it came to be.
        reward: ready to be asked.
        accuracy: share of the held-out pairs whose preferred side it gives more; None where none were held out.
        loss: on them, in nats.
        step: whose weights were kept: of the smallest loss on held-out pairs, the last where there are none.
    """

    folder: Path
    reward: LearnedReward
    accuracy: Share | None
    loss: float | None
    step: int


def fit_reward(
    config: RunConfig, *, groups: Sequence[Group] | None = None, say: Say = print, watch: Watch | None = None
) -> RewardRun:
    """Train a reward model on comparisons.

    Args:
        config: of a run, read as one: `model.path` is the language model whose body is taken, `loss` a loss of pairs
            that reads nothing but log-ratios, `evaluate.every` the steps between looks at the held-out pairs. There is
            no adapter, and no reference: a reward starts at 0.
        groups: training rows in memory, in the place of `data.train`.
        say: is given a line at a time of what happens.
        watch: is given every row of metrics and the number of steps.

    Raises:
        ConfigError: a setting is wrong, the loss reads more than margins, or the folder is not empty.
        DataError: a row cannot be used.
        TrainingError: a value is not finite, or the disk is full.
    """
    objective = objective_of(config)
    _require_margins(objective, config)
    config = resolved(config, objective)
    folder = free_folder(None if config.out is None else Path(config.out), "runs/reward")
    preparation = Preparation(config.data, labels_wanted(objective), say)
    sides = preparation.read(groups)
    model = new_reward_model(config.model.path, device=config.model.device)
    tokenizer = load_tokenizer(config.model.path, trust_remote_code=config.model.trust_remote_code)
    encoder = make_encoder(config.data, describe_loaded(model.inner, tokenizer, config.model.path), date.today(), say)
    rows = preparation.encode(encoder, sides)
    torch.manual_seed(config.train.seed)
    stream, held = make_stream(config, objective, rows, encoder, say)
    with closing(MetricsLog(folder / "metrics.jsonl")) as log:
        kept = _Training(model, objective, config, stream, held, log, watch or (lambda row, steps: None)).run()
    export(model.inner, tokenizer, folder, template=encoder.renderer.template)
    facts = {**kept.as_dict(), "settings": config.model_dump(mode="json"), "data": preparation.record}
    try:
        write_durably(folder / RECORD, json.dumps(facts, indent=1).encode())
    except OSError as error:
        what = f"the reward model's record cannot be written: {error.strerror}"
        raise TrainingError("run.write", what, where=str(folder), fix="make room, or choose another folder") from error
    reward = LearnedReward(model, encoder, name=f"reward model of {config.model.path}", token_budget=_budget(config))
    return RewardRun(folder, reward, kept.accuracy, kept.loss, kept.step)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Weights of a step, and how good they are on held-out pairs."""

    step: int
    loss: float | None
    accuracy: Share | None
    weights: dict[str, Tensor]

    def as_dict(self) -> dict[str, object]:
        """As reward.json has it."""
        share = self.accuracy
        accuracy = None if share is None else {"value": share.value, "low": share.low, "high": share.high, "n": share.n}
        return {"step": self.step, "loss": self.loss, "accuracy": accuracy}


class _Training:
    """The steps, and the best weights so far."""

    def __init__(
        self,
        model: RewardModel,
        objective: Objective,
        config: RunConfig,
        stream: Stream,
        held: Sequence[EncodedGroup],
        log: MetricsLog,
        watch: Watch,
    ) -> None:
        self.model, self.objective, self.config, self.stream, self.held = model, objective, config, stream, held
        self.log, self.watch = log, watch
        model.requires_grad_(True)
        self.optimizer = Optimizer(model, config.optim, peak=config.learning_rate, steps=len(stream))

    def run(self) -> _Kept:
        """All steps; leaves the best weights in the model."""
        best: _Kept | None = None
        for step in self.stream.steps(0):
            scored = self._scored(step.groups, backward=True)
            norm = self.optimizer.clip()
            require_finite(step.number, scored.loss, norm, [group.group.source for group in step.groups])
            rate = self.optimizer.step(step.number)
            row = {**as_row(scored, self.objective), "grad_norm": norm, "learning_rate": rate}
            self._show({"step": step.number, "epoch": step.epoch, **row})
            last, every = step.number == len(self.stream), self.config.evaluate.every
            if last or (every > 0 and step.number % every == 0):
                now = self._look(step.number)
                if best is None or now.loss is None or best.loss is None or now.loss < best.loss:
                    best = now
        assert best is not None  # a stream has a step, and the last one is looked at
        self.model.load_state_dict(best.weights)
        self.model.requires_grad_(False)
        return best

    def _look(self, number: int) -> _Kept:
        weights = copy.deepcopy(self.model.state_dict())
        if not self.held:
            return _Kept(number, None, None, weights)
        with torch.no_grad():
            scored = self._scored(self.held, backward=False)
        seen = evidence(scored)
        share = None if seen.accuracy is None else wilson(seen.accuracy * seen.effective, seen.effective)
        ends = {} if share is None else {"accuracy_low": share.low, "accuracy_high": share.high, "accuracy_n": share.n}
        self._show({"step": number, "split": "eval", **as_row(scored, self.objective), **ends})
        return _Kept(number, scored.loss, share, weights)

    def _scored(self, groups: Sequence[EncodedGroup], *, backward: bool) -> Scored:
        """The objective on the groups as one step, and its gradient if asked."""
        reduction = reduction_of(self.objective, groups, None, None)
        parts = plan(groups, _budget(self.config))
        return join_scored([self._part(reduction, [groups[index] for index in part], backward) for part in parts])

    def _part(self, reduction: Reduction, groups: Sequence[EncodedGroup], backward: bool) -> Scored:
        batch = pack(groups)
        found = self.model(batch)
        rewards = found.detach()
        ones = torch.ones(len(rewards), dtype=torch.int64)
        scores = SequenceScores(policy=rewards, reference=torch.zeros_like(rewards), tokens=ones)
        # A completion has one number: it is graded as if it were one token.
        graded = reduction.grade(TokenScores(rewards), scores, batch.labels)
        if backward:
            found.backward(graded.slopes.policy)
        return Scored(graded.loss, scores, batch.labels, batch.compared, graded.outside)

    def _show(self, row: dict[str, object]) -> None:
        self.log.write(row)
        self.watch(row, len(self.stream))


def _require_margins(objective: Objective, config: RunConfig) -> None:
    """Refuse what needs more of a policy than one number for each completion.

    Raises:
        ConfigError: a loss does, or an adapter is asked for.
    """
    for entry in (term.entry for term in objective.terms):
        plain = entry.memory is None and not (entry.across_step or entry.random or entry.mismatched)
        if entry.kind != "pairwise" or entry.needs != {"reference"} or not plain:
            what = f"{entry.name} is no function of the difference of two rewards"
            raise ConfigError(
                "reward.loss", what, where="loss.name", fix="dpo with beta 1 (Bradley and Terry), hinge, ipo"
            )
    if config.adapter.kind != "none":
        what, fix = "a reward model is trained as a whole", "leave the adapter out"
        raise ConfigError("reward.loss", what, where="adapter.kind", fix=fix)


def _budget(config: RunConfig) -> int:
    budget = config.train.token_budget
    return budget if isinstance(budget, int) else TOKENS
