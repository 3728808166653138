"""Rows of two systems' ranks by one judge, as WMT publishes them: one place of a ranking of several translations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prefsmith.data.excerpt import excerpt
from prefsmith.data.votes.gather import Roles
from prefsmith.data.votes.judgements import JudgedPair, plain
from prefsmith.data.votes.verdicts import Verdicts
from prefsmith.errors import DataError
from prefsmith.records import Completion, Group, Vote

COLUMNS = ("srclang", "trglang", "segmentId", "judgeID", "system1Id", "system1rank", "system2Id", "system2rank")


@dataclass(slots=True)
class _Item:
    """Two systems' translations of a segment that are waiting for all their votes."""

    place: str
    prompt: str
    systems: tuple[str, str]
    votes: list[Vote] = field(default_factory=list)


class RankedVotes:
    """Lays the votes on two translations together; the lower rank is better, equal ranks are a tie.

    A judge who is shown the same two again, as WMT does on purpose, votes on a further pair of them.
    """

    def __init__(self, verdicts: Verdicts, roles: Roles) -> None:
        self.verdicts, self.roles = verdicts, roles
        self._items: dict[tuple[object, ...], _Item] = {}
        self._times: dict[tuple[object, ...], int] = {}

    def add(self, values: Mapping[str, object], place: str) -> None:
        """Take the vote of a row.

        Raises:
            DataError: a name or a rank is not as it should be, or a system is compared with itself.
        """
        source, target, segment, judge = (_text(values, name, place) for name in COLUMNS[:4])
        ranked = [(_text(values, f"system{n}Id", place), _rank(values, f"system{n}rank", place)) for n in (1, 2)]
        if ranked[0][0] == ranked[1][0]:
            what = f"{excerpt(ranked[0][0])} is compared with itself"
            raise DataError("votes.cell", what, where=place, fix="drop the row; --skip-bad does")
        (first, rank), (second, other) = sorted(ranked)
        said = "tie" if rank == other else "a" if rank < other else "b"
        pair = (source, target, segment, first, second)
        vote = self.verdicts.vote(said, judge, "person", place)
        self.roles.add(judge, "person", place)
        time = self._times[*pair, judge] = self._times.get((*pair, judge), 0) + 1
        fresh = _Item(place, f"{source}-{target} {segment}", (first, second))
        self._items.setdefault((*pair, time), fresh).votes.append(vote)

    def pairs(self) -> Iterator[JudgedPair]:
        """The pairs, in the order in which they first came."""
        for item in self._items.values():
            texts = Completion(text=""), Completion(text="")
            group = Group(item.place, item.place, item.prompt, texts, votes=tuple(item.votes))
            names = (f"{item.systems[0]} {item.prompt}", f"{item.systems[1]} {item.prompt}")
            yield JudgedPair(group, item.systems, names=names)


def _text(values: Mapping[str, object], name: str, place: str) -> str:
    value = values.get(name)
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        return plain(str(value))
    raise DataError("votes.cell", f"{name} is {excerpt(repr(value))}", where=place, fix="give a name")


def _rank(values: Mapping[str, object], name: str, place: str) -> int:
    value = _text(values, name, place)
    if value.isdecimal() and int(value) > 0:
        return int(value)
    what = f"{name} is {excerpt(repr(values.get(name)))}"
    raise DataError("votes.cell", what, where=place, fix="give a rank, 1 for the best")
