"""How long prompts and answers are in the model's tokens, before anything is cut."""

import math
from collections.abc import Iterator, Sequence
from statistics import fmean

from prefsmith.data.encode import Uncut
from prefsmith.data.views import View
from prefsmith.preflight.examples import TIED, roles
from prefsmith.preflight.facts import Lengths, Quantiles


class LengthRecord:
    """Collects the lengths of rows as they are encoded; hand `add` to `Encoder.measure`.

    Args:
        good: what a desirable completion is called.
    """

    def __init__(self, good: str) -> None:
        self.good = good
        self.rows: list[tuple[int, int]] = []
        sides = ("chosen", "rejected", good, "undesirable", "best", "between", "worst", TIED)
        self.sides: dict[str, list[int]] = {side: [] for side in sides}
        self.differences: list[int] = []

    def add(self, uncut: Uncut) -> None:
        """Note a row."""
        self.rows.append((uncut.prompt, uncut.longest))
        place = {index: number for number, index in enumerate(uncut.used)}
        for view in uncut.views:
            found = [name.partition(" ")[0] for name in roles(uncut.group, view, self.good)]
            for index, side in enumerate(found):
                if side:
                    self.sides[side].append(uncut.completions[place[index]])
            for better, worse in _told_apart(view):
                self.differences.append(uncut.completions[place[better]] - uncut.completions[place[worse]])
            if any(found):
                break  # further loss terms read the same answers

    def facts(self, max_length: int | None, truncation: str) -> Lengths | None:
        """The lengths that were noted; None where there were none."""
        if not self.rows:
            return None
        prompts, wholes = [row[0] for row in self.rows], [row[1] for row in self.rows]
        answers = {side: values for side, values in self.sides.items() if values}
        parts = {"prompt": prompts, **answers, "whole": wholes}
        return Lengths(
            parts=tuple(_quantiles(what, values) for what, values in parts.items()),
            max_length=max_length,
            over=0 if max_length is None else sum(whole > max_length for whole in wholes),
            truncation=truncation,
            difference=fmean(self.differences) if self.differences else None,
        )


def _told_apart(view: View) -> Iterator[tuple[int, int]]:
    """The better and the worse completion of each comparison that is no tie; of a list the first and the last."""
    for comparison in view.comparisons:
        if comparison.prob != 0.5:
            better, worse = comparison.better, comparison.worse
            yield (better, worse) if comparison.prob > 0.5 else (worse, better)
    for ranking in view.rankings:
        if ranking.tiers[-1] > 0:
            yield ranking.order[0], ranking.order[-1]


def _quantiles(what: str, values: Sequence[int]) -> Quantiles:
    """Quantiles that are lengths of rows: the smallest that at least the share of rows does not exceed."""
    ordered = sorted(values)

    def at(share: float) -> int:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Quantiles(what, len(ordered), ordered[0], at(0.5), at(0.95), ordered[-1], fmean(ordered))
