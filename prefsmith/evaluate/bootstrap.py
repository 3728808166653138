"""Intervals by drawing again, for values that come in clusters: several answers to one prompt are not independent.

Whole clusters are drawn with replacement, as many as there are, and the statistic is taken of each draw; the interval
is between two percentiles of what came out. A draw is kept as the number of times that each value is in it, so that
statistics are taken of all draws at once.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float64

Numbers = np.ndarray | Sequence[Any]
"""Numbers, or rows of numbers, before they are an array."""
Values = Float64[np.ndarray, "value column"]
Counts = Float64[np.ndarray, "draw value"]
PerDraw = Float64[np.ndarray, " draw"]
Statistic = Callable[[Values, Counts], PerDraw]

DRAWS = 2000
_CELLS = 4_000_000
"""Most numbers that a block of draws holds, 32 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % interval.

    Args:
        value: of the data themselves; NaN where the statistic is undefined.
        low: lower end; NaN where nothing shows how far the value scatters.
        high: upper end, likewise.
        n: values.
        clusters: that were drawn; what independence there is, is between them.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.3f} [unknown], n={self.n:,} in {self.clusters:,}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n={self.n:,} in {self.clusters:,}"

    def as_dict(self) -> dict[str, float | None]:
        """As evidence.json has it: None for what is undefined, which JSON cannot write as a number."""
        ends = {name: None if math.isnan(end := getattr(self, name)) else end for name in ("value", "low", "high")}
        return {**ends, "n": self.n, "clusters": self.clusters}


def average(values: Values, counts: Counts) -> PerDraw:
    """The mean of the first column; a cluster of many values counts by all of them."""
    return counts @ values[:, 0] / counts.sum(axis=1)


def ratio(values: Values, counts: Counts) -> PerDraw:
    """Sum of the first column by sum of the second; NaN where a draw has nothing to divide by.

    So a rate among valid values only: points in the first column, 1 or 0 for valid in the second.
    """
    above, below = counts @ values[:, 0], counts @ values[:, 1]
    return np.divide(above, below, out=np.full(len(counts), np.nan), where=below != 0)


def ratio_difference(values: Values, counts: Counts) -> PerDraw:
    """`ratio` of the first two columns less that of the next two, on the same draws: a paired difference."""
    return ratio(values[:, :2], counts) - ratio(values[:, 2:4], counts)


def clustered(
    values: Numbers,
    clusters: Sequence[Hashable],
    *,
    statistic: Statistic = average,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """A statistic with its percentile interval over draws of whole clusters.

    The same values, clusters and seed give the same interval to the bit. Draws of which the statistic is NaN are left
    out; where they are more than half, the ends are NaN. With one cluster nothing shows the scatter between clusters,
    and the ends are NaN too. Where all clusters are alike the interval is a point: beside a share at 0 or 1, show
    `stats.wilson`, which knows better.

    Args:
        values: `(value,)`, or `(value, column)` for a statistic of several columns; at least one value.
        clusters: the cluster of each value, for example its prompt.
        statistic: from values `(value, column)` and counts `(draw, value)`, how often each value is in each draw, one
            number per draw. It must depend on nothing else, so that counts of 1 give that of the data.
        draws: more make the ends steadier; 2,000 are within a twentieth of the interval's length.
        seed: of the draws.
        level: what the interval covers.

    Raises:
        ValueError: there are no values, or not one cluster for each.

    Source:
        Efron 1979, Annals of Statistics 7(1); drawing whole clusters: Davison and Hinkley 1997, section 3.8.
    """
    table = np.asarray(values, dtype=np.float64)
    if not len(table) or len(table) != len(clusters):
        raise ValueError(f"{len(table)} values and {len(clusters)} clusters: at least one, and one for each")
    table = table.reshape(len(table), -1)
    names: dict[Hashable, int] = {}
    member = np.array([names.setdefault(cluster, len(names)) for cluster in clusters])
    value = float(statistic(table, np.ones((1, len(table))))[0])
    if len(names) < 2:
        return Interval(value, math.nan, math.nan, len(table), len(names))
    drawn = _drawn(table, member, len(names), statistic, draws, seed)
    known = drawn[~np.isnan(drawn)]
    if len(known) * 2 < draws:
        return Interval(value, math.nan, math.nan, len(table), len(names))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), len(table), len(names))


def _drawn(table: Values, member: np.ndarray, size: int, statistic: Statistic, draws: int, seed: int) -> PerDraw:
    """The statistic of each draw, in blocks that fit into memory."""
    alone = len(table) == size  # then `member` numbers the values themselves
    block = max(1, _CELLS // max(len(table), size))
    if block >= draws:
        times = _times(size, draws, seed)
        return statistic(table, times if alone else times[:, member])
    generator = np.random.default_rng(seed)
    parts = []
    for start in range(0, draws, block):
        times = _counted(generator, size, min(block, draws - start))
        parts.append(statistic(table, times if alone else times[:, member]))
    return np.concatenate(parts)


@lru_cache(maxsize=4)
def _times(size: int, draws: int, seed: int) -> Counts:
    """How often each of so many clusters is in each draw. Statistics of the same prompts are of the same draws."""
    times = _counted(np.random.default_rng(seed), size, draws)
    times.flags.writeable = False
    return times


def _counted(generator: np.random.Generator, size: int, rows: int) -> Counts:
    picked = generator.integers(0, size, size=(rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(picked.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)
