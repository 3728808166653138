"""The quantity that every pairwise loss with a reference is a function of."""

from jaxtyping import Float64
from torch import Tensor

from prefsmith.types import Preferences, SequenceScores

Margins = Float64[Tensor, " pair"]


def margin(scores: SequenceScores, prefs: Preferences) -> Margins:
    """h = log-ratio of chosen - log-ratio of rejected, in nats, with log-ratio = log policy - log reference."""
    ratio = scores.log_ratio()
    return ratio[prefs.chosen] - ratio[prefs.rejected]
