"""Pairs that several annotators voted on, as rows of an audit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from prefsmith.audit.decided import PROGRAM, in_order, voices
from prefsmith.audit.finding import EXAMPLES, Example
from prefsmith.data.rejects import Rejects
from prefsmith.data.votes.judgements import JudgedPair, Judgements, Role
from prefsmith.data.votes.read import read_judgements
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Completion, Group, Vote

UNREAD = "rows whose votes cannot be used beside their label"
"""What is noted of them."""
_ABSENT = ("", "")


def labelled(pair: JudgedPair, roles: Mapping[str, Role]) -> Group:
    """A judged pair with the share of its votes as label; annotators that are programs are marked as such."""
    votes = _marked(pair.group.votes, roles)
    share = share_of(voices(votes))
    return replace(pair.group, votes=votes, comparisons=() if share is None else (Comparison(0, 1, prob=share),))


def without_texts(pair: JudgedPair) -> JudgedPair:
    """A pair whose answers are not in the file: empty texts that are told apart by their names, where they have some.

    An answer that is in the file and empty stays as it is: its length is 0.
    """
    absent = all(each.text == "" for each in pair.group.completions) and 0 not in pair.lengths
    if not absent:
        return pair
    completions = tuple(Completion(text="", media=(name,)) for name in pair.names or _ABSENT)
    return replace(pair, group=replace(pair.group, completions=completions))


def noted(judgements: Judgements) -> tuple[Counter[str], dict[str, Sequence[Example]]]:
    """What was done to votes as they were read, how often, and where first."""
    counts = Counter({note.what: note.count for note in judgements.notes})
    return counts, {note.what: [Example(*each) for each in note.seen] for note in judgements.notes}


def share_of(votes: Sequence[Vote]) -> float | None:
    """The share of usable votes for completion 0 against 1, a tie being half a vote for each; None without any."""
    counts = Counter(in_order(vote) for vote in votes)
    usable = counts["left"] + counts["right"] + counts["tie"]
    return (counts["left"] + counts["tie"] / 2) / usable if usable else None


@dataclass(slots=True)
class Beside:
    """Votes beside rows that have a label of their own.

    Args:
        judgements: that were read; None where there is no vote, or none that can be read.
        unread: rows whose votes cannot be read, by their places: what is wrong with them.
    """

    judgements: Judgements | None = None
    unread: dict[str, str] = field(default_factory=dict)
    _pairs: dict[str, JudgedPair] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, limit: int | None) -> "Beside":
        """Read them.

        Raises:
            DataError: the file is damaged.
        """
        rejects = Rejects(skip=True)
        try:
            judgements = read_judgements(name, limit=limit, rejects=rejects)
        except DataError as error:
            if error.code not in ("votes.none", "votes.verdict", "data.no_rows"):
                raise
            judgements = None
            unread = {error.where: error.what} if error.code == "votes.verdict" else {}
        else:
            unread = {}
        unread |= {str(each["where"]): str(each["reason"]) for each in rejects.rows
                   if str(each["code"]).startswith("votes.")}  # fmt: skip
        pairs = () if judgements is None else judgements.pairs
        return cls(judgements, unread, {pair.group.source: pair for pair in pairs})

    def add(self, group: Group) -> Group:
        """The row with its votes, turned round with its sides."""
        pair = self._pairs.get(group.source)
        if pair is None or self.judgements is None or len(group.completions) != 2:
            return group
        votes = _marked(pair.group.votes, self.judgements.roles)
        first, second = (each.content.strip() for each in pair.group.completions)
        if group.completions[0].content.strip() == second != first:
            votes = tuple(map(Vote.turned, votes))
        return replace(group, votes=votes)

    def noted(self, rows: int) -> tuple[Counter[str], dict[str, Sequence[Example]]]:
        """How many of some rows have votes that cannot be read, what was done to the others, and where."""
        notes, places = noted(self.judgements) if self.judgements is not None else (Counter[str](), {})
        if self.unread:
            notes[UNREAD] = rows if self.judgements is None else len(self.unread)
            places[UNREAD] = [Example(*each) for each in self.unread.items()][:EXAMPLES]
        return notes, places


def _marked(votes: Sequence[Vote], roles: Mapping[str, Role]) -> tuple[Vote, ...]:
    return tuple(
        replace(vote, annotator=PROGRAM + vote.annotator) if roles.get(vote.annotator) == "judge" else vote
        for vote in votes
    )
