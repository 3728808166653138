"""Who says which of two answers is better: what every judge has in common, and the two presentations of a pair.

A rule, a reward, a model, a server and a file of people's votes are all judges; what they say are votes.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from prefsmith.errors import DataError
from prefsmith.records import Group, Vote

Verdict = Literal["left", "right", "tie", "invalid"]
ORDERS = (0, 1)
"""Presentations of a pair: 0 shows completion 0 first, 1 shows completion 1 first."""


@runtime_checkable
class Judge(Protocol):
    """Whoever compares two answers to a prompt."""

    @property
    def name(self) -> str:
        """The annotator of its votes."""
        ...

    def votes(self, groups: Sequence[Group]) -> list[tuple[Vote, ...]]:
        """What is said of each group, in the order of the groups.

        Returns:
            For each group one vote for each presentation: of orders 0 and 1 by a judge that could be swayed by the
            order; a single one of order None by a judge that cannot (a rule, a reward). Those of people as they were
            given, none where nobody voted. An answer that is no verdict is a vote `invalid`.

        Raises:
            DataError: a group has not two completions.
            TrainingError: the judge cannot go on (its budget is spent, its server is gone); what it has said so far is
                kept, and the same call goes on there.
        """
        ...

    def describe(self) -> Mapping[str, object]:
        """Facts for a report, as JSON has them: who judges, how, and counts over all votes so far.

        The same settings, groups and replies give the same facts, whether the replies are new or remembered.
        """
        ...


def require_pair(group: Group) -> None:
    """Refuse a group that is no pair.

    Raises:
        DataError: it has not two completions.
    """
    if len(group.completions) != 2:
        what = f"a judge compares two completions, and this row has {len(group.completions)}"
        raise DataError("judge.pair", what, where=group.source, fix="give rows with two answers to the prompt")


def shown(order: int) -> tuple[int, int]:
    """Indices of the completions that a presentation shows first and second."""
    return (0, 1) if order == 0 else (1, 0)


def presented(verdict: Verdict, order: int, annotator: str, seconds: float | None = None) -> Vote:
    """A vote on one presentation: `left` is the answer that it showed first."""
    left, right = shown(order)
    return Vote(left, right, verdict, annotator, order, seconds)
