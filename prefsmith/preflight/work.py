"""How much there is to compute: steps, tokens, micro-batches; and how fast this machine is, measured once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from prefsmith.assembly import Models
from prefsmith.config import RunConfig
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import plan
from prefsmith.data.stream import Stream
from prefsmith.model.score import Path as Route
from prefsmith.preflight.facts import Pace, Work
from prefsmith.train.loop import OTHER_REFERENCE
from prefsmith.train.monitor import require_same_start
from prefsmith.train.objective import Objective
from prefsmith.train.peak import computed_tokens
from prefsmith.train.step import Scored, accumulate_step

PATIENCE = 10.0
"""Seconds that a measurement may take, as far as a smaller one tells."""
GROWTH = 4
"""Each measurement runs so many times the tokens of the one before: small ones mostly time what a call costs."""


def scored_tokens(groups: Sequence[EncodedGroup]) -> int:
    """Tokens that the loss counts."""
    return sum(len(answer.ids) - answer.unscored for each in groups for answer in each.completions)


@dataclass(frozen=True, slots=True)
class Load:
    """The work of a run, and its largest micro-batch: the groups that one forward and backward hold at once."""

    work: Work
    largest: list[EncodedGroup]


def load_of(config: RunConfig, objective: Objective, stream: Stream, path: Route) -> Load:
    """Every step planned as training plans it.

    Args:
        config: with every value in force.
        objective: the loss terms.
        stream: the steps.
        path: how batches are run.
    """
    budget, first, largest = config.train.budget, (), list[EncodedGroup]()
    most = tokens = unshared = scored = 0
    for number, (_, members) in enumerate(stream.plan):
        groups = [stream.groups[member] for member in members]
        batches = [[groups[index] for index in batch] for batch in plan(groups, budget)]
        sizes = [computed_tokens(batch, path) for batch in batches]
        first = tuple(sizes) if number == 0 else first
        if max(sizes) > most:
            most, largest = max(sizes), batches[sizes.index(max(sizes))]
        tokens += sum(sizes)
        unshared += computed_tokens(groups, "packed")
        scored += scored_tokens(groups)
    entry = objective.terms[0].entry
    labels = {"pairwise": "comparisons", "listwise": "ranked lists", "unpaired": "ratings"}[entry.kind]
    labels = "completions" if entry.desirable_only else labels
    work = Work(
        losses=tuple(_described(config, objective)),
        learning_rate=config.learning_rate,
        labels=labels,
        steps=len(stream),
        epochs=config.train.epochs,
        pairs_per_step=config.train.pairs_per_step,
        scored_tokens=scored,
        tokens=tokens,
        tokens_unshared=unshared,
        first_step=first,
        largest=most,
    )
    return Load(work, largest)


def measured_pace(config: RunConfig, objective: Objective, models: Models, stream: Stream, work: Work) -> Pace:
    """The gradient of the first micro-batch, timed and thrown away; of a part of it where that would take long.

    Raises:
        TrainingError: policy and reference differ at the start, or a value is not finite.
    """
    groups = next(stream.steps()).groups
    own = [replace(each, mismatched=()) for each in groups]
    batch = [groups[index] for index in plan(own, config.train.budget)[0]]
    timed = [min(batch, key=lambda group: group.tokens)]
    _timed(config, objective, models, timed)  # the first time is longer: kernels and buffers are made
    scored, seconds = _timed(config, objective, models, timed)
    while len(timed) < len(batch) and GROWTH * seconds <= PATIENCE:
        more = _first(batch, GROWTH * sum(group.tokens for group in timed))
        timed = more if len(more) > len(timed) else batch[: len(timed) + 1]
        scored, seconds = _timed(config, objective, models, timed)
    if config.reference.path is None and scored.scores.reference is not None:
        where = ", ".join(each.group.source for each in timed[:3])
        require_same_start(
            scored.scores.policy,
            scored.scores.reference,
            where=f"rows {where}",
            fix=OTHER_REFERENCE,
            precision=models.policy.precision,
        )
    size = computed_tokens(timed, models.policy.path)
    return Pace(seconds, size, seconds / size * work.tokens, scored.loss)


def _timed(
    config: RunConfig, objective: Objective, models: Models, groups: Sequence[EncodedGroup]
) -> tuple[Scored, float]:
    """What was scored, and seconds."""
    policy = models.policy
    started = time.perf_counter()
    scored = accumulate_step(policy, models.reference, objective, groups, config.train.budget)
    if policy.device.type == "cuda":
        torch.cuda.synchronize(policy.device)
    seconds = time.perf_counter() - started
    policy.model.zero_grad(set_to_none=True)
    return scored, seconds


def _first(groups: Sequence[EncodedGroup], tokens: float) -> list[EncodedGroup]:
    """The first groups that together have at most so many tokens."""
    kept: list[EncodedGroup] = []
    for group in groups:
        tokens -= group.tokens
        if tokens < 0:
            break
        kept.append(group)
    return kept


def _described(config: RunConfig, objective: Objective) -> list[str]:
    """Each loss with its settings: `dpo (beta 0.1, label_smoothing 0)`; its weight where there are several."""
    words = []
    for term in objective.terms:
        settings = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in term.settings.items()]  # fmt: skip
        settings += [f"weight {term.weight:g}"] if len(config.losses) > 1 else []
        words.append(f"{term.entry.name} ({', '.join(settings)})" if settings else term.entry.name)
    return words
