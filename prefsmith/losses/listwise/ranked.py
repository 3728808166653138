"""Losses that read which of several completions is above which."""

from typing import Literal

import torch
import torch.nn.functional as F

from prefsmith.losses.listwise.items import Items, ListLosses, couples, item_log_ratios, list_sum, log_sum_exp_by
from prefsmith.losses.registry import Positive, loss
from prefsmith.types import Rankings, SequenceScores


def _choices(reward: Items, rankings: Rankings) -> ListLosses:
    """-log of the probability that each item is drawn first from what is no better, summed over a list's ranked items.

    Nobody ranked the last tier: if it has several members they are left over, if it has one its draw is certain.
    """
    first, second = couples(rankings)
    left = rankings.tier[second] >= rankings.tier[first]
    among = log_sum_exp_by(reward[second[left]], first[left], len(reward))
    last = rankings.tier[rankings.starts[1:] - 1][rankings.owner()]
    return list_sum(torch.where(rankings.tier == last, torch.zeros_like(reward), among - reward), rankings)


def _plackett_luce_start(scores: SequenceScores, rankings: Rankings, **_settings: float) -> ListLosses:
    """log K! for a list of K without ties: the logarithm of how many orders there are."""
    return _choices(torch.zeros_like(rankings.scores), rankings)


@loss(
    "plackett_luce",
    kind="listwise",
    needs=("reference",),
    start=_plackett_luce_start,
    first_move=(1, -1),
)
def plackett_luce(scores: SequenceScores, rankings: Rankings, *, beta: Positive = 0.1) -> ListLosses:
    """DPO on a ranked list: at each place the best of what is left has to win against all of it.

        L = -sum_k (beta D_k - log sum_{j no better than k} exp(beta D_j))

    with D the log-ratio log policy - log reference in nats; the sum goes over all items but those of the last tier.
    Items of one tier are each drawn from their tier and everything below it (Breslow's form for ties). Items of the
    last tier are what nobody ranked: where only the best of a list is known, it has to win against all the rest.

    With two items it is `dpo`, and 0 for a tie. A list alone has no minimum: its margins grow for as long as training
    goes on. Over many rankings drawn with utilities u the loss is smallest where the beta D of a prompt differ from u
    by a constant. Use it where several answers were put in order by people; where there are scores that mean
    something, `infonca` has an optimum for every list.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        rankings: the lists, with tiers.
        beta: strength of the pull to the reference, per nat.

    Returns:
        One non-negative loss per list, in nats: log K! for K items without ties where policy equals reference. It is
        a sum over places, so long lists weigh more.

    Source:
        Rafailov et al. 2023, arXiv:2305.18290, appendix A.3; Breslow 1974 for ties.
    """
    return _choices(beta * item_log_ratios(scores, rankings), rankings)


Psi = Literal["win", "score"]
Discount = Literal["natural", "log2"]


def _win_share(rankings: Rankings) -> Items:
    """How probable it is that an item beats another of its list, on the mean over the others."""
    first, second = couples(rankings)
    wins = torch.sigmoid(rankings.scores[first] - rankings.scores[second])
    others = (rankings.starts.diff() - 1).clamp(min=1)[rankings.owner()]
    against_all = torch.zeros_like(rankings.scores).index_add(0, first, wins)
    return (against_all - 0.5) / others  # against itself it wins half


def _gain(rankings: Rankings, psi: Psi) -> Items:
    """The label of each item, larger is better."""
    return rankings.scores if psi == "score" else _win_share(rankings)


def _ranks(reward: Items, gain: Items, rankings: Rankings) -> Items:
    """Places in the order of the reward, from 1; equal ones by gain, then as they stand in the list."""
    first, second = couples(rankings)
    above = reward[second] > reward[first]
    level = reward[second] == reward[first]
    above |= level & (gain[second] > gain[first])
    above |= level & (gain[second] == gain[first]) & (second < first)
    return torch.ones_like(reward).index_add(0, first, above.to(reward))


def _lambda_loss(reward: Items, rankings: Rankings, psi: Psi, discount: Discount) -> ListLosses:
    gain = _gain(rankings, psi)
    position = 1 + _ranks(reward.detach(), gain, rankings)
    shrink = 1 / (torch.log2(position) if discount == "log2" else torch.log(position))
    first, second = couples(rankings)
    better = gain[first] > gain[second]
    first, second = first[better], second[better]
    weight = (torch.exp2(gain[first]) - torch.exp2(gain[second])).abs() * (shrink[first] - shrink[second]).abs()
    lost = weight * -F.logsigmoid(reward[first] - reward[second])
    return lost.new_zeros(len(rankings)).index_add(0, rankings.owner()[first], lost)


def _lipo_start(
    scores: SequenceScores, rankings: Rankings, *, psi: Psi, discount: Discount, **_settings: float
) -> ListLosses:
    """All rewards are 0: the ranks are those of the labels."""
    return _lambda_loss(torch.zeros_like(rankings.scores), rankings, psi, discount)


@loss("lipo", kind="listwise", needs=("reference", "scores"), start=_lipo_start, first_move=(1, -1))
def lipo(
    scores: SequenceScores,
    rankings: Rankings,
    *,
    beta: Positive = 0.05,
    psi: Literal["win", "score"] = "win",
    discount: Literal["natural", "log2"] = "natural",
) -> ListLosses:
    """LiPO-lambda: logistic regression on all pairs of a list, those first whose exchange would change the most.

        L = sum_{psi_i > psi_j} Lambda_ij log(1 + exp(-beta (D_i - D_j)))
        Lambda_ij = |2^psi_i - 2^psi_j| |1 / log(1 + rank_i) - 1 / log(1 + rank_j)|,  without gradient

    with D the log-ratio log policy - log reference in nats, psi the label of an item, and rank its place, from 1, in
    the policy's own order of D. Equal D are ordered by psi, then as they stand in the list: where policy equals
    reference all are equal, and the ranks are those of the labels.

    A list alone has no minimum: the margins grow for as long as training goes on. Pairs far from the top of the
    policy's order weigh little, so the loss cares for the best answers above all. Use it for long lists with scores;
    for two items `dpo` is the same up to a factor that the scores set, and `infonca` has an optimum for every list.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        rankings: the lists, with scores. Tiers are not read.
        beta: strength of the pull to the reference, per nat.
        psi: `win` takes the probability of beating the others, the mean over them of s(score_i - score_j) with s the
            logistic function; `score` takes the scores as they are, which must then be small, as 2^score enters.
        discount: logarithm of the ranks, `natural` or `log2`, which is the loss times log 2.

    Returns:
        One non-negative loss per list. It is a sum over pairs, so long lists weigh more.

    Source:
        Liu et al. 2024, arXiv:2402.01878, by two accounts of it that agree on everything but the gain, which one
        prints without its exponent; we take the usual one of ranking measures. Order of ties: ours.
    """
    return _lambda_loss(beta * item_log_ratios(scores, rankings), rankings, psi, discount)
