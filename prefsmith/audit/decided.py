"""Which completion of a group is better than which, by whatever says so: votes, comparisons or a ranking."""

from collections import Counter
from collections.abc import Iterator, Sequence

from prefsmith.data.ranking import compare
from prefsmith.records import Group, Vote

ALL_PAIRS = 8
"""Ranked completions up to which all pairs are compared, and above which neighbours: a long list would outweigh all."""

PROGRAM = "\x1f"
"""Stands in front of the name of an annotator that is a program; no name that is read from a file contains it."""

Sides = tuple[int, int]
"""Indices of the better and of the worse completion."""


def decided(group: Group) -> list[Sides]:
    """The pairs of which one side is better; ties, and pairs without a majority, are left out."""
    if group.votes:
        return [sides for sides, _ in voted(group.votes) if sides is not None]
    if group.comparisons:
        return [
            (each.better, each.worse) if each.prob > 0.5 else (each.worse, each.better)
            for each in group.comparisons
            if each.prob != 0.5
        ]
    if not group.ranking:
        return []
    pairs = "all" if len(group.completions) <= ALL_PAIRS else "adjacent"
    return [(each.better, each.worse) for each in compare(group, pairs, ties=False)]


def voices(votes: Sequence[Vote]) -> Sequence[Vote]:
    """The votes that make the label: those of people, and of programs where no person voted."""
    return [vote for vote in votes if not is_program(vote.annotator)] or votes


def is_program(annotator: str) -> bool:
    """Whether an annotator is a judge that is a model, a reward or a rule."""
    return annotator.startswith(PROGRAM)


def voted(votes: Sequence[Vote]) -> Iterator[tuple[Sides | None, Counter[str]]]:
    """For every two completions that were compared: the sides by the majority, and the counts of what was said.

    A majority is the verdict with more votes than every other. The sides are None where there is none, or where it is
    a tie. Counts are of `left`, `right` and `tie`, left being the completion of the lower index.
    """
    found: dict[Sides, Counter[str]] = {}
    for vote in voices(votes):
        said = in_order(vote)
        if said is not None:
            found.setdefault((min(vote.left, vote.right), max(vote.left, vote.right)), Counter())[said] += 1
    for (low, high), counts in found.items():
        yield {"left": (low, high), "right": (high, low)}.get(majority(counts)), counts


def in_order(vote: Vote) -> str | None:
    """What a vote says, left being the completion of the lower index; None where it is invalid."""
    if vote.verdict == "invalid":
        return None
    if vote.verdict == "tie" or vote.left < vote.right:
        return vote.verdict
    return "right" if vote.verdict == "left" else "left"


def majority(counts: Counter[str]) -> str:
    """The verdict with more votes than every other; empty where none has."""
    first, *others = counts.most_common(2) or [("", 0)]
    return first[0] if not others or first[1] > others[0][1] else ""
