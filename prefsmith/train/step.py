"""The gradient of one optimiser step, whatever the micro-batches.

Reduce once: the sum of data weight x loss over the step, divided by the sum of the data weights of the step. Both are
sums over micro-batches, and the denominator is known before the first forward.

Separable losses take one pass. Losses that look across the step take two: the scores of the whole step without
gradient; the loss on those, which gives one coefficient for every score; forward again and backward with the
coefficients.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.errors import TrainingError
from prefsmith.losses.domain import evaluate
from prefsmith.losses.registry import Term
from prefsmith.model.logprobs import sum_per_sequence
from prefsmith.model.score import Scorer, Scores
from prefsmith.types import (
    Batch,
    Labels,
    PerToken,
    Preferences,
    SequenceScores,
    TokenNats,
    join_labels,
    join_preferences,
    join_scores,
)


@dataclass(frozen=True, slots=True)
class Objective:
    """The weighted sum of one or more loss terms."""

    terms: tuple[Term, ...]

    @property
    def needs_reference(self) -> bool:
        """Whether any term compares the policy with a reference."""
        return any(term.entry.needs_reference for term in self.terms)

    @property
    def needs_tokens(self) -> bool:
        """Whether any term looks at single tokens."""
        return any("per_token" in term.entry.needs for term in self.terms)

    @property
    def two_passes(self) -> bool:
        """Whether any term looks across the step."""
        return any(term.entry.across_step for term in self.terms)

    @property
    def mismatched(self) -> bool:
        """Whether any term looks at answers to other prompts."""
        return any(term.entry.mismatched for term in self.terms)

    @property
    def beta(self) -> float | None:
        """What turns nats into reward: the first term's."""
        return next((term.beta for term in self.terms if term.beta is not None), None)


@dataclass(frozen=True, slots=True)
class Scored:
    """What was scored, and what came of it.

    Args:
        loss: the objective, summed over terms.
        scores: of every labelled completion, in the order of `compared` and `labels`.
        labels: one view per term.
        compared: what the data says of pairs, for metrics.
        outside: sequences that lay outside a loss's domain and were continued linearly.
    """

    loss: float
    scores: SequenceScores
    labels: tuple[Labels, ...]
    compared: Preferences
    outside: int

    @property
    def tokens(self) -> int:
        """Scored tokens."""
        return int(self.scores.tokens.sum())


@dataclass(frozen=True, slots=True)
class _Graded:
    """The objective on some scores and its derivative by every token's log-probability."""

    loss: float
    slope: TokenNats
    outside: int


def accumulate_step(
    policy: Scorer,
    reference: Scores | None,
    objective: Objective,
    groups: Sequence[EncodedGroup],
    token_budget: int,
) -> Scored:
    """Add the gradient of the step's objective to the policy's parameters.

    Args:
        policy: the model to train.
        reference: what it is compared with; None where no loss asks.
        objective: the loss terms.
        groups: all groups of the step.
        token_budget: most tokens of a micro-batch.

    Raises:
        TrainingError: a score or a loss is not finite; the rows are named.
    """
    if objective.two_passes:
        return _two_passes(policy, reference, objective, groups, token_budget)
    denominators = _denominators(groups, len(objective.terms))
    parts: list[Scored] = []
    for members in plan(groups, token_budget):
        batch = pack([groups[index] for index in members])
        reference_nats = None if reference is None else reference.token_nats(batch)

        def weigh(
            nats: TokenNats, batch: Batch = batch, reference_nats: TokenNats | None = reference_nats
        ) -> TokenNats:
            scores = _scores(nats, reference_nats, batch, objective.needs_tokens)
            _require_finite_scores(scores, batch)
            graded = _grade(objective, nats, scores, batch.labels, denominators)
            parts.append(Scored(graded.loss, scores, batch.labels, batch.compared, graded.outside))
            return graded.slope

        policy.accumulate(batch, weigh)
    return _joined(parts)


def score_step(
    policy: Scores,
    reference: Scores | None,
    objective: Objective,
    groups: Sequence[EncodedGroup],
    token_budget: int,
) -> Scored:
    """The same without gradient: the objective on the groups as one step."""
    whole = _score_whole(policy, reference, objective, groups, token_budget)
    denominators = _denominators(groups, len(objective.terms))
    graded = _grade(objective, whole.nats, whole.scores, whole.labels, denominators)
    return Scored(graded.loss, whole.scores, whole.labels, whole.compared, graded.outside)


def _two_passes(
    policy: Scorer, reference: Scores | None, objective: Objective, groups: Sequence[EncodedGroup], token_budget: int
) -> Scored:
    whole = _score_whole(policy, reference, objective, groups, token_budget)
    denominators = _denominators(groups, len(objective.terms))
    graded = _grade(objective, whole.nats, whole.scores, whole.labels, denominators)
    slopes = dict(zip(whole.order, graded.slope.split(whole.tokens), strict=True))
    own = [replace(group, mismatched=()) for group in groups]
    for members in plan(own, token_budget):
        batch = pack([own[index] for index in members])
        # A group's own completions stand in front of the mismatched ones, which carry no gradient.
        slope = torch.cat([slopes[index][: _own_tokens(own[index])] for index in members])
        policy.accumulate(batch, lambda _nats, slope=slope: slope)
    return Scored(graded.loss, whole.scores, whole.labels, whole.compared, graded.outside)


@dataclass(frozen=True, slots=True)
class _Whole:
    """All scores of a step. `order` are its groups as they were scored, `tokens` the scored tokens of each."""

    nats: TokenNats
    scores: SequenceScores
    labels: tuple[Labels, ...]
    compared: Preferences
    order: list[int]
    tokens: list[int]


def _score_whole(
    policy: Scores, reference: Scores | None, objective: Objective, groups: Sequence[EncodedGroup], token_budget: int
) -> _Whole:
    nats: list[TokenNats] = []
    parts: list[tuple[SequenceScores, Batch]] = []
    order: list[int] = []
    for members in plan(groups, token_budget):
        batch = pack([groups[index] for index in members])
        nats.append(policy.token_nats(batch))
        reference_nats = None if reference is None else reference.token_nats(batch)
        scores = _scores(nats[-1], reference_nats, batch, objective.needs_tokens)
        _require_finite_scores(scores, batch)
        parts.append((scores, batch))
        order += members
    seqs = [batch.completions.shape[0] for _, batch in parts]
    return _Whole(
        nats=torch.cat(nats),
        scores=join_scores([scores for scores, _ in parts]),
        labels=tuple(
            join_labels([batch.labels[term] for _, batch in parts], seqs) for term in range(len(objective.terms))
        ),
        compared=_join_compared([batch.compared for _, batch in parts], seqs),
        order=order,
        tokens=[_own_tokens(groups[index], mismatched=True) for index in order],
    )


def _scores(nats: TokenNats, reference_nats: TokenNats | None, batch: Batch, needs_tokens: bool) -> SequenceScores:
    lengths = batch.scored_per_seq()
    per_token = None
    if needs_tokens:
        per_token = PerToken(nats, reference_nats, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))
    return SequenceScores(
        policy=sum_per_sequence(nats, lengths),
        reference=None if reference_nats is None else sum_per_sequence(reference_nats, lengths),
        tokens=lengths,
        per_token=per_token,
    )


def _grade(
    objective: Objective,
    nats: TokenNats,
    scores: SequenceScores,
    labels: tuple[Labels, ...],
    denominators: Sequence[float],
) -> _Graded:
    """The objective and its derivative; a term without any data weight in the step counts nothing."""
    leaf = nats.clone().requires_grad_(True)
    per_token = None if scores.per_token is None else replace(scores.per_token, policy=leaf)
    live = replace(scores, policy=sum_per_sequence(leaf, scores.tokens), per_token=per_token)
    total = leaf.new_zeros(())
    outside = 0
    for term, view, denominator in zip(objective.terms, labels, denominators, strict=True):
        if denominator > 0:
            values, beyond = evaluate(term, live, view)
            total = total + term.weight * (view.weight * values).sum() / denominator
            outside += beyond
    slope = torch.autograd.grad(total, leaf)[0] if total.requires_grad else torch.zeros_like(leaf)
    return _Graded(total.item(), slope, outside)


def _denominators(groups: Sequence[EncodedGroup], terms: int) -> list[float]:
    """The sum of data weights of each term over the step."""
    return [
        math.fsum(label.weight for group in groups for label in group.views[term].labels()) for term in range(terms)
    ]


def _own_tokens(group: EncodedGroup, *, mismatched: bool = False) -> int:
    """Scored tokens of the group's own completions, and of the mismatched ones where they count."""
    completions = (*group.completions, *group.mismatched) if mismatched else group.completions
    return sum(len(each.ids) - each.unscored for each in completions)


def _joined(parts: list[Scored]) -> Scored:
    seqs = [part.scores.policy.shape[0] for part in parts]
    terms = range(len(parts[0].labels))
    return Scored(
        loss=math.fsum(part.loss for part in parts),
        scores=join_scores([part.scores for part in parts]),
        labels=tuple(join_labels([part.labels[term] for part in parts], seqs) for term in terms),
        compared=_join_compared([part.compared for part in parts], seqs),
        outside=sum(part.outside for part in parts),
    )


def _join_compared(parts: Sequence[Preferences], seqs: Sequence[int]) -> Preferences:
    return join_preferences([part.offset(sum(seqs[:index])) for index, part in enumerate(parts)])


def _require_finite_scores(scores: SequenceScores, batch: Batch) -> None:
    """Before anything is computed from them: the rows whose scores are not finite are named."""
    for who, nats in (("policy", scores.policy), ("reference", scores.reference)):
        if nats is not None and not bool(torch.isfinite(nats).all()):
            rows = rows_of(~torch.isfinite(nats), batch.completions[:, 0], batch.sources)
            raise TrainingError(
                "train.nonfinite",
                f"the {who}'s log-probability is not finite",
                where=rows,
                fix="lower optim.learning_rate; if it is the first step, the model's weights or these rows are damaged",
            )


def rows_of(
    marked: Bool[Tensor, " seq"], group: Int[Tensor, " seq"] | Float64[Tensor, " seq"], sources: Sequence[str]
) -> str:
    """The first few rows whose sequences are marked, as file:line."""
    found = sorted({sources[int(index)] for index in group[marked].tolist()})
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
