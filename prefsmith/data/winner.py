"""Which of two columns a verdict names: rows that hold two answers and, in a third column, who won.

A verdict names a column by its own name (`response_a`), by the part in which the two names differ (`a`), by that part
behind a usual noun (`model_a`), or says that it is a tie. A number names a column only where the two are numbered, as
`response_1` and `response_2`: between `a` and `b`, 0 and 1 might count either way, and 0 might be a tie.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prefsmith.data.excerpt import excerpt
from prefsmith.errors import ConfigError, DataError

Verdict = Literal["first", "second", "tie"]

# Where these stand together without `chosen` and `rejected`, no map is needed: every verdict is checked.
_SIDES = ("response", "answer", "completion", "output", "conversation")
_ENDS = (("a", "b"), ("1", "2"), ("0", "1"))
COLUMNS = ("winner", "preference", "preferred", "better_response", "better_response_id")

_TIES = {"tie", "tied", "draw", "equal", "same", "both bad", "bothbad", "tie both bad", "tie bothbad"}
_NOUNS = {"model", "assistant", "option", *_SIDES}
_WORDS = re.compile(r"[\w\s.:()\[\]'\"-]{1,80}")


@dataclass(frozen=True, slots=True)
class Sides:
    """The two columns that were compared.

    Args:
        first: the column that is read as chosen where the verdict does not say otherwise.
        second: the other one.
        column: the column of the verdict.
        voted: whether it holds a list of votes instead.
    """

    first: str
    second: str
    column: str
    voted: bool = False

    def verdict(self, value: object, where: str) -> Verdict:
        """Which side the value of a cell names.

        Raises:
            DataError: neither, or not clearly.
            ConfigError: it is a number that neither column has, so numbers here mean something else.
        """
        found = self.names(value)
        if found is not None:
            return found
        shown, accepted = excerpt(repr(value), 80), self.accepted()
        if _number(value) is not None and _number(self.parts()[0]) is not None:
            what = f"{self.column} is {shown}, and the columns {self.first} and {self.second} have other numbers"
            fix = f"other rows may be misread too: write the winner's column in words ({accepted})"
            raise ConfigError("data.winner_number", what, where=where, fix=fix)
        what = f"{self.column} is {shown}, which names neither {self.first} nor {self.second}"
        fix = f"give {accepted}"
        if _number(value) is not None:
            fix += "; a number could count from 0 or from 1, so it is not taken where the columns have none"
        raise DataError("data.winner", what, where=where, fix=fix)

    def names(self, value: object) -> Verdict | None:
        """The side, or None where the value names neither clearly."""
        parts = self.parts()
        if (number := _number(value)) is not None:
            numbers = [_number(part) for part in parts]
            return ("first", "second")[numbers.index(number)] if numbers.count(number) == 1 else None
        if not isinstance(value, str) or not _WORDS.fullmatch(value):
            return None
        words = _words(value)
        if " ".join(words) in _TIES:
            return "tie"
        if words == _words(self.first) or _is_part(words, parts[0]):
            return "first"
        return "second" if words == _words(self.second) or _is_part(words, parts[1]) else None

    def accepted(self) -> str:
        """The values that are taken, for messages."""
        named = [
            f"{column} or {part}" if part and part != column else column
            for column, part in zip((self.first, self.second), self.parts(), strict=True)
        ]
        return f"{', '.join(named)}, or tie"

    def numbered(self) -> bool:
        """Whether the columns differ in a number."""
        return all(_number(part) is not None for part in self.parts())

    def parts(self) -> tuple[str, str]:
        """What is left of either name without the words at both ends that they share."""
        first, second = _words(self.first), _words(self.second)
        while first and second and first[0] == second[0]:
            first, second = first[1:], second[1:]
        while first and second and first[-1] == second[-1]:
            first, second = first[:-1], second[:-1]
        return " ".join(first), " ".join(second)


def usual_sides(values: Mapping[str, object]) -> Sides | None:
    """The sides of a row in a common layout, such as response_a, response_b and winner; None where it is not clear."""
    found = [
        Sides(first, second, column) for first, second in usual_pairs(values) for column in COLUMNS if column in values
    ]
    return found[0] if len(found) == 1 else None


def unjudged_sides(values: Mapping[str, object]) -> tuple[str, str] | None:
    """Two columns of answers in a common layout, whether or not a third says who won; None where it is not clear."""
    found = list(usual_pairs(values))
    return found[0] if len(found) == 1 else None


def likely_sides(values: Mapping[str, object]) -> Sides | None:
    """Two columns and a third whose value names one of them, whatever their names: to propose a map."""
    names = [name for name, value in values.items() if isinstance(value, str | list | dict)]
    pairs = [(first, second) for index, first in enumerate(names[:40]) for second in names[index + 1 : 40]]
    likely: list[tuple[int, Sides]] = []
    for first, second in pairs:
        if Sides(first, second, "").parts() in (*_ENDS, ("left", "right"), ("first", "second")):
            verdicts = naming_columns(values, first, second)
            length = len(str(values[first])) + len(str(values[second]))  # answers are longer than names of models
            likely += [(length, Sides(first, second, verdicts[0]))] if len(verdicts) == 1 else []
    return max(likely, key=lambda each: each[0])[1] if likely else None


def naming_columns(values: Mapping[str, object], first: str, second: str) -> list[str]:
    """Columns whose value names one of two others. Bare numbers count in columns of a usual name only."""
    found = []
    for column in (name for name in values if name not in (first, second)):
        value, sides = values[column], Sides(first, second, column)
        if all(sides.parts()) and sides.names(value) is not None and (_number(value) is None or column in COLUMNS):
            found.append(column)
    return found


def usual_pairs(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Two columns of a row that usually hold two answers."""
    for ends in _ENDS:
        for first, second in [ends, *(tuple(f"{side}_{end}" for end in ends) for side in _SIDES)]:
            if first in values and second in values:
                yield first, second


def _is_part(words: list[str], part: str) -> bool:
    """Whether a verdict is the part in which a column's name differs, alone or behind a usual noun."""
    own = _words(part)
    return bool(own) and (words == own or (words[:1] != own and words[1:] == own and words[0] in _NOUNS))


def _number(value: object) -> int | None:
    """The whole number that a value is, also where a text container writes it; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+(\.0*)?\s*", value, re.ASCII):
        return int(value.strip().partition(".")[0])
    return None


def _words(name: str) -> list[str]:
    """The words and numbers of a name in small letters: `responseA` is response, a."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.findall(r"[^\W\d_]+|\d+", parted)]
