"""How often a rule tells the preferred answer, and whether one rule does better than another on the same pairs."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from prefsmith.evaluate.bootstrap import clustered, ratio
from prefsmith.evaluate.paired import sign_test
from prefsmith.evaluate.pairs import PerPair
from prefsmith.stats import wilson

SAME = 1e-12
"""Points of a prompt that rounding alone may leave between rules that did equally well on it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval.

    Args:
        value: the share, ties counted one half; NaN where there is nothing to count.
        low: lower end.
        high: upper end.
        n: pairs.
        prompts: of them.
        method: how the interval was made, `wilson` or `bootstrap`.
    """

    value: float
    low: float
    high: float
    n: int
    prompts: int
    method: str

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        ends = {name: finite(getattr(self, name)) for name in ("value", "low", "high")}
        return {**ends, "n": self.n, "prompts": self.prompts, "interval": self.method}


@dataclass(frozen=True, slots=True)
class Gain:
    """One rule's share less another's on the same pairs.

    Args:
        value: the difference.
        low: lower end of its 95 % interval, from draws of whole prompts.
        high: upper end.
        better: prompts on which the first rule does better.
        worse: prompts on which the second one does.
        p: of the exact sign test over these prompts, two-sided: how probable a split at least as uneven would be if
            neither rule were better.
    """

    value: float
    low: float
    high: float
    better: int
    worse: int
    p: float

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        ends = {name: finite(getattr(self, name)) for name in ("value", "low", "high")}
        return {**ends, "better": self.better, "worse": self.worse, "p": self.p}


def finite(value: float) -> float | None:
    """The number; None for one that JSON does not have."""
    return float(value) if math.isfinite(value) else None


def hits(difference: PerPair, tie: float = 0.0) -> PerPair:
    """1 where the rule's number is larger for the preferred answer, 1/2 where both are within `tie`, 0 elsewhere."""
    return np.where(np.abs(difference) <= tie, 0.5, (difference > 0).astype(np.float64))


def rate(hit: PerPair, weight: PerPair, prompt: Int[np.ndarray, " pair"], *, seed: int = 0) -> Rate:
    """The weighted share of hits.

    The interval is Wilson's where every prompt has one pair and all count the same, else from draws of whole prompts:
    pairs of one prompt are not independent. Where those are all alike, so that draws show no scatter, it is Wilson's
    with as many trials as there are prompts.

    Args:
        hit: of each pair, in [0, 1].
        weight: of each pair, >= 0.
        prompt: number of its prompt.
        seed: of the draws.
    """
    counted = weight > 0
    hit, weight, prompt = hit[counted], weight[counted], prompt[counted]
    if not len(hit):
        return Rate(math.nan, math.nan, math.nan, 0, 0, "wilson")
    value, prompts = float(weight @ hit / weight.sum()), len(np.unique(prompt))
    if prompts == len(hit) and np.ptp(weight) == 0:
        low, high, method = *_wilson(value, len(hit)), "wilson"
    else:
        drawn = clustered(np.stack([weight * hit, weight], axis=1), prompt.tolist(), statistic=ratio, seed=seed)
        low, high, method = drawn.low, drawn.high, "bootstrap"
        if math.isnan(low) or low == high:
            low, high, method = *_wilson(value, prompts), "wilson"
    return Rate(value, low, high, len(hit), prompts, method)


def gain(hit: PerPair, other: PerPair, weight: PerPair, prompt: Int[np.ndarray, " pair"], *, seed: int = 0) -> Gain:
    """The paired difference of two rules.

    Args:
        hit: of each pair by the first rule.
        other: by the second.
        weight: of each pair, >= 0, not all 0.
        prompt: number of its prompt.
        seed: of the draws.
    """
    points = weight * (hit - other)
    drawn = clustered(np.stack([points, weight], axis=1), prompt.tolist(), statistic=ratio, seed=seed)
    numbers = np.unique(prompt, return_inverse=True)[1]
    per_prompt = np.bincount(numbers, weights=points)
    test = sign_test(int((per_prompt > SAME).sum()), int((per_prompt < -SAME).sum()))
    return Gain(drawn.value, drawn.low, drawn.high, test.better, test.worse, test.p)


def _wilson(value: float, n: int) -> tuple[float, float]:
    share = wilson(value * n, n)
    return share.low, share.high
