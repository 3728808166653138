"""Votes on pairs of answers, asked for once and kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast, get_args

from prefsmith.errors import DataError
from prefsmith.evaluate.workplace import Row, Workplace
from prefsmith.feedback.judge import Judge, Verdict
from prefsmith.records import Group, Vote

TOGETHER = 64
"""Pairs that are judged before they are kept."""


def judged_groups(
    place: Workplace,
    name: str,
    groups: Sequence[Group],
    judge: Judge,
    say: Callable[[str], None],
    *,
    together: int | None = TOGETHER,
) -> list[Group]:
    """The groups with votes; what the file `name` holds already is not judged again.

    Equal answers are a tie, and nobody is asked. A pair of which a vote is invalid is asked about again by the next
    run: a judge that remembers its replies repeats those that were no verdict, and tries again what failed.

    Args:
        place: where votes are kept.
        name: of the file.
        groups: of two completions.
        judge: who says which is better.
        say: is told how many are judged.
        together: pairs that are judged before they are kept; None is all of them.

    Raises:
        DataError: the file is damaged, or the judge cannot read a row.
        TrainingError: the judge cannot go on, or the disk is full; what was judged is kept.
    """
    votes: dict[int, tuple[Vote, ...]] = {}
    for row in place.rows(name):
        number, said = _kept(row, len(groups), f"{place.folder / name}")
        votes[number] = said
    before = dict(votes)
    same = [number for number, group in enumerate(groups) if _equal(group)]
    votes |= {number: (Vote(0, 1, "tie", judge.name),) for number in same}
    asked = [number for number in range(len(groups)) if not _settled(votes.get(number))]
    if asked:
        say(f"{len(asked):,} pairs to judge")
    size = together or max(1, len(asked))
    for start in range(0, len(asked), size):
        members = asked[start : start + size]
        found = judge.votes([groups[number] for number in members])
        votes.update(zip(members, found, strict=True))
        fresh = [number for number in members if votes[number] != before.get(number)]
        place.keep(name, [_row(number, votes[number]) for number in fresh])
    return [replace(group, votes=votes[number]) for number, group in enumerate(groups)]


def _equal(group: Group) -> bool:
    return group.completions[0].content == group.completions[1].content


def _settled(votes: tuple[Vote, ...] | None) -> bool:
    return votes is not None and all(vote.verdict != "invalid" for vote in votes)


def _row(number: int, votes: Sequence[Vote]) -> Row:
    """Without the seconds, which differ from run to run."""
    said = [[vote.left, vote.right, vote.verdict, vote.annotator, vote.order] for vote in votes]
    return {"pair": number, "votes": said}


def _kept(row: Row, pairs: int, where: str) -> tuple[int, tuple[Vote, ...]]:
    number, said = row.get("pair"), row.get("votes")
    if isinstance(number, int) and 0 <= number < pairs and isinstance(said, list):
        votes = [_vote(each) for each in said]
        if None not in votes:
            return number, tuple(cast("list[Vote]", votes))
    what, fix = "a line of what was kept is damaged", "take the line out: what it held is done again"
    raise DataError("evaluate.damaged", what, where=where, fix=fix)


def _vote(values: object) -> Vote | None:
    if not isinstance(values, list) or len(values) != 5:
        return None
    left, right, verdict, annotator, order = values
    sound = {left, right} == {0, 1} and verdict in get_args(Verdict) and isinstance(annotator, str)
    return Vote(left, right, verdict, annotator, order) if sound and order in (None, 0, 1) else None
