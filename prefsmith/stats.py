"""Intervals, so that no share is shown without how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Share:
    """A share of n, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n={self.n:,.0f}"


def wilson(successes: float, n: float, z: float = Z95) -> Share:
    """Wilson's score interval of a binomial share.

        centre = (k + z^2/2) / (n + z^2),  half = z / (n + z^2) sqrt(k (n - k) / n + z^2 / 4)

    Args:
        successes: k, at most n; a tie counts one half, so it need not be whole.
        n: independent trials, above zero; need not be whole where trials are weighted.
        z: quantile of the normal distribution; the default gives 95 %.

    Source:
        Wilson 1927, JASA 22(158).
    """
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(successes * (n - successes) / n + z * z / 4)
    share = successes / n
    return Share(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), n)  # rounding


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of n values, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}], n={self.n:,}"

    @property
    def error(self) -> float:
        """Standard error, of which the interval has 1.96 on either side."""
        return (self.high - self.value) / Z95

    def as_dict(self) -> dict[str, float]:
        """As evidence.json has it."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def mean(values: Sequence[float], z: float = Z95) -> Mean:
    """The mean and its normal interval, mean +- z s / sqrt(n) with s the standard deviation of the sample.

    Args:
        values: independent; at least two, so that they show how far they scatter.
        z: quantile of the normal distribution; the default gives 95 %.
    """
    n = len(values)
    centre = math.fsum(values) / n
    spread = math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (n - 1))
    half = z * spread / math.sqrt(n)
    return Mean(centre, centre - half, centre + half, n)
