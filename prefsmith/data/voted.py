"""Votes beside two answers as one label in training: the share of votes, a tie one half for either side."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from prefsmith.data.excerpt import excerpt
from prefsmith.data.winner import Sides, usual_pairs
from prefsmith.errors import DataError
from prefsmith.records import Vote

COLUMN = "votes"


def voted_sides(values: Mapping[str, object]) -> Sides | None:
    """The sides of a row in a common layout with a list of votes beside them; None where there are none."""
    if not isinstance(values.get(COLUMN), list):
        return None
    found = [Sides(first, second, COLUMN, voted=True) for first, second in usual_pairs(values)]
    return found[0] if len(found) == 1 else None


def share_of_votes(value: object, sides: Sides, where: str) -> tuple[float, tuple[Vote, ...]]:
    """The probability that the first side is better, and the votes.

        prob = (first + tie / 2) / (first + second + tie)

    A vote is a verdict, or an object with `annotator` and `vote`; one that names no side is kept as invalid.

    Raises:
        DataError: it is no list of votes, or none of them names a side.
    """
    if not isinstance(value, list):
        raise _bad(f"{sides.column} is {excerpt(repr(value))}, and no list of votes", sides, where)
    votes = tuple(_vote(each, number, sides) for number, each in enumerate(value, start=1))
    first, second, tie = (sum(vote.verdict == said for vote in votes) for said in ("left", "right", "tie"))
    if not first + second + tie:
        raise _bad(f"none of {len(votes):,} votes names {sides.first} or {sides.second}", sides, where)
    return (first + tie / 2) / (first + second + tie), votes


def _vote(value: object, number: int, sides: Sides) -> Vote:
    annotator: object = None
    if isinstance(value, dict):
        entry = cast("dict[str, object]", value)
        annotator, value = entry.get("annotator"), entry.get("vote")
    name = annotator if isinstance(annotator, str) and annotator else f"vote {number}"
    said = sides.names(value)
    unknown = Vote(0, 1, "invalid", name)
    return replace(unknown, verdict={"first": "left", "second": "right", "tie": "tie"}[said]) if said else unknown


def _bad(what: str, sides: Sides, where: str) -> DataError:
    fix = f"a vote is {sides.accepted()}; drop the row, or data.skip_bad=true; label aggregate has other methods"
    return DataError("data.winner", what, where=where, fix=fix)
