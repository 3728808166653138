"""What came back of pairs that were asked for: a probability for each, or nothing yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prefsmith.data.containers import open_container
from prefsmith.data.groups import read_groups
from prefsmith.data.pool import pair_key
from prefsmith.data.ranking import compare
from prefsmith.data.rejects import Rejects
from prefsmith.data.votes.forms import EVIDENCE
from prefsmith.data.votes.read import read_judgements
from prefsmith.errors import DataError
from prefsmith.records import Group

_POINTS = {"left": 1.0, "right": 0.0, "tie": 0.5}


@dataclass(slots=True)
class Answers:
    """Labels by the keys of their pairs.

    Args:
        labels: probability that the key's first answer is better: the share of the valid votes, a tie counts one half.
        waiting: pairs that were asked for, and have no valid vote.
        rows: that were read.
        refused: rows that cannot be used.
    """

    labels: dict[str, float] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    rows: int = 0
    refused: int = 0


def read_answers(files: Sequence[str], *, skip_bad: bool) -> Answers:
    """Read files that came back: rows with votes, as `prefsmith label next` writes them, or labelled pairs.

    A pair that stands in several files has all of its votes.

    Args:
        files: in any order.
        skip_bad: count rows that cannot be used and go on.

    Raises:
        DataError: a file cannot be read, or (unless they are skipped) a row is bad.
    """
    found, points = Answers(), dict[str, list[float]]()
    for file in files:
        for key, said in _said(file, found, skip_bad=skip_bad):
            points.setdefault(key, []).extend(said)
    found.labels = {key: sum(each) / len(each) for key, each in points.items() if each}
    found.waiting = {key for key, each in points.items() if not each}
    return found


def _said(file: str, found: Answers, *, skip_bad: bool) -> Iterator[tuple[str, list[float]]]:
    """Of each pair its key and what was said of it, in the key's order."""
    first = next(open_container(file).rows(Rejects(skip=skip_bad)), None)
    judged = first is not None and any(name in first.values for name in EVIDENCE) and not _is_label(first.values)
    if not judged:
        rejects = Rejects(skip=skip_bad)
        reading = read_groups(file, rejects=rejects)
        found.rows += reading.rows
        found.refused += len(rejects.rows)
        for group in reading.groups:
            yield from _labelled(group)
        return
    try:
        judgements = read_judgements(file, skip_bad=skip_bad)
    except DataError as error:
        if error.code != "votes.none":
            raise
        yield from _unanswered(file, found, skip_bad=skip_bad)
        return
    found.rows += judgements.rows
    found.refused += sum(judgements.refused.values())
    for pair in judgements.pairs:
        votes = [each for each in pair.group.votes if each.verdict in _POINTS]
        key, turned = pair_key(pair.group)
        # left and right are places in the presentation; 0 is the first answer of the row
        firsts = [_POINTS[each.verdict] if each.left == 0 else 1 - _POINTS[each.verdict] for each in votes]
        yield key, [1 - point if turned else point for point in firsts]


def _is_label(values: dict[str, object]) -> bool:
    """Whether a row says by itself which answer is better, whatever votes stand beside."""
    return {"chosen", "rejected"} <= values.keys() or values.get("winner") is not None


def _labelled(group: Group) -> Iterator[tuple[str, list[float]]]:
    for each in group.comparisons or compare(group, "all"):
        answers = (group.completions[each.better], group.completions[each.worse])
        key, turned = pair_key(Group(group.id, group.source, group.prompt, answers))
        yield key, [1 - each.prob if turned else each.prob]


def _unanswered(file: str, found: Answers, *, skip_bad: bool) -> Iterator[tuple[str, list[float]]]:
    """A file that went out and has no vote at all yet."""
    from prefsmith.data.pool import read_pool

    pool = read_pool(file, skip_bad=skip_bad)
    found.rows += pool.rows
    found.refused += sum(pool.refused.values())
    for candidate in pool.candidates:
        yield candidate.key, []
