"""Losses that hold the reward of a completion against a fixed or remembered point."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import expected
from prefsmith.losses.registry import Memory, Positive, loss
from prefsmith.losses.unpaired.rated import RatingLosses, desirable, rated_log_ratio
from prefsmith.types import Ratings, SequenceScores


def _bco_start(scores: SequenceScores, ratings: Ratings, **_settings: float) -> RatingLosses:
    return torch.full_like(ratings.value, math.log(2))


def _bco_first(**_settings: float) -> Mapping[str, float]:
    return {"mean": 0.0, "count": 0.0}


def _bco_next(
    state: Mapping[str, float], scores: SequenceScores, ratings: Ratings, *, beta: float
) -> Mapping[str, float]:
    count = state["count"] + ratings.weight.sum().item()
    if count == 0:
        return dict(state)
    rewards = beta * rated_log_ratio(scores, ratings)
    total = state["count"] * state["mean"] + (ratings.weight * rewards).sum().item()
    return {"mean": total / count, "count": count}


@loss(
    "bco_unpaired",
    kind="unpaired",
    needs=("reference",),
    soft_labels="the value is the probability q that the completion is desirable; the optimum is beta D = d + logit(q)",
    memory=Memory(start=_bco_first, advance=_bco_next),
    start=_bco_start,
    first_move=(1, -1),
)
def bco_unpaired(
    scores: SequenceScores, ratings: Ratings, state: Mapping[str, float], *, beta: Positive = 0.1
) -> RatingLosses:
    """Binary classifier optimisation: the reward tells desirable from undesirable, around the mean reward so far.

        L = -q log s(beta D - d) - (1 - q) log s(-(beta D - d))

    with D the log-ratio log policy - log reference in nats, s the logistic function, and q 1 for a desirable
    completion, 0 for an undesirable one, or the probability of the former. d is the mean of beta D over all ratings
    of the steps before, weighted by the data and without gradient; 0 before the first step.

    The loss is smallest at beta D = d + logit(q); a hard rating therefore has no minimum, and the reward grows for as
    long as training goes on. Use it for thumbs up and down where `kto` is too quick to give an answer up: a completion
    with both kinds of ratings finds its level here.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        ratings: which completion is desirable.
        state: `mean`, which is d, and `count`, the weight of the ratings that it is the mean of, as the step before
            left them. Evaluation changes nothing in them.
        beta: strength of the pull to the reference, per nat.

    Returns:
        One non-negative loss per rating, in nats.

    Source:
        Jung et al. 2024, arXiv:2404.04656. There the step's own rewards enter d before it is used; here d is that of
        the step before. TRL 1.16 has it no more. The paper also weighs undesirable completions by a classifier that
        tells whose prompts they answer: that weight is left out; give one in the data instead.
    """
    reward = beta * rated_log_ratio(scores, ratings) - state["mean"]
    return expected(ratings.value, -F.logsigmoid(reward), -F.logsigmoid(-reward))


def _half(scores: SequenceScores, ratings: Ratings, **_settings: float) -> RatingLosses:
    return torch.full_like(ratings.value, 0.5)


@loss("apo_zero_unpaired", kind="unpaired", needs=("reference",), start=_half, first_move=(1, -1))
def apo_zero_unpaired(scores: SequenceScores, ratings: Ratings, *, beta: Positive = 0.1) -> RatingLosses:
    """Anchored preference optimisation on single completions: raise desirable ones, lower the others, each to a limit.

        desirable    L = 1 - s(beta D)
        undesirable  L = s(beta D)

    with D the log-ratio log policy - log reference in nats, and s the logistic function.

    The value lies in [0, 1]. There is no finite minimum, but the pull fades on both sides: it is strongest at the
    reference. A completion with mixed ratings goes the way of the majority, as for `kto`. There is no reference point
    z0: it needs no answers to other prompts and looks at nothing beyond the rating. Use it where steps are small.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        ratings: which completion is desirable.
        beta: strength of the pull to the reference, per nat.

    Returns:
        One loss in [0, 1] per rating.

    Source:
        D'Oosterlinck et al. 2024, arXiv:2408.06266; on ratings as by the authors in TRL. Same as `apo_zero` on pairs,
        halved.
    """
    up = torch.sigmoid(beta * rated_log_ratio(scores, ratings))
    return torch.where(desirable(ratings), 1 - up, up)
