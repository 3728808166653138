"""One number with its interval: Wilson's where every prompt says one thing, else by drawing whole prompts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int
from numpy.typing import ArrayLike

from prefsmith.evaluate.bootstrap import DRAWS, clustered, ratio
from prefsmith.stats import wilson

Sums = Float64[np.ndarray, "*batch column"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, how sure it is, and what it is of.

    Args:
        value: None where there is nothing to say.
        low: lower end of the 95 % interval; None where nothing shows how far the number scatters.
        high: upper end, likewise.
        n: what was counted.
        prompts: that it is from; what independence there is, is between them.
        hits: of n, for a share.
        method: of the interval.
        alone: for a share, Wilson's interval as if all n were independent: too short where prompts repeat.
        why: the reason where something is missing.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    prompts: int
    hits: float | None = None
    method: Literal["wilson", "bootstrap", "none"] = "none"
    alone: tuple[float, float] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Gauge:
    """Makes figures, all with the same draws.

    Args:
        seed: of the draws.
        draws: of whole prompts.
    """

    seed: int = 0
    draws: int = DRAWS

    def share(
        self, hits: ArrayLike, prompt: Int[np.ndarray, " case"], trials: ArrayLike | None = None, *, none: str = ""
    ) -> Figure:
        """A share with its interval.

        Args:
            hits: of each case, at most its trials.
            prompt: of each case.
            trials: of each case; one where left out. Cases without any are left out.
            none: why there is no case, where there is none.
        """
        above = np.asarray(hits, dtype=np.float64)
        below = np.ones(len(above)) if trials is None else np.asarray(trials, dtype=np.float64)
        above, below, prompt = above[below > 0], below[below > 0], prompt[below > 0]
        if not len(above):
            return Figure(None, None, None, 0, 0, 0.0, why=none or "nothing to count")
        table = _by_prompt(np.column_stack([above, below]), prompt)
        k, n = (float(each) for each in table.sum(axis=0))
        apart, prompts = wilson(k, n), len(table)
        alone = (apart.low, apart.high)
        if prompts == n:
            return Figure(k / n, *alone, round(n), prompts, k, "wilson", alone)
        drawn = clustered(table, range(prompts), statistic=ratio, draws=self.draws, seed=self.seed)
        if math.isnan(drawn.low):
            return Figure(
                k / n, None, None, round(n), prompts, k, "none", alone, "one prompt: its scatter is not known"
            )
        if drawn.low == drawn.high:  # all prompts alike; Wilson knows that so many of them prove no certainty
            whole = wilson(k / n * prompts, prompts)
            return Figure(k / n, whole.low, whole.high, round(n), prompts, k, "wilson", alone)
        return Figure(k / n, drawn.low, drawn.high, round(n), prompts, k, "bootstrap", alone)

    def statistic(
        self,
        columns: Float64[np.ndarray, "case column"],
        prompt: Int[np.ndarray, " case"],
        of_sums: Callable[[Sums], np.ndarray],
        *,
        n: int,
        none: str = "",
    ) -> Figure:
        """A function of the columns' sums, with its interval by drawing prompts.

        Args:
            columns: of each case.
            prompt: of each case.
            of_sums: from sums `(draw, column)` to a number a draw, NaN where it is undefined.
            n: what was counted.
            none: why it is undefined, where it is.
        """
        if not len(columns):
            return Figure(None, None, None, 0, 0, why=none or "nothing to count")
        table = _by_prompt(columns, prompt)
        drawn = clustered(
            table, range(len(table)), statistic=lambda values, counts: of_sums(counts @ values), draws=self.draws,
            seed=self.seed,
        )  # fmt: skip
        if math.isnan(drawn.value):
            return Figure(None, None, None, n, len(table), why=none or "undefined")
        if math.isnan(drawn.low):
            why = "one prompt: its scatter is not known" if len(table) < 2 else "most draws are undefined"
            return Figure(drawn.value, None, None, n, len(table), why=why)
        return Figure(drawn.value, drawn.low, drawn.high, n, len(table), method="bootstrap")


def _by_prompt(columns: Float64[np.ndarray, "case column"], prompt: Int[np.ndarray, " case"]) -> np.ndarray:
    """Sums of the columns for each prompt."""
    names, member = np.unique(prompt, return_inverse=True)
    sums = [np.bincount(member, weights=column, minlength=len(names)) for column in columns.T]
    return np.asfortranarray(np.column_stack(sums))  # columns are multiplied one by one, with all draws
