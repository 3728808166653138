"""Losses that fit a policy to the scores of several completions."""

import math

import torch
import torch.nn.functional as F

from prefsmith.losses.listwise.items import Items, ListLosses, item_log_ratios, list_log_softmax, list_sum
from prefsmith.losses.registry import Positive, loss
from prefsmith.types import Rankings, SequenceScores


def _target(rankings: Rankings, temperature: float) -> Items:
    """t: the softmax of score / temperature over each list."""
    return list_log_softmax(rankings.scores / temperature, rankings).exp()


def _infonca_start(scores: SequenceScores, rankings: Rankings, **_settings: float) -> ListLosses:
    """log K."""
    return rankings.starts.diff().to(rankings.weight).log()


@loss("infonca", kind="listwise", needs=("reference", "scores"), start=_infonca_start, first_move=(1, -1))
def infonca(
    scores: SequenceScores, rankings: Rankings, *, beta: Positive = 0.01, temperature: Positive = 1.0
) -> ListLosses:
    """Noise-contrastive alignment as classification: the softmax of a list's rewards is fitted to that of its scores.

        L = -sum_i t_i log softmax(beta D)_i,  t = softmax(score / temperature)

    with D the log-ratio log policy - log reference in nats; both softmaxes run over the K items of the list.

    The minimum is at softmax(beta D) = t, a finite margin for each pair of a list: beta (D_i - D_j) =
    (score_i - score_j) / temperature. Only differences count, so the likelihood of all answers may fall together;
    `nca_list` prevents that. Use it for several answers with scores that mean something. With two items of which one
    has nearly all of t it is `dpo`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        rankings: the lists, with scores. Tiers are not read.
        beta: strength of the pull to the reference, per nat.
        temperature: score points per nat; small makes the best take all.

    Returns:
        One non-negative loss per list, in nats: log K where policy equals reference.

    Source:
        Chen et al. 2024, arXiv:2402.05369, and the authors' code; their alpha is 1 / temperature here.
    """
    rewards = list_log_softmax(beta * item_log_ratios(scores, rankings), rankings)
    return list_sum(-_target(rankings, temperature) * rewards, rankings)


def _nca_start(scores: SequenceScores, rankings: Rankings, **_settings: float) -> ListLosses:
    return torch.full_like(rankings.weight, 2 * math.log(2))


@loss("nca_list", kind="listwise", needs=("reference", "scores"), start=_nca_start, first_move=(1, -1))
def nca_list(
    scores: SequenceScores, rankings: Rankings, *, beta: Positive = 0.01, temperature: Positive = 1.0
) -> ListLosses:
    """Noise-contrastive alignment: each answer of a list against the reference, so that good ones do not fall.

        L = -sum_i (t_i log s(beta D_i) + (1 / K) log s(-beta D_i)),  t = softmax(score / temperature)

    with D the log-ratio log policy - log reference in nats, s the logistic function, and K the items of the list.

    The minimum is at beta D_i = log(K t_i): an answer rises where its share t of the list is above 1 / K and falls
    where it is below, whatever the others do. Use it where `infonca` or `dpo` lowers the likelihood of good answers.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        rankings: the lists, with scores. Tiers are not read.
        beta: strength of the pull to the reference, per nat.
        temperature: score points per nat; small makes the best take all.

    Returns:
        One non-negative loss per list, in nats: 2 log 2 where policy equals reference.

    Source:
        Chen et al. 2024, arXiv:2402.05369, and the authors' code; their alpha is 1 / temperature here. Their script
        adds 0.01 to the first score against ties; here tied scores have equal shares. With two items it is `nca`
        whose probability is t.
    """
    reward = beta * item_log_ratios(scores, rankings)
    noise = 1 / rankings.starts.diff().to(reward)[rankings.owner()]
    fitted = _target(rankings, temperature) * F.logsigmoid(reward) + noise * F.logsigmoid(-reward)
    return list_sum(-fitted, rankings)
