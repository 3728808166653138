"""Losses that take out of the margin what length alone put into it."""

from typing import Annotated, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from prefsmith.losses.pairwise.margin import Margins, cross_entropy, margin
from prefsmith.losses.registry import NonNegative, Positive, Range, loss
from prefsmith.types import Preferences, SequenceScores, TokenNats

Sequences = Int[Tensor, " pair"]


def _tokens(scores: SequenceScores) -> tuple[TokenNats, TokenNats, Int[Tensor, " bounds"]]:
    there = scores.per_token
    assert there is not None and there.reference is not None, "a loss that declares per_token is given it"
    return there.policy, there.reference, there.offsets


def _desensitised(nats: TokenNats, offsets: Int[Tensor, " bounds"], prefs: Preferences, alpha: float) -> Margins:
    """Chosen's sum - rejected's, where tokens beyond the shorter length count alpha."""
    shared = torch.minimum(offsets.diff()[prefs.chosen], offsets.diff()[prefs.rejected])
    chosen, rejected = (_weighted_sum(nats, offsets, seq, shared, alpha) for seq in (prefs.chosen, prefs.rejected))
    return chosen - rejected


def _weighted_sum(
    nats: TokenNats, offsets: Int[Tensor, " bounds"], seq: Sequences, shared: Sequences, alpha: float
) -> Margins:
    """The first `shared` tokens of each sequence in full, the rest times alpha."""
    begin, lengths = offsets[seq], offsets.diff()[seq]
    owner = torch.repeat_interleave(torch.arange(len(seq)), lengths)
    place = torch.arange(len(owner)) - (lengths.cumsum(0) - lengths)[owner]
    weight = torch.where(place < shared[owner], nats.new_ones(()), nats.new_tensor(alpha))
    return nats.new_zeros(len(seq)).index_add(0, owner, weight * nats[begin[owner] + place])


def _ld_margin(
    policy: TokenNats, scores: SequenceScores, prefs: Preferences, alpha: float, ld_reference: str
) -> Margins:
    _, reference, offsets = _tokens(scores)
    fixed = _desensitised(reference, offsets, prefs, alpha if ld_reference == "both" else 1.0)
    return _desensitised(policy, offsets, prefs, alpha) - fixed


def _ld_start(scores: SequenceScores, prefs: Preferences, *, beta: float, alpha: float, ld_reference: str) -> Margins:
    reference = _tokens(scores)[1]
    return cross_entropy(beta * _ld_margin(reference, scores, prefs, alpha, ld_reference), prefs.prob)


@loss(
    "ld_dpo",
    kind="pairwise",
    needs=("reference", "per_token"),
    soft_labels="the optimum is beta h = logit(p)",
    start=_ld_start,
    first_move=(1, -1),
)
def ld_dpo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.1,
    alpha: Annotated[float, Range(0.0, 1.0)] = 0.5,
    ld_reference: Literal["both", "policy"] = "both",
) -> Margins:
    """Logistic regression on a margin in which the tail of the longer completion counts less.

        L = -p log s(beta h) - (1 - p) log s(-beta h)
        lp(y) = sum over t <= m of log policy(y_t) + alpha (sum over t > m of log policy(y_t))
        h = lp(y_w) - lp(y_l), less the same of the reference

    with m the length of the shorter completion in scored tokens, s the logistic function, and p the probability that
    chosen is better. At alpha = 1, or with equal lengths, it is `dpo`.

    The minimum is at beta h = logit(p); a hard label has none. Use it where chosen answers tend to be the longer ones
    and the policy learns to write long; the smaller alpha, the less length counts, and the less is learnt of endings.

    Args:
        scores: log-probabilities of every token under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat.
        alpha: how much a token beyond the shorter length counts, in [0, 1]. 0.5 was best for the authors' 8B model.
        ld_reference: `both` weighs the tail in policy and reference, so that the start is log 2; `policy` weighs it in
            the policy alone, and the start depends on the reference's tails.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Liu et al. 2024, arXiv:2409.06411, taken from second sources; which of the two the paper means is open. TRL
        weighs both since 2026; earlier versions, LLaMA-Factory and ms-swift the policy only.
    """
    policy = _tokens(scores)[0]
    return cross_entropy(beta * _ld_margin(policy, scores, prefs, alpha, ld_reference), prefs.prob)


def _longer(scores: SequenceScores, prefs: Preferences) -> Margins:
    """By how many tokens chosen is longer than rejected."""
    return (scores.tokens[prefs.chosen] - scores.tokens[prefs.rejected]).to(prefs.prob)


def _r_dpo_start(scores: SequenceScores, prefs: Preferences, *, beta: float, alpha: float) -> Margins:
    return cross_entropy(alpha * _longer(scores, prefs), prefs.prob)


@loss(
    "r_dpo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is beta h = logit(p) - alpha (tokens_w - tokens_l)",
    neutral_tie=False,
    start=_r_dpo_start,
    first_move=(1, -1),
)
def r_dpo(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.1, alpha: NonNegative = 0.05) -> Margins:
    """Logistic regression with a share of every win put down to length.

        L = -p log s(u) - (1 - p) log s(-u)
        u = beta h + alpha (tokens_w - tokens_l)

    with h the margin in nats, tokens the number of scored tokens of a side, s the logistic function, and p the
    probability that chosen is better.

    The minimum is at beta h = logit(p) - alpha (tokens_w - tokens_l); a hard label has none. If chosen is longer, that
    explains a part of the win and the margin has less to do; if it won although it is shorter, the margin has more. Use
    it where judges like long answers; where lengths are even it is `dpo`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat.
        alpha: log-odds that a judge gives to each further token, >= 0. At 0 the loss is `dpo`.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Park et al. 2024, arXiv:2403.19159: the policy that is optimal for reward - alpha tokens. The sign follows from
        that. At least one published baseline has the opposite sign, with alpha inside beta.
    """
    return cross_entropy(beta * margin(scores, prefs) + alpha * _longer(scores, prefs), prefs.prob)
