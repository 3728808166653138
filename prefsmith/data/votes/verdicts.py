"""A cell that says who won, as one of four verdicts; what names nobody is invalid and counted, never dropped."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from prefsmith.data.excerpt import excerpt
from prefsmith.data.votes.judgements import Notebook, Role
from prefsmith.data.winner import Sides
from prefsmith.errors import DataError
from prefsmith.records import Vote

Verdict = Literal["first", "second", "tie", "invalid"]
_NOTHING = re.compile(r"\s*((invalid|none|null|error|n/a)\b|$)", re.IGNORECASE)
"""How the absence of a verdict is written, with or without a reason behind it."""
_ACCEPTED = "a verdict is a, b, tie or invalid; null where there is none"


@dataclass(slots=True)
class Verdicts:
    """Reads the verdicts of a file.

    Args:
        sides: what a verdict may name.
        notes: counts those that name nobody.
    """

    sides: Sides
    notes: Notebook
    _all: Counter[str] = field(default_factory=Counter)
    _unknown: Counter[str] = field(default_factory=Counter)
    _first: dict[str, tuple[str, str]] = field(default_factory=dict)
    _pending: list[tuple[str, str, str]] = field(default_factory=list)  # whose, unknown label or nothing, place

    def vote(self, value: object, annotator: str, role: Role, place: str, order: int | None = None) -> Vote:
        """The vote that a cell holds.

        Args:
            value: names an answer (not a place), a tie, or nothing.
            annotator: whose it is.
            role: of the annotator.
            place: `file:line`.
            order: which presentation it is of; 1 showed the second answer first.

        Raises:
            DataError: the cell is no text.
        """
        found = self._verdict(value, annotator, role, place)
        left, right = (1, 0) if order == 1 else (0, 1)
        if found in ("first", "second"):
            return Vote(left, right, "left" if (found == "first") == (left == 0) else "right", annotator, order)
        return Vote(left, right, "tie" if found == "tie" else "invalid", annotator, order)

    def keep(self) -> None:
        """The row that was read is used."""
        for who, unknown, place in self._pending:
            self._all[who] += 1
            if unknown:
                self._unknown[who] += 1
                self._first.setdefault(who, (unknown, place))
        self._pending.clear()

    def drop(self) -> None:
        """The row that was read is refused."""
        self._pending.clear()

    def check(self) -> None:
        """At the end of a file: labels that are all unknown are in a language of their own, and not all garbage.

        Raises:
            DataError: of a judge, or of all people together, no label is known.
        """
        for who, count in self._unknown.items():
            if count == self._all[who]:
                shown, place = self._first[who]
                what = f"none of the {count:,} verdicts of {excerpt(who)} names a side; the first is {shown}"
                raise DataError("votes.verdict", what, where=place, fix=_ACCEPTED)

    def _verdict(self, value: object, annotator: str, role: Role, place: str) -> Verdict:
        if value is not None and not isinstance(value, str):
            what = f"the verdict of {excerpt(annotator)} is {excerpt(repr(value))}, and not a text"
            raise DataError("votes.verdict", what, where=place, fix=_ACCEPTED)
        named = self.sides.names(value)
        shown = "" if named else excerpt(repr(value), 40)
        unknown = named is None and value is not None and not _NOTHING.match(value)
        self._pending.append((f"judge {annotator}" if role == "judge" else "people", shown if unknown else "", place))
        if named is None:
            what = f"verdicts of {excerpt(annotator)} that name no side, counted as invalid"
            self.notes.add(what, place, shown)
        return named or "invalid"


def order_of(entry: Mapping[str, object], place: str) -> int | None:
    """Which presentation a vote is of, where it says so.

    Raises:
        DataError: it says something else than 0 or 1.
    """
    order = entry.get("order")
    if order is None:
        return None
    if isinstance(order, bool) or order not in (0, 1):
        what = f"the order of a vote is {excerpt(repr(order))}"
        fix = "0 where the first answer was shown first, 1 where the second was; leave it out where it is not known"
        raise DataError("votes.order", what, where=place, fix=fix)
    return 1 if order == 1 else 0
