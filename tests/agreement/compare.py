"""Both sides' numbers against each other, and against what is declared of them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prefsmith.errors import PrefsmithError
from prefsmith.losses import LOSSES

from .case import Case, Part
from .cases import CASES
from .facts_ours import Fact, facts
from .ours import Ours, encoded
from .problem import BATCH

EQUAL = {"float64": 1e-10, "float32": 1e-4}
"""Largest difference at which two numbers count as equal: relative for gradients and for values above 1."""
DIFFERENT = 1e-6
"""Least difference in float64 at which two numbers count as different."""


@dataclass(frozen=True)
class Gap:
    """Largest differences between two sides.

    Args:
        values: |theirs - ours| / max(1, |ours|), over rows alone and batches.
        gradients: max |theirs - ours| / max |ours|, the largest over batches.
        last: the losses of the last batch, theirs and ours.
    """

    values: float
    gradients: float
    last: tuple[float, float]

    def within(self, bound: float) -> bool:
        """Whether both are at most that."""
        return self.values <= bound and self.gradients <= bound


@dataclass(frozen=True)
class Measured:
    """A case and what was found: the gap itself and, where a difference is declared, what of it is left unexplained."""

    key: str
    case: Case
    gaps: Mapping[str, Gap]
    left: Mapping[str, Gap]

    @property
    def wide(self) -> str:
        """The widest type that was compared."""
        return "float64" if "float64" in self.gaps else "float32"

    @property
    def problem(self) -> str:
        """What is not as declared; empty where all is."""
        explained = self.left if self.case.differs else self.gaps
        for kind, gap in explained.items():
            bound = EQUAL["float32" if self.case.float32_inside else kind]
            if not gap.within(bound):
                what = "the explanation leaves" if self.case.differs else "they differ by"
                return f"{what} {gap.values:.1e} of the values and {gap.gradients:.1e} of the gradients in {kind}"
        if self.case.differs and self.gaps[self.wide].within(DIFFERENT):
            return "they no longer differ"
        return ""


@dataclass
class Found:
    """Everything that was compared."""

    measured: list[Measured] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)

    @property
    def problems(self) -> dict[str, str]:
        """By case or fact: what is not as declared."""
        rows = {each.key: each.problem for each in (*self.measured, *self.facts) if each.problem}
        return rows | self.missing

    @property
    def as_declared(self) -> bool:
        """Whether every row is."""
        return not self.problems


@dataclass(frozen=True)
class Way:
    """How our number of a case is computed."""

    parts: Sequence[Part]
    device_batch: int
    mismatched: str


class Sides:
    """TRL's stored numbers and ours, computed when they are asked for."""

    def __init__(self, theirs: Mapping[str, Any], gradients: Mapping[str, Tensor], folder: Path) -> None:
        self.theirs, self.gradients, self.folder = theirs, gradients, folder
        self.pairs = {kind: encoded(folder / f"{kind}.jsonl") for kind in theirs["rows"]}

    def gap(self, key: str, kind: str, way: Way) -> Gap:
        """TRL's numbers of a case against ours, computed in this way."""
        parts = way.parts
        stored = self.theirs["values"][f"{key}/{kind}"]
        foreign = self.theirs["mismatched"][str(way.device_batch)] if way.mismatched == "theirs" else None
        ours = Ours(getattr(torch, kind), self.pairs[CASES[key].rows], foreign)
        found = ours.batches(parts, way.device_batch)
        pairs = list(zip(stored["batches"], [value for value, _ in found], strict=True))
        last = pairs[-1]
        if stored["alone"] and not any(part.remember for part in parts):
            pairs += zip(stored["alone"], ours.alone(parts), strict=True)
        gradients = [(self.gradients[f"{key}/{kind}/{place}"], gradient) for place, (_, gradient) in enumerate(found)]
        return Gap(
            values=_largest(abs(a - b) / max(1.0, abs(b)) for a, b in pairs),
            gradients=_largest(float((a - b).abs().max() / b.abs().max()) for a, b in gradients),
            last=last,
        )

    def measured(self, key: str, case: Case) -> Measured:
        """The case in every type that TRL can."""
        kinds = ["float64", "float32"] if case.float64 else ["float32"]
        gaps = {kind: self.gap(key, kind, Way(case.ours, BATCH, case.mismatched)) for kind in kinds}
        left: dict[str, Gap] = {}
        if (why := case.differs) is not None:
            way = Way(why.like, why.device_batch, why.mismatched)
            left = {kind: self.gap(key, kind, way) for kind in kinds}
        return Measured(key, case, gaps, left)


def _largest(gaps: Iterable[float]) -> float:
    """The largest; infinite where one is no number, which `max` would pass over."""
    return max(gap if math.isfinite(gap) else math.inf for gap in gaps)


def compare(theirs: Mapping[str, Any], gradients: Mapping[str, Tensor], folder: Path) -> Found:
    """Every case whose losses are registered; the others are named."""
    sides, found = Sides(theirs, gradients, folder), Found()
    for key, case in CASES.items():
        if absent := sorted(case.needed - LOSSES.keys()):
            found.missing[key] = f"no loss of ours is called {', '.join(absent)}"
            continue
        try:
            found.measured.append(sides.measured(key, case))
        except PrefsmithError as error:
            found.missing[key] = str(error).splitlines()[0]
    found.facts = facts(theirs, gradients, sides.pairs["random"], folder)
    return found
