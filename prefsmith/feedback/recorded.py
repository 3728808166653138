"""What was said before, as a judge: votes from a file, found again by the prompt and the two answers."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prefsmith.errors import DataError
from prefsmith.feedback.judge import require_pair
from prefsmith.records import Group, Vote

_Key = tuple[str, str, str]


class RecordedJudge:
    """A judge that repeats the votes of people or of other judges.

    The two answers may stand in another order than in the file; the votes are turned with them.

    Args:
        name: of the collection; votes keep the annotators that they have.
        judged: pairs with their votes.
        annotator: take this one's votes alone.
        place: the file, for messages.
        facts: further facts for a report, such as a digest of the file.

    Raises:
        DataError: there is no vote, or none of this annotator.
    """

    def __init__(
        self,
        name: str,
        judged: Iterable[Group],
        *,
        annotator: str | None = None,
        place: str = "",
        facts: Mapping[str, object] | None = None,
    ) -> None:
        self._name, self.place = name, place
        self.facts = {"annotator": annotator, **(facts or {})}
        self._votes: dict[_Key, tuple[Vote, ...]] = {}
        heard: set[str] = set()
        for group in judged:
            require_pair(group)
            heard |= {vote.annotator for vote in group.votes}
            wanted = tuple(vote for vote in group.votes if annotator in (None, vote.annotator))
            for key, votes in ((_key(group, (0, 1)), wanted), (_key(group, (1, 0)), tuple(map(Vote.turned, wanted)))):
                self._votes[key] = self._votes.get(key, ()) + votes
                if key[1] == key[2]:
                    break  # equal answers: both ways are one
        if not any(self._votes.values()):
            what = "the file has no votes" if annotator is None else f"{annotator!r} voted on nothing"
            fix = f"its annotators are: {', '.join(sorted(heard))}" if heard else "is it the right file?"
            raise DataError("judge.votes", what, where=place, fix=fix)
        self._found = self._missing = 0

    @property
    def name(self) -> str:
        """Of the collection."""
        return self._name

    def votes(self, groups: Sequence[Group]) -> list[tuple[Vote, ...]]:
        """The votes on each group; none where nobody voted on it.

        Raises:
            DataError: a group has not two completions, or nobody voted on any of them.
        """
        for group in groups:
            require_pair(group)
        found = [self._votes.get(_key(group, (0, 1)), ()) for group in groups]
        if groups and not any(found):
            what = f"none of the {len(groups):,} pairs has a vote in this file"
            fix = "prompt and answers must be the same, character by character: judge the pairs that are compared"
            raise DataError("judge.votes", what, where=self.place, fix=fix)
        self._found += sum(map(len, found))
        self._missing += sum(not each for each in found)
        return found

    def describe(self) -> Mapping[str, object]:
        """The file; how many votes were found, how many pairs have none, and how many votes are no verdict."""
        return {
            "kind": "votes",
            "name": self.name,
            **self.facts,
            "presentations": self._found,
            "pairs_without_votes": self._missing,
        }


def read_votes(path: Path, name: str, annotator: str | None) -> RecordedJudge:
    """The votes in a file.

    Raises:
        DataError: it is no file of judgements, a row is bad, or nobody voted.
    """
    from prefsmith.data.votes.read import read_judgements

    read = read_judgements(path)
    groups, facts = (pair.group for pair in read.pairs), {"digest": dict(read.digest)}
    return RecordedJudge(name, groups, annotator=annotator, place=str(path), facts=facts)


def _key(group: Group, order: tuple[int, int]) -> _Key:
    first, second = (group.completions[index].content for index in order)
    return group.prompt_key(), first, second
