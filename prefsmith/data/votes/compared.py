"""Rows in the form of our own groups: a list of completions, and votes that say which two they compare."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal, cast

from prefsmith.data.excerpt import excerpt
from prefsmith.data.votes.gather import Roles, whose
from prefsmith.data.votes.judgements import JudgedPair, Notebook
from prefsmith.data.votes.sides import text_answer
from prefsmith.data.votes.verdicts import order_of
from prefsmith.errors import DataError
from prefsmith.records import Group, Vote

_VERDICTS: dict[object, Literal["left", "right", "tie", "invalid"]] = {
    "left": "left", "right": "right", "tie": "tie", "invalid": "invalid",
}  # fmt: skip


def compared_pairs(values: Mapping[str, object], whole: Group, roles: Roles, notes: Notebook) -> Iterator[JudgedPair]:
    """A pair for every two completions that somebody compared, the lower index first.

    Args:
        values: cells of the row, with `completions` and `votes`.
        whole: the group without its completions.
        roles: of the annotators so far.
        notes: counts what is odd.

    Raises:
        DataError: a completion or a vote is not as it should be.
    """
    place = whole.source
    texts, votes = values["completions"], values["votes"]
    if not isinstance(texts, list) or len(texts) < 2:
        raise _bad("completions", texts, "a list of at least two texts", place)
    if not isinstance(votes, list):
        raise _bad("votes", votes, "a list of votes, each with left, right, verdict and annotator", place)
    answers = [text_answer(text, f"completion {number}", notes, place) for number, text in enumerate(texts)]
    found: dict[tuple[int, int], list[Vote]] = {}
    for each in votes:
        vote = _vote(each, len(texts), roles, place)
        found.setdefault((min(vote.left, vote.right), max(vote.left, vote.right)), []).append(vote)
    if not found:
        notes.add("pairs without any vote", place)
    for (low, high), cast_votes in found.items():
        _refuse_twice(cast_votes, place)
        own = tuple(replace(vote, left=int(vote.left == high), right=int(vote.right == high)) for vote in cast_votes)
        name = whole.id if len(texts) == 2 else f"{whole.id} {low}-{high}"
        pair = replace(whole, id=name, completions=(answers[low][0], answers[high][0]), votes=own)
        yield JudgedPair(pair, None, (answers[low][1], answers[high][1]))


def _vote(value: object, completions: int, roles: Roles, place: str) -> Vote:
    if not isinstance(value, dict):
        raise _bad("a vote", value, "an object with left, right, verdict and annotator", place)
    vote = cast("dict[str, object]", value)
    annotator, role = whose(vote, place)
    roles.add(annotator, role, place)
    left, right = (_index(vote, name, completions, place) for name in ("left", "right"))
    if left == right:
        raise _bad("right", right, "another completion than left", place)
    verdict = vote.get("verdict")
    if not isinstance(verdict, str) or verdict not in _VERDICTS:
        what = f"the verdict of {excerpt(annotator)} is {excerpt(repr(verdict))}"
        fix = f"a verdict of a group is one of {', '.join(map(str, _VERDICTS))}"
        raise DataError("votes.verdict", what, where=place, fix=fix)
    order = order_of(vote, place)
    if order not in (None, int(left > right)):
        what = f"a vote of {excerpt(annotator)} shows completion {left} first, and its order is {order}"
        fix = "give 0 where left is the lower number and 1 where it is the higher one, or leave order out"
        raise DataError("votes.order", what, where=place, fix=fix)
    return Vote(left, right, _VERDICTS[verdict], annotator, order)


def _index(vote: Mapping[str, object], name: str, completions: int, place: str) -> int:
    value = vote.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < completions:
        return value
    raise _bad(name, value, f"the number of a completion, from 0 to {completions - 1}", place)


def _refuse_twice(votes: list[Vote], place: str) -> None:
    seen: set[tuple[str, int | None, int]] = set()
    for vote in votes:
        key = (vote.annotator, vote.order, vote.left)
        if key in seen:
            what = f"{excerpt(vote.annotator)} votes twice on one pair"
            raise DataError("votes.twice", what, where=place, fix="keep one vote of each annotator and presentation")
        seen.add(key)


def _bad(name: str, value: object, wanted: str, place: str) -> DataError:
    return DataError("votes.cell", f"{name} is {excerpt(repr(value))}", where=place, fix=f"give {wanted}")
