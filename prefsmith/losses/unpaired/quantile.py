"""Regression of the reward of a single completion on its rank among others."""

import math
from typing import Literal

from prefsmith.losses.registry import Positive, loss
from prefsmith.losses.unpaired.rated import RatingLosses, rated_log_ratio
from prefsmith.types import Ratings, SequenceScores

LogZ = Literal["exact", "short"]


def _target(ratings: Ratings, beta: float, log_z: LogZ) -> RatingLosses:
    """q - beta log Z: where beta D is to be. In this form nothing overflows however small beta is."""
    log_partition = math.log(beta) + 1 / beta
    if log_z == "exact":
        log_partition += math.log(-math.expm1(-1 / beta))
    return ratings.value - beta * log_partition


def _qrpo_start(scores: SequenceScores, ratings: Ratings, *, beta: float, log_z: LogZ) -> RatingLosses:
    return _target(ratings, beta, log_z) ** 2


@loss(
    "qrpo",
    kind="unpaired",
    needs=("reference", "scores"),
    soft_labels="the value is the share q of the prompt's completions that score no higher; the optimum is "
    "beta D = q - beta log Z",
    start=_qrpo_start,
    first_move=(1, -1),
)
def qrpo(
    scores: SequenceScores, ratings: Ratings, *, beta: Positive = 0.1, log_z: Literal["exact", "short"] = "exact"
) -> RatingLosses:
    """Quantile reward policy optimisation: regress each completion's reward on the share of answers it is as good as.

        L = (q - beta log Z - beta D)^2
        log Z = log(beta (exp(1 / beta) - 1))

    with D the log-ratio log policy - log reference in nats, and q the share of the prompt's completions that score no
    higher than this one. Over answers of the reference q is uniform on [0, 1], so that the partition function Z of
    reference exp(q / beta) is known, and the optimum needs no pairs.

    The minimum, 0, is at beta D = q - beta log Z: at every completion the policy reference exp(q / beta) / Z. Use it
    where a judge scores several answers of the reference to each prompt. With few answers q is coarse, and too large
    on the average: of n answers without ties it is (n + 1) / (2 n), not 1/2.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        ratings: the completions, each with its q as the value.
        beta: strength of the pull to the reference, per nat; 0.003 to 0.1 is customary.
        log_z: `exact` as above, or `short`, log beta + 1 / beta, without the last part: beta log Z is too
            large by 5e-6 at beta 0.1 and by 0.01 at 0.3.

    Returns:
        One non-negative loss per rating.

    Source:
        Matrenok et al. 2025, arXiv:2507.08068. The authors' code takes the short form up to beta 0.2. `exact` is
        computed as log beta + 1 / beta + log(1 - exp(-1 / beta)), which does not overflow. They sample the answers
        that q counts from the reference; here they are those of the file.
    """
    return (_target(ratings, beta, log_z) - beta * rated_log_ratio(scores, ratings)) ** 2
