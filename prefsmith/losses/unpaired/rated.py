"""The quantities that losses of single completions are functions of."""

from jaxtyping import Bool, Float64
from torch import Tensor

from prefsmith.types import Ratings, SequenceScores

RatingLosses = Float64[Tensor, " rating"]


def rated_log_ratio(scores: SequenceScores, ratings: Ratings) -> RatingLosses:
    """D: log policy - log reference of each rated completion, in nats."""
    return scores.log_ratio()[ratings.seq]


def desirable(ratings: Ratings) -> Bool[Tensor, " rating"]:
    """Which ratings are thumbs up."""
    return ratings.value > 0.5
