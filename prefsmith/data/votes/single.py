"""Rows of one vote each, as AlpacaEval writes them: a preference of one annotator for one of two models' answers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prefsmith.data.excerpt import excerpt
from prefsmith.data.votes.gather import Roles
from prefsmith.data.votes.judgements import JudgedPair, Notebook, plain
from prefsmith.data.votes.sides import text_answer
from prefsmith.data.votes.verdicts import Verdicts
from prefsmith.errors import DataError
from prefsmith.records import Completion, Group, Vote

_COLUMNS = {"first": ("gen1", "generator_1"), "second": ("gen2", "generator_2"), "key": ("key", "instruction"),
            "first_length": ("len1",), "second_length": ("len2",), "first_text": ("output_1",),
            "second_text": ("output_2",)}  # fmt: skip
_PEOPLE = ("human", "humans")
"""AlpacaEval's annotators are programs, but for those that it calls so."""


@dataclass(slots=True)
class _Item:
    """Two answers that are waiting for all their votes."""

    place: str
    prompt: str
    methods: tuple[str, str]
    answers: tuple[Completion, Completion]
    lengths: tuple[int | None, int | None]
    votes: dict[str, Vote] = field(default_factory=dict)


class SingleVotes:
    """Lays the votes on the same two answers together.

    Two answers are the same where prompt, models and lengths are.
    """

    def __init__(self, verdicts: Verdicts, roles: Roles, notes: Notebook) -> None:
        self.verdicts, self.roles, self.notes = verdicts, roles, notes
        self._items: dict[tuple[object, ...], _Item] = {}

    def add(self, values: Mapping[str, object], place: str) -> None:
        """Take the vote of a row.

        Raises:
            DataError: the annotator, a model or the preference is not as it should be, or the annotator voted before.
        """
        annotator, prompt = plain(_text(values, "annotator", place)), _text(values, _named(values, "key"), place)
        first, second = (plain(_text(values, _named(values, name), place)) for name in ("first", "second"))
        if "model" in values:  # what wrote the second answer, where it has two names
            second = plain(_text(values, "model", place))
        sides, lengths = self._answers(values, place)
        key = (prompt, first, second, *lengths)
        verdict = self._verdict(values["preference"], annotator, place)
        item = self._items.get(key) or _Item(place, prompt, (first, second), sides, lengths)
        role = "person" if annotator in _PEOPLE else "judge"
        self.roles.add(annotator, role, place)
        if annotator in item.votes:
            what = f"{excerpt(annotator)} votes twice on one pair, which is first at {item.place}"
            raise DataError("votes.twice", what, where=place, fix="keep one vote of each annotator")
        item.votes[annotator] = self.verdicts.vote(verdict, annotator, role, place)
        self._items[key] = item

    def pairs(self) -> Iterator[JudgedPair]:
        """The pairs, in the order in which they first came."""
        for item in self._items.values():
            group = Group(item.place, item.place, item.prompt, item.answers, votes=tuple(item.votes.values()))
            yield JudgedPair(group, item.methods, item.lengths)

    def _answers(
        self, values: Mapping[str, object], place: str
    ) -> tuple[tuple[Completion, Completion], tuple[int | None, int | None]]:
        sides: list[Completion] = []
        lengths: list[int | None] = []
        for name in ("first", "second"):
            text, length = _named(values, f"{name}_text"), values.get(_named(values, f"{name}_length"))
            side = text_answer(values[text], text, self.notes, place)[0] if text in values else Completion(text="")
            if isinstance(values.get(text), str):
                length = len(side.content)
            if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 0):
                what = f"{_named(values, f'{name}_length')} is {excerpt(repr(length))}"
                raise DataError("votes.cell", what, where=place, fix="give a number of characters, or leave it out")
            sides.append(side)
            lengths.append(length)
        return (sides[0], sides[1]), (lengths[0], lengths[1])

    def _verdict(self, value: object, annotator: str, place: str) -> str | None:
        """A preference as a label: from 1 (the first is better) to 2 (the second is), 0 and 1.5 are ties."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _bad_preference(value, place)
        if math.isnan(value):
            return None
        if value == 0 or value == 1.5:
            return "tie"
        if not 1 <= value <= 2:
            raise _bad_preference(value, place)
        if value not in (1, 2):
            self.notes.add(
                f"preferences of {excerpt(annotator)} between 1 and 2, read as the side that is nearer", place
            )
        return "a" if value < 1.5 else "b"


def _named(values: Mapping[str, object], name: str) -> str:
    """The column of this name that the row has."""
    return next((each for each in _COLUMNS[name] if each in values), _COLUMNS[name][0])


def _text(values: Mapping[str, object], name: str, place: str) -> str:
    value = values.get(name)
    if isinstance(value, str) and value.strip():
        return value
    raise DataError("votes.cell", f"{name} is {excerpt(repr(value))}", where=place, fix="give a name")


def _bad_preference(value: object, place: str) -> DataError:
    what = f"preference is {excerpt(repr(value))}"
    fix = "a preference goes from 1 (the first is better) to 2 (the second is); 0 or 1.5 is a tie, null no verdict"
    return DataError("votes.verdict", what, where=place, fix=fix)
