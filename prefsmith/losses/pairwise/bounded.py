"""Losses whose pull fades or stops, side by side or on the margin: bounded, or learnt against noise."""

import math
from collections.abc import Mapping
from typing import Annotated

import torch
import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, cross_entropy, expected, log_ratios, log_two, margin
from prefsmith.losses.registry import Memory, Positive, Range, State, loss
from prefsmith.types import Preferences, SequenceScores


def _one(scores: SequenceScores, prefs: Preferences, **_settings: float) -> Margins:
    return torch.ones_like(prefs.prob)


def _two_log_two(scores: SequenceScores, prefs: Preferences, **_settings: float) -> Margins:
    return torch.full_like(prefs.prob, 2 * math.log(2))


@loss("hinge", kind="pairwise", needs=("reference",), start=_one, first_move=(1, -1))
def hinge(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.05) -> Margins:
    """Push the margin up to a target, and leave alone what is beyond.

        L = max(0, 1 - beta h)

    with h the margin in nats.

    The minimum, and 0, is anywhere at beta h >= 1: pairs that are won pull no more. Use it where labels are clean and
    margins should not grow; a share of wrong labels moves its optimum from one end to the other, not part of the way.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        beta: 1/beta is the target of the margin in nats; the paper's gamma.

    Returns:
        One non-negative loss per comparison.

    Source:
        Liu et al. 2023, arXiv:2309.06657 (RSO; also called SLiC-norm). SLiC-HF, which other projects list under this
        name, has no reference: see `slic`.
    """
    return F.relu(1 - beta * margin(scores, prefs))


@loss("apo_zero", kind="pairwise", needs=("reference",), start=_one, first_move=(1, -1))
def apo_zero(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.1) -> Margins:
    """Raise chosen and lower rejected, each by itself and each up to a bound.

        L = 1 - s(beta D_w) + s(beta D_l)

    with D the log-ratio log policy - log reference of one side in nats, and s the logistic function.

    There is no finite minimum; the pull on a side fades as it moves, and the value stays between 0 and 2. Use it where
    chosen answers are better than what the model writes; where they are not, use `apo_down`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        beta: strength of the pull to the reference, per nat.

    Returns:
        One loss in [0, 2] per comparison.

    Source:
        D'Oosterlinck et al. 2024, arXiv:2408.06266.
    """
    chosen, rejected = log_ratios(scores, prefs)
    return torch.sigmoid(-beta * chosen) + torch.sigmoid(beta * rejected)


@loss("apo_down", kind="pairwise", needs=("reference",), start=_one, first_move=(0, -1))
def apo_down(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.1) -> Margins:
    """Lower both sides, and rejected more than chosen.

        L = s(beta D_w) + 1 - s(beta h)

    with D the log-ratio of one side in nats, h = D_w - D_l the margin, and s the logistic function.

    There is no finite minimum: the loss is smallest where chosen falls and rejected falls further. At the start the two
    pulls on chosen cancel. Use it where the model already writes better than the chosen answers; otherwise use
    `apo_zero`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        beta: strength of the pull to the reference, per nat.

    Returns:
        One loss in [0, 2] per comparison.

    Source:
        D'Oosterlinck et al. 2024, arXiv:2408.06266.
    """
    chosen, rejected = log_ratios(scores, prefs)
    return torch.sigmoid(beta * chosen) + torch.sigmoid(-beta * (chosen - rejected))


def _clipped(prefs: Preferences, epsilon: float) -> tuple[Margins, Margins]:
    """q and 1 - q, each by itself: 1 - q would lose the digits of a small epsilon."""
    return prefs.prob.clamp(epsilon, 1 - epsilon), (1 - prefs.prob).clamp(epsilon, 1 - epsilon)


def _exo_start(scores: SequenceScores, prefs: Preferences, *, beta: float, epsilon: float) -> Margins:
    q, other = _clipped(prefs, epsilon)
    return -math.log(2) - 0.5 * (q.log() + other.log())


@loss(
    "exo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is beta h = logit(p), with p kept within [epsilon, 1 - epsilon]",
    start=_exo_start,
    first_move=(1, -1),
)
def exo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.1,
    epsilon: Annotated[float, Range(0.0, 0.5, open_low=True, open_high=True)] = 1e-3,
) -> Margins:
    """Bring the policy's own odds of the pair to the label's, by the divergence that seeks one mode.

        L = s(u) (log s(u) - log q) + s(-u) (log s(-u) - log(1 - q))
        u = beta h

    with h the margin in nats, s the logistic function, and q the probability p that chosen is better, kept within
    [epsilon, 1 - epsilon]. It is KL(policy's odds || q), where `dpo` is KL(q || policy's odds) plus a constant.

    The minimum, and 0, is at beta h = logit(q): finite also for a hard label. The value is bounded, and the pull on a
    pair that is badly lost fades: wrong labels do less harm than in `dpo`, and lost pairs are hard to win back.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat.
        epsilon: least probability of either side, in (0, 0.5): a hard label counts as 1 - epsilon.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Ji et al. 2024, arXiv:2402.00856, eq. 16. The authors' code takes logarithms (0, -10) of a target that do not
        belong to probabilities which sum to 1, and so has a sharper one; here they do.
    """
    u = beta * margin(scores, prefs)
    q, other = _clipped(prefs, epsilon)
    log_win, log_loss = F.logsigmoid(u), F.logsigmoid(-u)
    return torch.sigmoid(u) * (log_win - q.log()) + torch.sigmoid(-u) * (log_loss - other.log())


@loss(
    "nca",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is beta D_w = log(2 p) and beta D_l = log(2 (1 - p))",
    start=_two_log_two,
    first_move=(1, -1),
)
def nca(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.01) -> Margins:
    """Noise-contrastive alignment: learn of each side whether it is a preferred answer or one of the reference.

        L = -p log s(beta D_w) - (1 - p) log s(beta D_l) - log s(-beta D_w) / 2 - log s(-beta D_l) / 2

    with D the log-ratio log policy - log reference of one side in nats, s the logistic function, and p the probability
    that chosen is better.

    The minimum is at beta D_w = log(2 p) and beta D_l = log(2 (1 - p)). With a hard label chosen rises by log(2) / beta
    and no further, while rejected falls without end. Use it where `dpo` would let chosen fall together with rejected.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Chen et al. 2024, arXiv:2402.05369, and the authors' code for pairs; `nca_list` is that for lists.
    """
    chosen, rejected = (beta * ratio for ratio in log_ratios(scores, prefs))
    win = expected(prefs.prob, -F.logsigmoid(chosen), -F.logsigmoid(rejected))
    return win - 0.5 * (F.logsigmoid(-chosen) + F.logsigmoid(-rejected))


def _no_rewards(**_settings: float) -> State:
    return {"mean": 0.0, "count": 0.0}


def _mean_with(state: State, scores: SequenceScores, prefs: Preferences, *, beta: float) -> Mapping[str, float]:
    """The mean over all completions seen, each by its comparison's data weight."""
    chosen, rejected = log_ratios(scores, prefs)
    seen = 2 * float(prefs.weight.sum())
    count = state["count"] + seen
    if count == 0:
        return dict(state)
    rewards = beta * float((prefs.weight * (chosen + rejected)).sum())
    return {"mean": state["mean"] + (rewards - seen * state["mean"]) / count, "count": count}


@loss(
    "bco",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is beta D_w - d = logit(p) and beta D_l - d = -logit(p)",
    memory=Memory(start=_no_rewards, advance=_mean_with),
    start=_two_log_two,
    first_move=(1, -1),
)
def bco(scores: SequenceScores, prefs: Preferences, state: State, *, beta: Positive = 0.01) -> Margins:
    """Tell good answers from bad ones, one by one, by a classifier whose logit is the reward.

        L = -p log s(r_w) - p log s(-r_l) - (1 - p) log s(r_l) - (1 - p) log s(-r_w)
        r = beta D - d

    with D the log-ratio log policy - log reference of one side in nats, s the logistic function, p the probability that
    chosen is better, and d the mean of beta D over all completions of all steps before, weighted by the data and
    without gradient. At the first step d = 0.

    The minimum is at beta D_w - d = logit(p) and beta D_l - d = -logit(p); a hard label has none. Since d follows the
    rewards, both sides may drift together. Use it where pairs come from thumbs up and down; for ratings without pairs
    there is `bco_unpaired`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        state: the mean reward so far and the weight it rests on.
        beta: strength of the pull to the reference, per nat.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Jung et al. 2024, arXiv:2404.04656. The authors' mean is cumulative, not a moving average, as here, and takes
        the batch in before it is used; ours is that of the steps before. TRL 1.16 leaves d at 0.
    """
    chosen, rejected = (beta * ratio - state["mean"] for ratio in log_ratios(scores, prefs))
    return cross_entropy(chosen, prefs.prob) + cross_entropy(-rejected, prefs.prob)


@loss(
    "dpo_norm",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is beta (D_w / tokens_w - D_l / tokens_l) = logit(p)",
    start=log_two,
    first_move=(1, -1),
    averaged=True,
)
def dpo_norm(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 5.0) -> Margins:
    """Logistic regression on the difference of the log-ratios per token.

        L = -p log s(u) - (1 - p) log s(-u)
        u = beta (D_w / tokens_w - D_l / tokens_l)

    with D the log-ratio of one side in nats, tokens its number of scored tokens, s the logistic function, and p the
    probability that chosen is better.

    The minimum is at u = logit(p); a hard label has none. A long answer moves no further than a short one by being
    long. Use it where answers were chosen for their length; the policy that it finds is not that of `dpo`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat per token: 20 to 50 times that of `dpo`.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Lambert et al. 2024, arXiv:2411.15124, eq. 6 (length-normalised DPO).
    """
    per_token = scores.log_ratio() / scores.tokens
    return cross_entropy(beta * (per_token[prefs.chosen] - per_token[prefs.rejected]), prefs.prob)
