"""One thing that an audit found: how many rows, what it does to training, how to mend it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from prefsmith.audit.severity import Severity

EXAMPLES = 3
"""Examples that a finding shows, at most."""
HALVED, HALF = 0.5, "audit.yaml lets them count half"
"""The weight of rows that are in doubt, and what a proposal says of it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row that shows a finding.

    Args:
        where: `file:line`.
        text: what is seen there, cut; control characters may be in it.
    """

    where: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What audit.yaml proposes for some rows.

    Args:
        rows: their numbers over all files, rising, each once.
        weights: how much each counts, >= 0; 0 leaves the row out of training.
        refused: rows that the reader refuses and that have no number, which are left out: of each the number of its
            file and `file:line`.
        does: the same in words, for whoever reads the cure.
    """

    rows: np.ndarray
    weights: np.ndarray
    refused: Sequence[tuple[int, str]] = ()
    does: str = "audit.yaml leaves them out"

    def __len__(self) -> int:
        return len(self.rows) + len(self.refused)

    @classmethod
    def drop(cls, rows: Sequence[int] | np.ndarray, does: str = "audit.yaml leaves them out") -> "Proposal":
        """Leave rows out."""
        rows = np.unique(np.asarray(rows, dtype=np.int64))
        return cls(rows, np.zeros(len(rows)), does=does)

    @classmethod
    def leave_out_refused(cls, places: Sequence[tuple[int, str]]) -> "Proposal":
        """Leave rows out that the reader refuses."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0), places, "audit.yaml leaves them out, and counts them")

    @classmethod
    def weigh(
        cls, rows: Sequence[int] | np.ndarray, weights: Sequence[float] | np.ndarray | float, does: str
    ) -> "Proposal":
        """Let rows count more or less; rows must be distinct."""
        rows = np.asarray(rows, dtype=np.int64)
        order = np.argsort(rows, kind="stable")
        return cls(rows[order], np.broadcast_to(np.asarray(weights, dtype=np.float64), rows.shape)[order], does=does)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Something that was found.

    Args:
        kind: of finding: broken, contradictory, repeated, biased, unreliable, uncovered or fit.
        code: stable name, `kind.what`.
        severity: `error` where training would be wrong or stop, `warning` where it costs quality, `note` otherwise.
        title: what was found, in a few words and without its count.
        count: how many `unit` it is about.
        of: of how many that were looked at.
        unit: what is counted: pairs, rows, prompts, completions, votes.
        effect: what it does to training.
        cure: what to do; `advice` adds what audit.yaml does of it.
        examples: a few rows that show it.
        numbers: further numbers, ready for JSON: effect sizes with `low` and `high`, tables.
        proposal: what audit.yaml may do about it.
    """

    kind: str
    code: str
    severity: Severity
    title: str
    count: int
    of: int
    unit: str = "pairs"
    effect: str = ""
    cure: str = ""
    examples: tuple[Example, ...] = ()
    numbers: Mapping[str, object] = field(default_factory=dict)
    proposal: Proposal | None = None

    @property
    def share(self) -> float:
        """`count` of `of`; 0 where there was nothing to look at."""
        return self.count / self.of if self.of else 0.0

    @property
    def advice(self) -> str:
        """The cure, and what audit.yaml does of it."""
        return f"{self.cure}; {self.proposal.does}" if self.proposal else self.cure

    def to_json(self) -> dict[str, object]:
        """Everything but the rows, which audit.yaml has."""
        return {
            "kind": self.kind,
            "code": self.code,
            "severity": self.severity,
            "title": self.title,
            "count": self.count,
            "of": self.of,
            "share": self.share,
            "unit": self.unit,
            "effect": self.effect,
            "cure": self.advice,
            "examples": [{"where": each.where, "text": each.text} for each in self.examples],
            "numbers": dict(self.numbers),
            "rows_in_audit_yaml": len(self.proposal) if self.proposal is not None else 0,
        }
