"""Shares beside each other: how sure their difference is, and how many trials it takes to see one."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from prefsmith.stats import Z95, wilson

POWER = 0.8
"""Chance of seeing a difference that is there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A share less another one, of independent trials.

    Args:
        value: the first less the second.
        low: lower end of the 95 % interval.
        high: upper end.
        z: the difference in standard errors, taken as if both shares were one.
        p: probability of a |z| as large where both are one.
    """

    value: float
    low: float
    high: float
    z: float
    p: float


def standard_error(successes: float, n: float) -> float:
    """sqrt(share (1 - share) / n): the number behind a plus-minus in most tables, a half of a 95 % interval and less.

    Args:
        successes: at most n.
        n: independent trials, above zero.
    """
    return math.sqrt(successes * (n - successes) / n) / n


def compare_shares(successes: float, n: float, others: float, other_n: float) -> Difference:
    """Two shares of independent trials.

        z = (k/n - l/m) / sqrt(q (1 - q) (1/n + 1/m)),   q = (k + l) / (n + m)

    Trials on the same prompts are not independent: `paired.sign_test` and a bootstrap over prompts see more. Where both
    shares are 0, or both 1, z is 0. The interval is of the difference as it is, without q: Newcombe's, from the two
    Wilson intervals, which holds for small n and at 0 and 1.

    Args:
        successes: k, of the first.
        n: trials of the first, above zero.
        others: l, of the second.
        other_n: m, above zero.

    Source:
        Newcombe 1998, Statistics in Medicine 17(8), method 10.
    """
    first, second = successes / n, others / other_n
    both = (successes + others) / (n + other_n)
    error = math.sqrt(both * (1 - both) * (1 / n + 1 / other_n))
    z = (first - second) / error if error > 0 else 0.0
    own, other = _wilson_ends(successes, n), _wilson_ends(others, other_n)
    low = first - second - math.hypot(first - own[0], other[1] - second)
    high = first - second + math.hypot(own[1] - first, second - other[0])
    return Difference(first - second, max(-1.0, low), min(1.0, high), z, math.erfc(abs(z) / math.sqrt(2)))


def trials_to_tell(first: float, second: float, *, power: float = POWER, z: float = Z95) -> int | None:
    """Independent trials of each of two shares, so that a test at 5 % sees their difference with this power.

        n = ((z sqrt(2 q (1 - q)) + z_power sqrt(p1 (1 - p1) + p2 (1 - p2))) / (p1 - p2))^2,   q = (p1 + p2) / 2

    Args:
        first: p1, in [0, 1].
        second: p2, in [0, 1].
        power: chance of seeing it.
        z: of the two-sided test; the default is 5 %.

    Returns:
        Whole trials of each; None where the shares are equal: no number tells them apart.

    Source:
        Fleiss, Levin and Paik 2003, Statistical Methods for Rates and Proportions, section 4.2, without correction.
    """
    if first == second:
        return None
    middle = (first + second) / 2
    spread = z * math.sqrt(2 * middle * (1 - middle))
    spread += NormalDist().inv_cdf(power) * math.sqrt(first * (1 - first) + second * (1 - second))
    return _whole((spread / (first - second)) ** 2)


def trials_to_leave(share: float, level: float = 0.5, *, power: float = POWER, z: float = Z95) -> int | None:
    """Independent trials after which a test at 5 % tells a share from a known level with this power.

        n = ((z sqrt(l (1 - l)) + z_power sqrt(p (1 - p))) / (p - l))^2

    Args:
        share: p, in [0, 1].
        level: l, within 0 and 1: one half for a win rate against an equal.
        power: chance of seeing it.
        z: of the two-sided test.

    Returns:
        Whole trials; None where the share is the level.
    """
    if share == level:
        return None
    spread = z * math.sqrt(level * (1 - level)) + NormalDist().inv_cdf(power) * math.sqrt(share * (1 - share))
    return _whole((spread / (share - level)) ** 2)


def pairs_to_tell(difference: float, deviation: float, *, power: float = POWER, z: float = Z95) -> int | None:
    """Prompts after which the mean of differences on the same prompts is told from zero with this power.

        n = ((z + z_power) s / d)^2

    Args:
        difference: d, of the means.
        deviation: s, the standard deviation of the differences over prompts.
        power: chance of seeing it.
        z: of the two-sided test.

    Returns:
        Whole prompts; None where the difference is zero.
    """
    if difference == 0:
        return None
    return _whole(((z + NormalDist().inv_cdf(power)) * deviation / difference) ** 2)


def _whole(trials: float) -> int:
    """Rounded up, and at least one; what rounding alone put above a whole number is not."""
    return max(1, math.ceil(trials - 1e-9))


def _wilson_ends(successes: float, n: float) -> tuple[float, float]:
    share = wilson(successes, n)
    return share.low, share.high
