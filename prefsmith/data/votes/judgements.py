"""What a file of judgements holds: pairs of answers with votes, and who the annotators are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from prefsmith.data.excerpt import excerpt
from prefsmith.records import Group

Role = Literal["person", "judge"]
"""A judge is a program: a model, a reward, a rule."""

MOST_PLACES = 10
"""Places of a note that are kept; how many there are is counted."""


def plain(name: str) -> str:
    """A name on one line, what cannot be printed as escapes: half a character would end in no file of ours."""
    return name if name.isprintable() else excerpt(name, len(name))


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two answers to a prompt, and what was said of them.

    Args:
        group: two completions, and the votes on them. A file without texts has empty ones. A tag is `column=value`.
        methods: who wrote either answer, where the file says so.
        lengths: of either answer, in the unit of its file; None where it is not known.
        names: what a file without texts calls either answer.
    """

    group: Group
    methods: tuple[str, str] | None = None
    lengths: tuple[int | None, int | None] = (None, None)
    names: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What was done to cells that are not as they should be, how often, and where first.

    Args:
        what: was done.
        count: how often.
        seen: of the first of them `file:line`, and what stands there, if that says more.
    """

    what: str
    count: int
    seen: tuple[tuple[str, str], ...]

    @property
    def places(self) -> tuple[str, ...]:
        """Where the first of them are, with what stands there."""
        return tuple(f"{place} ({shown})" if shown else place for place, shown in self.seen)


@dataclass(frozen=True, slots=True)
class Judgements:
    """A file that was read to its end.

    Args:
        name: as it was given.
        form: which of the forms its rows have.
        pairs: in the order of the file.
        roles: of each annotator, in the order in which they come.
        named: whether one name is one person throughout; False where votes have no names.
        unit: of the lengths: words or characters; empty where none is known.
        rows: read, with those that were refused.
        notes: what is odd in it.
        refused: how many rows were refused, by code.
        digest: of the file.
    """

    name: str
    form: str
    pairs: tuple[JudgedPair, ...]
    roles: Mapping[str, Role]
    named: bool
    unit: str
    rows: int
    notes: tuple[Note, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    digest: Mapping[str, str] = field(default_factory=dict)


class Notebook:
    """Collects notes while a file is read; those of a row are kept or dropped with it."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[str, str]]] = {}
        self._counts: dict[str, int] = {}
        self._pending: list[tuple[str, str, str]] = []

    def add(self, what: str, place: str, shown: str = "") -> None:
        """Note what was found in the row that is being read, and what stands there."""
        self._pending.append((what, place, shown))

    def keep(self) -> None:
        """The row is used: count what was noted of it, and keep its place where there are few."""
        for what, place, shown in self._pending:
            self._counts[what] = self._counts.get(what, 0) + 1
            seen = self._seen.setdefault(what, [])
            if len(seen) < MOST_PLACES:
                seen.append((plain(place), plain(shown)))
        self._pending.clear()

    def drop(self) -> None:
        """The row is refused."""
        self._pending.clear()

    def notes(self) -> tuple[Note, ...]:
        """In the order in which they first came."""
        return tuple(Note(what, count, tuple(self._seen[what])) for what, count in self._counts.items())
