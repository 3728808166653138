"""Alignment by transport of single completions: the whole distribution of desirable rewards above the other."""

import math

import torch
import torch.nn.functional as F

from prefsmith.losses.registry import Positive, loss
from prefsmith.losses.transport import couple, mean_by_mass
from prefsmith.losses.unpaired.rated import RatingLosses, desirable, rated_log_ratio
from prefsmith.types import Ratings, SequenceScores


def _start(scores: SequenceScores, ratings: Ratings, **_settings: float) -> RatingLosses:
    counted = ratings.weight > 0
    both = (desirable(ratings) & counted).any() and (~desirable(ratings) & counted).any()
    return torch.where(counted & both, math.log(2), torch.zeros_like(ratings.value))


@loss(
    "aot_unpaired",
    kind="unpaired",
    needs=("reference",),
    across_step=True,
    start=_start,
    first_move=(1, -1),
)
def aot_unpaired(scores: SequenceScores, ratings: Ratings, *, beta: Positive = 0.01) -> RatingLosses:
    """Alignment via optimal transport: the distribution of desirable log-ratios shall lie above the undesirable one.

        L = -log s(beta (D_up - D_down)),  the mean over what a rating is coupled with

    with D the log-ratio log policy - log reference in nats, and s the logistic function. Desirable and undesirable
    ratings of the whole step are sorted by D and coupled from the smallest up, each side by its share of the side's
    data weight; where shares differ a rating is coupled in parts. The data-weighted mean of L over the ratings is the
    transport cost between the two sides.

    There is no minimum: the distance between the sides grows for as long as training goes on. Use it where only sets
    of good and of bad answers are known, with large steps: the coupling is that of the step. A step with ratings of
    one class alone gives 0 and moves nothing.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        ratings: which completion is desirable.
        beta: strength of the pull to the reference, per nat.

    Returns:
        One non-negative loss per rating, in nats; 0 for a rating of data weight 0.

    Source:
        Melnyk et al. 2024, arXiv:2406.05882. TRL sorts within a device batch and needs equally many of both; we sort
        the whole step and take any numbers. With as many of both and equal weights it is the same.
    """
    ratio, up = rated_log_ratio(scores, ratings), desirable(ratings)
    above, below = ((side & (ratings.weight > 0)).nonzero()[:, 0] for side in (up, ~up))
    if len(above) == 0 or len(below) == 0:
        return 0 * ratio
    left, right, mass = couple(ratio[above], ratings.weight[above], ratio[below], ratings.weight[below])
    left, right = above[left], below[right]
    cost = -F.logsigmoid(beta * (ratio[left] - ratio[right]))
    both = torch.cat([left, right])
    return mean_by_mass(cost.repeat(2), mass.repeat(2), both, len(ratio))
