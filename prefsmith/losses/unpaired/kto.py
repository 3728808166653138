"""Kahneman-Tversky optimisation."""

import torch

from prefsmith.losses.registry import NonNegative, Positive, loss
from prefsmith.losses.unpaired.rated import RatingLosses
from prefsmith.types import Ratings, SequenceScores


def _kto_start(
    scores: SequenceScores,
    ratings: Ratings,
    *,
    desirable_weight: float,
    undesirable_weight: float,
    **_settings: float,
) -> RatingLosses:
    return _kto_weight(ratings, desirable_weight, undesirable_weight) / 2


@loss(
    "kto",
    kind="unpaired",
    needs=("reference",),
    across_step=True,
    mismatched=True,
    start=_kto_start,
    first_move=(1, -1),
)
def kto(
    scores: SequenceScores,
    ratings: Ratings,
    *,
    beta: Positive = 0.1,
    desirable_weight: NonNegative = 1.0,
    undesirable_weight: NonNegative = 1.0,
) -> RatingLosses:
    """Kahneman-Tversky optimisation: raise what was liked above what any answer gets, lower what was not.

        desirable    L = w_D (1 - s(beta (D - z0)))
        undesirable  L = w_U (1 - s(beta (z0 - D)))
        z0 = max(0, mean over mismatched answers of D),  without gradient

    with D the log-ratio log policy - log reference in nats, and s the logistic function. z0 estimates the KL
    divergence from answers that belong to other prompts; it is one number for the whole optimiser step.

    The value lies in [0, w]. At the start z0 = D = 0 and L = w / 2. There is no finite minimum: a share of desirable
    labels above w_U / (w_D + w_U) raises an answer, one below lowers it, and the loss saturates.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        ratings: which completion is desirable, and the sequences that answer another prompt.
        beta: strength of the pull to the reference, per nat.
        desirable_weight: w_D; keep w_D n_D / (w_U n_U) within [1, 3/2].
        undesirable_weight: w_U.

    Returns:
        One loss in [0, w] per rating.

    Raises:
        ValueError: there are no mismatched sequences to estimate z0 from.

    Source:
        Ethayarajh et al. 2024, arXiv:2402.01306, eq. 8. The authors and TRL estimate z0 from what all devices hold at
        a time, so that gradient accumulation changes it; we take the whole step, however it is divided.
    """
    if ratings.mismatched is None:
        raise ValueError("kto needs mismatched sequences for its KL term")
    ratio = scores.log_ratio()
    z0 = ratio[ratings.mismatched].mean().clamp(min=0).detach()
    sign = torch.where(ratings.value > 0.5, torch.ones_like(ratings.value), -torch.ones_like(ratings.value))
    weight = _kto_weight(ratings, desirable_weight, undesirable_weight)
    return weight * (1 - torch.sigmoid(beta * sign * (ratio[ratings.seq] - z0)))


def _kto_weight(ratings: Ratings, desirable_weight: float, undesirable_weight: float) -> RatingLosses:
    return torch.where(
        ratings.value > 0.5,
        torch.full_like(ratings.value, desirable_weight),
        torch.full_like(ratings.value, undesirable_weight),
    )
