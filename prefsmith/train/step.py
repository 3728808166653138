"""The gradient of one optimiser step, whatever the micro-batches.

Reduce once: the sum of data weight x loss over the step, divided by the sum of the data weights of the step. Both are
sums over micro-batches, and the denominator is known before the first forward.

Separable losses take one pass. Losses that look across the step take two: the scores of the whole step without
gradient; the loss on those, in the order of the stream, which gives one coefficient for every score; forward again and
backward with the coefficients.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import labels_of, pack
from prefsmith.errors import TrainingError
from prefsmith.model.logprobs import sum_per_sequence
from prefsmith.model.score import Asked, Frozen, Scorer, Scores
from prefsmith.train.objective import Objective, States
from prefsmith.train.parallel import ALONE, Ranks
from prefsmith.train.reduction import Draw, Reduction, reduction_of
from prefsmith.train.room import room_for
from prefsmith.types import (
    Batch,
    Labels,
    PerToken,
    Preferences,
    SequenceScores,
    TokenNats,
    TokenScores,
    TokenSlopes,
    join_labels,
    join_preferences,
    join_scores,
)


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


def accumulate_step(
    policy: Scorer,
    reference: Frozen | None,
    objective: Objective,
    groups: Sequence[EncodedGroup],
    token_budget: int,
    *,
    states: States | None = None,
    draw: Draw | None = None,
    ranks: Ranks = ALONE,
) -> Scored:
    """Add the gradient of the step's objective to the policy's parameters.

    Args:
        policy: the model to train.
        reference: what it is compared with; None where no loss asks.
        objective: the loss terms.
        groups: all groups of the step.
        token_budget: most tokens of a micro-batch.
        states: what the terms remember of the steps before; None before the first.
        draw: where noise comes from; None draws none.
        ranks: the processes of the run. Each adds the gradient of its share of the groups, and all return the step.

    Raises:
        TrainingError: a score or a loss is not finite; the rows are named.
    """
    reduction = reduction_of(objective, groups, states, draw)
    if objective.two_passes:
        return _two_passes(policy, reference, reduction, groups, token_budget, ranks)
    parts: list[Scored] = []
    for turn in ranks.turns(groups, token_budget):
        batch = [groups[index] for index in turn.members]
        with room_for(batch):
            weigh = _OnePass(reduction, batch, reference)
            policy.accumulate(weigh.batch, weigh if turn.counts else _nothing, objective.asked, reference)
            parts += weigh.parts
    return join_scored([part for each in ranks.gather(parts) for part in each])


def _nothing(tokens: TokenScores, _part: slice) -> TokenSlopes:
    """The derivative of an objective in which these tokens do not count."""
    return TokenSlopes(torch.zeros_like(tokens.policy), None if tokens.kl is None else torch.zeros_like(tokens.kl))


class _OnePass:
    """A micro-batch whose groups are graded as their scores come, some at a time."""

    def __init__(self, reduction: Reduction, groups: Sequence[EncodedGroup], reference: Frozen | None) -> None:
        self.reduction, self.groups, self.batch = reduction, groups, pack(groups)
        self.reference_nats = None if reference is None else reference.token_nats(self.batch)
        self.parts: list[Scored] = []

    def __call__(self, tokens: TokenScores, members: slice) -> TokenSlopes:
        whole = members == slice(0, len(self.groups))
        batch = self.batch if whole else pack(self.groups[members])
        start = 0 if whole else sum(map(_scored_tokens, self.groups[: members.start]))
        nats = None if self.reference_nats is None else self.reference_nats[start : start + len(tokens.policy)]
        needs_tokens = self.reduction.objective.needs_tokens
        scores = _scores(tokens, nats, batch.scored_per_seq(), needs_tokens=needs_tokens)
        _require_finite_scores(scores, batch)
        graded = self.reduction.grade(tokens, scores, batch.labels)
        self.parts.append(Scored(graded.loss, scores, batch.labels, batch.compared, graded.outside))
        return graded.slopes


def score_step(
    policy: Scores,
    reference: Frozen | None,
    objective: Objective,
    groups: Sequence[EncodedGroup],
    token_budget: int,
    *,
    states: States | None = None,
    ranks: Ranks = ALONE,
) -> Scored:
    """The same without gradient and without noise: the objective on the groups as one step."""
    whole = _score_whole(policy, reference, objective, groups, token_budget, ranks)
    graded = reduction_of(objective, groups, states, None).grade(whole.tokens, whole.scores, whole.labels)
    return Scored(graded.loss, whole.scores, whole.labels, whole.compared, graded.outside)


def _two_passes(
    policy: Scorer,
    reference: Frozen | None,
    reduction: Reduction,
    groups: Sequence[EncodedGroup],
    token_budget: int,
    ranks: Ranks,
) -> Scored:
    whole = _score_whole(policy, reference, reduction.objective, groups, token_budget, ranks)
    graded = reduction.grade(whole.tokens, whole.scores, whole.labels)
    sizes = [_scored_tokens(group) for group in groups]
    own = [replace(group, mismatched=()) for group in groups]
    # A group's own completions stand in front of the mismatched ones, which carry no gradient.
    kept = [_scored_tokens(group) for group in own]

    def each_group(slopes: TokenNats) -> list[Tensor]:
        return [slope[:count] for slope, count in zip(slopes.split(sizes), kept, strict=True)]

    by_policy = each_group(graded.slopes.policy)
    by_kl = None if graded.slopes.kl is None else each_group(graded.slopes.kl)
    for turn in ranks.turns(own, token_budget):
        members = turn.members

        def known(_tokens: TokenScores, part: slice, members: list[int] = members) -> TokenSlopes:
            policy_slopes = torch.cat([by_policy[index] for index in members[part]])
            kl_slopes = None if by_kl is None else torch.cat([by_kl[index] for index in members[part]])
            return TokenSlopes(policy_slopes, kl_slopes)

        asked = Asked(kl=reduction.objective.asked.kl)
        with room_for([groups[index] for index in members]):
            weigh = known if turn.counts else _nothing
            policy.accumulate(pack([own[index] for index in members]), weigh, asked, reference)
    return Scored(graded.loss, whole.scores, whole.labels, whole.compared, graded.outside)


@dataclass(frozen=True, slots=True)
class _Whole:
    """All scores of a step, in stream order, whatever the micro-batches were."""

    tokens: TokenScores
    scores: SequenceScores
    labels: tuple[Labels, ...]
    compared: Preferences


def _score_whole(
    policy: Scores,
    reference: Frozen | None,
    objective: Objective,
    groups: Sequence[EncodedGroup],
    token_budget: int,
    ranks: Ranks,
) -> _Whole:
    columns: dict[str, dict[int, TokenNats]] = {}
    for turn in ranks.turns(groups, token_budget):
        members = turn.members
        batch = pack([groups[index] for index in members])
        with room_for([groups[index] for index in members]):
            tokens = policy.token_scores(batch, objective.asked, reference)
            reference_nats = None if reference is None else reference.token_nats(batch)
        _require_finite_scores(_scores(tokens, reference_nats, batch.scored_per_seq()), batch)
        if not turn.counts:
            continue
        sizes = [_scored_tokens(groups[index]) for index in members]
        found = {"policy": tokens.policy, "confidence": tokens.confidence, "kl": tokens.kl, "reference": reference_nats}
        for name, values in found.items():
            if values is not None:
                columns.setdefault(name, {}).update(zip(members, values.split(sizes), strict=True))
    for theirs in ranks.gather(columns):
        for name, parts in theirs.items():
            columns.setdefault(name, {}).update(parts)
    joined = {name: torch.cat([parts[index] for index in range(len(groups))]) for name, parts in columns.items()}
    reference_nats = joined.pop("reference", None)
    tokens = TokenScores(**joined)
    labels, compared = labels_of(groups)
    lengths = torch.tensor([size for group in groups for size in _lengths(group)])
    return _Whole(
        tokens=tokens,
        scores=_scores(tokens, reference_nats, lengths, needs_tokens=objective.needs_tokens),
        labels=labels,
        compared=compared,
    )


def _scores(
    tokens: TokenScores,
    reference_nats: TokenNats | None,
    lengths: Int[Tensor, " seq"],
    *,
    needs_tokens: bool = False,
) -> SequenceScores:
    lengths = lengths.cpu()
    per_token = None
    if needs_tokens:
        per_token = PerToken(tokens.policy, reference_nats, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))
    return SequenceScores(
        policy=sum_per_sequence(tokens.policy, lengths),
        reference=None if reference_nats is None else sum_per_sequence(reference_nats, lengths),
        tokens=lengths,
        per_token=per_token,
        confidence=None if tokens.confidence is None else sum_per_sequence(tokens.confidence, lengths) / lengths,
        kl=None if tokens.kl is None else sum_per_sequence(tokens.kl, lengths),
    )


def _lengths(group: EncodedGroup) -> list[int]:
    """Scored tokens of each of the group's completions, the mismatched ones last."""
    return [len(each.ids) - each.unscored for each in (*group.completions, *group.mismatched)]


def _scored_tokens(group: EncodedGroup) -> int:
    return sum(_lengths(group))


def join_scored(parts: Sequence[Scored]) -> Scored:
    """What several micro-batches of a step scored, as one."""
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
