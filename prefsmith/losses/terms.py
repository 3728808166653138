"""Losses that are meant to stand beside another in a mixture."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from prefsmith.losses.listwise.items import Items, ListLosses, item_log_ratios, list_log_softmax, list_sum
from prefsmith.losses.pairwise.margin import Margins
from prefsmith.losses.reference_free.chosen import pair_likelihood
from prefsmith.losses.registry import Positive, Range, loss
from prefsmith.types import Preferences, Rankings, SequenceScores


@loss(
    "nll",
    kind="pairwise",
    soft_labels="a cross-entropy: the optimum gives the sides of a pair in the ratio p / tokens_w to "
    "(1 - p) / tokens_l, or with length_norm=none p to 1 - p",
    neutral_tie=False,
    first_move=(1, 0),
)
def nll(scores: SequenceScores, prefs: Preferences, *, length_norm: Literal["none", "token"] = "token") -> Margins:
    """Likelihood of chosen, as a term beside a loss of the margin: keeps good answers from becoming unlikely.

        L = -p avg_w - (1 - p) avg_l

    with avg the policy's mean log-probability per scored token, or with length_norm=none the sum over tokens, and p
    the probability that chosen is better.

    The loss is smallest where the policy gives nothing but the completions that it is shown, in proportion to how often
    each is the better one; with `token` that is divided by its number of tokens, which favours short ones. On its own
    it is fine-tuning on chosen. Beside `dpo` it is RPO, or iterative reasoning preference optimisation (IRPO). The mean
    goes over pairs, each counts the same; others normalise by

        TRL               tokens of the device's batch
        LLaMA-Factory     tokens of the completion, then pairs
        OpenRLHF, oat     tokens of the completion, then pairs
        NeMo-RL           tokens of the completion, or nothing, by a switch
        IRPO's paper      tokens of the completion

    so a weight found with TRL holds here only where completions are of one length.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        prefs: the comparisons, with P(chosen is better).
        length_norm: `token` for the mean over a completion's tokens, `none` for their sum.

    Returns:
        One non-negative loss per comparison, in nats, per token with `token`.

    Source:
        Pang et al. 2024, arXiv:2404.19733 (IRPO, weight 1), and Liu et al. 2024, arXiv:2405.16436 (RPO, weight 0.005).
        The weight is on the likelihood, as in IRPO's third version; earlier ones put it on `dpo`.
    """
    return pair_likelihood(scores, prefs, length_norm)


def _expectation(log_ratio: Items, numbers: Items, rankings: Rankings) -> Float64[Tensor, ""]:
    """The policy's mean of a number over the step's lists, by data weight, from samples of the reference."""
    share = list_log_softmax(log_ratio, rankings).exp()
    of_list = list_sum(share * numbers, rankings)
    whole = rankings.weight.sum().clamp(min=torch.finfo(rankings.weight.dtype).tiny)
    return (rankings.weight * of_list).sum() / whole


def _excess(by: Float64[Tensor, ""], rankings: Rankings) -> ListLosses:
    """The same for every list of the step, so that their mean is it."""
    return by.clamp(min=0) + torch.zeros_like(rankings.weight)


def _tokens(scores: SequenceScores, rankings: Rankings) -> Items:
    return scores.tokens[rankings.items].to(rankings.weight)


def _length_start(scores: SequenceScores, rankings: Rankings, *, most: float) -> ListLosses:
    uniform = torch.zeros_like(rankings.scores)
    return _excess(_expectation(uniform, _tokens(scores, rankings), rankings) - most, rankings)


@loss(
    "length",
    kind="listwise",
    needs=("reference",),
    across_step=True,
    start=_length_start,
    first_move=None,
)
def length(scores: SequenceScores, rankings: Rankings, *, most: Positive = 256.0) -> ListLosses:
    """Hold the mean length of what the policy says below a bound, as a term beside another loss.

        L = max(0, E - most)
        E = mean over the step's lists of sum_i softmax(D)_i tokens_i

    with D the log-ratio log policy - log reference in nats, the softmax over the completions of a list, and tokens the
    scored tokens of each. E estimates the mean length under the policy from completions of the reference: the mean of
    tokens under the policy is that of tokens policy / reference under the reference, and the shares softmax(D) are
    those ratios, scaled to sum to 1 over the list. It is one number for the whole step, and L the same for each list.

    The minimum, 0, is anywhere within the bound, where the term pulls nowhere; beyond it the pull is constant. Beside
    an objective whose own optimum is too long, the bound is kept exactly once the term's weight is above the price of
    a token there (the multiplier of the constraint); with a smaller weight the policy settles where that price equals
    the weight. Use it with lists sampled from the reference and steps of many lists. It assumes that they are samples
    of the reference, which answers of other models are not; with few of them, or large D, one completion has all of
    the softmax and E says little.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        rankings: the lists. Neither order nor scores are read.
        most: largest mean length, in scored tokens, the end of the text included.

    Returns:
        One non-negative loss per list, in tokens: the same for all of the step.

    Source:
        Ours: self-normalised importance sampling, and the exact penalty of constrained optimisation. Not a loss of a
        paper; length-regularised DPO is `r_dpo`.
    """
    mean = _expectation(item_log_ratios(scores, rankings), _tokens(scores, rankings), rankings)
    return _excess(mean - most, rankings)


def _constraint_start(scores: SequenceScores, rankings: Rankings, *, least: float) -> ListLosses:
    uniform = torch.zeros_like(rankings.scores)
    return _excess(least - _expectation(uniform, rankings.scores, rankings), rankings)


@loss(
    "constraint",
    kind="listwise",
    needs=("reference", "scores"),
    across_step=True,
    start=_constraint_start,
    first_move=None,
)
def constraint(
    scores: SequenceScores, rankings: Rankings, *, least: Annotated[float, Range(open_low=True, open_high=True)] = 0.0
) -> ListLosses:
    """Hold the mean score of what the policy says above a bound, as a term beside another loss.

        L = max(0, least - E)
        E = mean over the step's lists of sum_i softmax(D)_i score_i

    with D the log-ratio log policy - log reference in nats, the softmax over the completions of a list, and larger
    scores better: a judge's mark for safety, say, or minus a cost. E estimates the mean score under the policy from
    completions of the reference: the mean of the score under the policy is that of score policy / reference under the
    reference, and the shares softmax(D) are those ratios, scaled to sum to 1 over the list. It is one number for the
    whole step, and L the same for each list.

    The minimum, 0, is anywhere within the bound, where the term pulls nowhere; beyond it the pull is constant. Beside
    an objective whose own optimum is out of bounds, the bound is kept exactly once the term's weight is above the
    multiplier of the constraint; with a smaller weight w the policy settles where the objective plus w times the score
    is best. Use it with lists sampled from the reference and steps of many lists. It assumes that they are samples of
    the reference, which answers of other models are not; with few of them, or large D, one completion has all of the
    softmax and E says little. No score can rise above the best in a list: a bound that the lists do not reach is
    never kept.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        rankings: the lists, with scores. Tiers are not read.
        least: smallest mean score, in the judge's points.

    Returns:
        One non-negative loss per list, in points: the same for all of the step.

    Source:
        Ours: self-normalised importance sampling, and the exact penalty of constrained optimisation; the wish is that
        of constitutional training, max(0, unsafe - bound), on what the policy would say and not on a frozen text.
    """
    mean = _expectation(item_log_ratios(scores, rankings), rankings.scores, rankings)
    return _excess(least - mean, rankings)
