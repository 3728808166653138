"""Votes as numbers: one place in each array for a vote, and one for a pair.

Axes
  vote       what one annotator said of a pair; invalid ones are left out, and counted
  pair       two answers to a prompt
  annotator  a person, a model or an agent: all alike
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int

from prefsmith.records import Group, Vote

FIRST, SECOND, TIE = range(3)
INVALID = 3

Ties = Literal["half", "drop"]
OfVotes = Int[np.ndarray, " vote"]
OfPairs = Int[np.ndarray, " chosen"]
PerVote = Float64[np.ndarray, " vote"]
PerPair = Float64[np.ndarray, " pair"]
PerAnnotator = Float64[np.ndarray, " annotator"]


@dataclass(frozen=True, slots=True)
class Panel:
    """Who said what of which pair.

    Args:
        pair: of each vote.
        annotator: of each vote.
        said: of each vote: `FIRST` where the pair's completion 0 is better, `SECOND`, or `TIE`.
        pairs: how many, with votes or without.
        names: of the annotators.
        items: of each pair, the numbers of its answers; an answer that is compared again has the same number.
        invalid: votes of each annotator that say nothing, and are left out.
        dropped_ties: votes that are ties and were left out on demand.
    """

    pair: OfVotes
    annotator: OfVotes
    said: OfVotes
    pairs: int
    names: tuple[str, ...]
    items: Int[np.ndarray, "pair 2"]
    invalid: Int[np.ndarray, " annotator"]
    dropped_ties: int = 0

    @property
    def labels(self) -> int:
        """How many different things can be said: three, or two where nobody says that a pair is a tie."""
        return 3 if bool((self.said == TIE).any()) else 2

    @property
    def votes(self) -> Int[np.ndarray, " annotator"]:
        """Valid votes of each annotator."""
        return np.bincount(self.annotator, minlength=len(self.names))

    @property
    def voted(self) -> Bool[np.ndarray, " pair"]:
        """Whether anybody said something valid of a pair."""
        return np.bincount(self.pair, minlength=self.pairs) > 0

    def counts(self) -> Float64[np.ndarray, "pair label"]:
        """How many votes each pair has for its first answer, for its second, and for a tie."""
        flat = np.bincount(self.pair * 3 + self.said, minlength=self.pairs * 3)
        return flat.reshape(self.pairs, 3).astype(np.float64)

    @property
    def seat(self) -> OfVotes:
        """Of each vote a number for its pair and annotator: the same where one was shown a pair in both orders."""
        return np.unique(self.pair * np.int64(max(1, len(self.names))) + self.annotator, return_inverse=True)[1]

    def of_pairs(self, chosen: OfPairs) -> "Panel":
        """The votes on some pairs alone; everything keeps its number."""
        kept = np.isin(self.pair, chosen)
        return replace(self, pair=self.pair[kept], annotator=self.annotator[kept], said=self.said[kept])

    def compared(self) -> bool:
        """Whether some pair has votes of two annotators, so that one can be held against another."""
        both = np.unique(self.pair * max(1, len(self.names)) + self.annotator)
        return bool((np.bincount(both // max(1, len(self.names)), minlength=1) > 1).any())


def panel(
    groups: Sequence[Group],
    items: Sequence[tuple[Hashable, Hashable]] | None = None,
    *,
    annotators: frozenset[str] | None = None,
    ties: Ties = "half",
) -> Panel:
    """The votes of pairs as numbers.

    Args:
        groups: of two completions each.
        items: what the answers of each pair are; equal ones are one answer. Default: prompt and text.
        annotators: whose votes are taken; None takes everybody's.
        ties: `drop` leaves votes out that say tie.
    """
    numbers: dict[Hashable, int] = {}
    named = [_items(group) for group in groups] if items is None else items
    places = [[numbers.setdefault(each, len(numbers)) for each in both] for both in named]
    cast = [
        (place, vote)
        for place, group in enumerate(groups)
        for vote in group.votes
        if annotators is None or vote.annotator in annotators
    ]
    names = tuple(dict.fromkeys(vote.annotator for _, vote in cast))
    number = {name: place for place, name in enumerate(names)}
    pair = np.array([place for place, _ in cast], dtype=np.int64)
    annotator = np.array([number[vote.annotator] for _, vote in cast], dtype=np.int64)
    said = np.array([_said(vote) for _, vote in cast], dtype=np.int64)
    kept = said != INVALID if ties == "half" else said < TIE
    return Panel(
        pair=pair[kept],
        annotator=annotator[kept],
        said=said[kept],
        pairs=len(groups),
        names=names,
        items=np.array(places, dtype=np.int64).reshape(-1, 2),
        invalid=np.bincount(annotator[said == INVALID], minlength=len(names)),
        dropped_ties=int((said == TIE).sum()) if ties == "drop" else 0,
    )


def _items(group: Group) -> tuple[Hashable, Hashable]:
    first, second = group.completions
    key = group.prompt_key()
    return (key, first.content), (key, second.content)


def _said(vote: Vote) -> int:
    if vote.verdict == "tie":
        return TIE
    if vote.verdict == "invalid":
        return INVALID
    return FIRST if (vote.left if vote.verdict == "left" else vote.right) == 0 else SECOND
