"""How much more of something chosen sides have than rejected ones: two effect sizes, with intervals over prompts.

Pairs of one prompt are not independent: what varies is summed over the pairs of each prompt before it is squared.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from prefsmith.stats import Z95, wilson

PerPair = Float[np.ndarray, " pair"]
OfPrompts = Int[np.ndarray, " pair"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval, from n cases; None where there is nothing to say."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, float | int | None]:
        """As findings have it."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    def beyond(self, level: float, room: float = 0.0) -> bool:
        """Whether the whole interval is farther from a level than so much."""
        if self.low is None or self.high is None:
            return False
        return self.low > level + room or self.high < level - room


def share(hits: np.ndarray, prompts: OfPrompts, z: float = Z95) -> Estimate:
    """A share with Wilson's interval for as many independent trials as the scatter between prompts leaves.

        n_effective = n / max(1, V_prompts / V_binomial)

    so that pairs with prompts of their own have Wilson's interval as it is.

    Args:
        hits: 1 or 0, of each case; one half for a tie.
        prompts: number of each one's prompt.
        z: quantile of the normal distribution; the default gives 95 %.
    """
    return rate(np.asarray(hits, dtype=np.float64), np.ones(len(hits)), prompts, z)


def standardised(chosen: PerPair, rejected: PerPair, prompts: OfPrompts, z: float = Z95) -> Estimate:
    """Mean of chosen less mean of rejected, in standard deviations of both.

        d = (mean c - mean r) / s,   s^2 = (var c + var r) / 2

    The interval is d +- z times the standard error by the delta method, from the influence of every prompt; it needs no
    normal distribution, which lengths do not have.

    Args:
        chosen: of each pair.
        rejected: likewise.
        prompts: number of each pair's prompt.
        z: quantile of the normal distribution; the default gives 95 %.
    """
    n = len(chosen)
    if n < 2:
        return Estimate(None, None, None, n)
    c, r = chosen.astype(np.float64), rejected.astype(np.float64)
    off, other = c - c.mean(), r - r.mean()
    squared = (off * off + other * other) / 2
    variance = float(squared.mean())
    if variance == 0:
        return Estimate(0.0 if c.mean() == r.mean() else None, None, None, n)
    deviation = math.sqrt(variance)
    d = float(c.mean() - r.mean()) / deviation
    influence = (off - other) / deviation - d / (2 * variance) * (squared - variance)
    error = math.sqrt(_between(influence, prompts)) / n
    return Estimate(d, d - z * error, d + z * error, n)


def in_order(prompts: np.ndarray) -> OfPrompts:
    """Any keys of prompts as numbers from 0."""
    return np.unique(prompts, return_inverse=True)[1].reshape(-1)


def _between(residuals: np.ndarray, prompts: OfPrompts) -> float:
    """Sum over prompts of the square of each one's sum, with the usual correction for few of them.

    Of one prompt alone nothing shows how prompts scatter: its cases are taken instead.
    """
    sums = np.bincount(prompts, weights=residuals)
    members = len(np.unique(prompts))
    if members < 2:
        sums, members = residuals, len(residuals)
    return float((sums * sums).sum()) * (members / (members - 1) if members > 1 else 1.0)


def _design(residuals: np.ndarray, prompts: OfPrompts, binomial: float) -> float:
    """By how much prompts scatter more than single trials would; at least 1."""
    return max(1.0, _between(residuals, prompts) / binomial) if binomial > 0 else 1.0


def rate(hits: np.ndarray, trials: np.ndarray, prompts: OfPrompts, z: float = Z95) -> Estimate:
    """A share of all trials, some of which are of one case, with Wilson's interval for what prompts leave of them.

    Args:
        hits: of each case.
        trials: of each case; cases without any are left out.
        prompts: number of each one's prompt.
        z: quantile of the normal distribution; the default gives 95 %.
    """
    n = float(trials.sum())
    if n == 0:
        return Estimate(None, None, None, 0)
    value = float(hits.sum()) / n
    left = n / _design(hits - value * trials, prompts, n * value * (1 - value))
    found = wilson(value * left, left, z)
    return Estimate(value, found.low, found.high, round(n))


def jackknife(
    sums: Float[np.ndarray, "case column"],
    prompts: OfPrompts,
    statistic: Callable[[np.ndarray], np.ndarray],
    n: int,
    z: float = Z95,
) -> Estimate:
    """A function of the columns' sums, its interval from leaving out one prompt after the other.

    Args:
        sums: of each case.
        prompts: number of each one's prompt, from 0.
        statistic: from sums `(..., column)` to numbers; NaN where it is undefined.
        n: what was counted.
        z: quantile of the normal distribution; the default gives 95 %.

    Source:
        Efron and Stein 1981, Annals of Statistics 9(3): its variance is no smaller than the truth on average.
    """
    if not len(sums):
        return Estimate(None, None, None, n)
    by_prompt = np.column_stack([np.bincount(prompts, weights=column) for column in sums.T])
    whole = by_prompt.sum(axis=0)
    value = float(statistic(whole))
    if math.isnan(value):
        return Estimate(None, None, None, n)
    without = statistic(whole - by_prompt)
    members = len(by_prompt)
    error = math.sqrt((members - 1) / members * float(((without - without.mean()) ** 2).sum()))
    if members < 2 or math.isnan(error):
        return Estimate(value, None, None, n)
    return Estimate(value, value - z * error, value + z * error, n)
