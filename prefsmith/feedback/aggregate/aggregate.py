"""What a method makes of the votes."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from prefsmith.feedback.aggregate.panel import FIRST, SECOND, TIE, Panel, PerPair
from prefsmith.feedback.aggregate.reliability import Reliability

Posterior = Float64[np.ndarray, "pair label"]
"""Of each pair: probability that its first answer is better, its second, that they are equal."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One probability for each pair, and what it says of the annotators.

    Args:
        prob: that the first answer is better; NaN where nobody said anything of the pair.
        reliability: of the annotators.
        posterior: of what is true of each pair, where the method has one: annotators err, the truth does not.
        strengths: of each answer in nats, where the method has them.
        rounds: of a method that repeats a step; 0 for others.
        converged: False where it was stopped before the numbers stood still.
        facts: what else it found, JSON-ready.
    """

    prob: PerPair
    reliability: Reliability
    posterior: Posterior | None = None
    strengths: Float64[np.ndarray, " item"] | None = None
    rounds: int = 0
    converged: bool = True
    facts: dict[str, object] = field(default_factory=dict)


def of_posterior(panel: Panel, posterior: Posterior) -> PerPair:
    """P(first is better): a tie counts one half; NaN where nobody voted."""
    half = posterior[:, TIE] / 2 if posterior.shape[1] > TIE else 0.0
    prob = (posterior[:, FIRST] + half) / (posterior[:, FIRST] + posterior[:, SECOND] + 2 * half)
    return np.where(panel.voted, prob, np.nan)
