"""Means with 95 % intervals, so that no difference is called one before it is larger than its noise."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

Z95 = 1.959963984540054
FEWEST = 4
"""Values that an interval needs: below, its width is mostly guessed."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of n values, or a difference of two means, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def mean_interval(values: Iterable[float]) -> Estimate | None:
    """The mean with Student's interval; None for fewer than `FEWEST` values."""
    known = list(values)
    if len(known) < FEWEST:
        return None
    mean, half = fmean(known), student_95(len(known) - 1) * math.sqrt(variance(known) / len(known))
    return Estimate(mean, mean - half, mean + half, len(known))


def difference(before: Sequence[float], after: Sequence[float]) -> Estimate | None:
    """Mean after minus mean before of independent values; None where both together are too few."""
    if min(len(before), len(after)) < 2 or len(before) + len(after) < FEWEST:
        return None
    value = fmean(after) - fmean(before)
    error = math.sqrt(variance(before) / len(before) + variance(after) / len(after))
    half = student_95(len(before) + len(after) - 2) * error
    return Estimate(value, value - half, value + half, len(before) + len(after))


def student_95(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, within 1 % from 3 degrees of freedom on.

    Source:
        Abramowitz and Stegun, 26.7.5: an expansion around the normal quantile.
    """
    z, v = Z95, float(degrees)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
