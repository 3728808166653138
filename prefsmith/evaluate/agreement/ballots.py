"""Votes as numbers: one place in each array for a vote, and one for a pair.

A verdict is about the answers as the file numbers them, wherever they were shown: `FIRST` is completion 0.

Axes
  vote    what one annotator said of one presentation of a pair
  pair    two answers to a prompt
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from prefsmith.data.votes.judgements import Judgements
from prefsmith.records import Vote

FIRST, SECOND, TIE, INVALID = range(4)
VERDICTS = ("first", "second", "tie", "invalid")
LABELS = 3
"""Verdicts that say something: the two answers and a tie."""
NO_ORDER = -1
NO_MAJORITY = -1

OfVotes = Int[np.ndarray, " vote"]
OfPairs = Int[np.ndarray, " pair"]


@dataclass(frozen=True, slots=True)
class Ballots:
    """All votes of a file, or of some of its pairs.

    Args:
        pair: of each vote.
        annotator: of each vote.
        verdict: of each vote.
        order: of each vote: 1 where the second answer was shown first, 0 where the first was, -1 where it is not known.
        names: of the annotators.
        is_person: of each annotator.
        prompt: of each pair; equal numbers are equal prompts.
        lengths: of the first and the second answer of each pair; NaN where not known.
        methods: who wrote the answers of each pair.
        categories: for each column its value at each pair.
        named: whether a person's name is one person throughout.
    """

    pair: OfVotes
    annotator: OfVotes
    verdict: OfVotes
    order: OfVotes
    names: tuple[str, ...]
    is_person: Bool[np.ndarray, " annotator"]
    prompt: OfPairs
    lengths: Float64[np.ndarray, "pair 2"]
    methods: tuple[tuple[str, str] | None, ...]
    categories: Mapping[str, tuple[str | None, ...]]
    named: bool = True

    @property
    def pairs(self) -> int:
        """How many pairs there are, with votes or without."""
        return len(self.prompt)

    @property
    def prompts(self) -> int:
        """How many different prompts."""
        return len(np.unique(self.prompt))

    def counts(self) -> Int[np.ndarray, "pair label"]:
        """How many people said what of each pair; invalid votes are left out."""
        said = self.is_person[self.annotator] & (self.verdict != INVALID)
        flat = np.bincount(self.pair[said] * LABELS + self.verdict[said], minlength=self.pairs * LABELS)
        return flat.reshape(self.pairs, LABELS)

    def voters(self, *, people: bool) -> list[int]:
        """The people, or the judges, who voted on these pairs."""
        return [int(each) for each in np.unique(self.annotator) if bool(self.is_person[each]) == people]

    def of_pairs(self, chosen: Bool[np.ndarray, " pair"]) -> "Ballots":
        """The votes on some pairs, numbered anew."""
        number = np.cumsum(chosen) - 1
        kept = chosen[self.pair]
        places = np.flatnonzero(chosen)
        return Ballots(
            pair=number[self.pair[kept]],
            annotator=self.annotator[kept],
            verdict=self.verdict[kept],
            order=self.order[kept],
            names=self.names,
            is_person=self.is_person,
            prompt=self.prompt[chosen],
            lengths=self.lengths[chosen],
            methods=tuple(self.methods[place] for place in places),
            categories={name: tuple(values[place] for place in places) for name, values in self.categories.items()},
            named=self.named,
        )


def majority(counts: Int[np.ndarray, "pair label"]) -> OfPairs:
    """What most people said of each pair; `NO_MAJORITY` where nobody did, or where two labels have most votes."""
    most = counts.max(axis=1, initial=0)
    alone = (counts == most[:, None]).sum(axis=1) == 1
    return np.where(alone & (most > 0), counts.argmax(axis=1), NO_MAJORITY)


def ballots(judgements: Judgements) -> Ballots:
    """The votes of a file as numbers."""
    names = tuple(judgements.roles)
    number = {name: place for place, name in enumerate(names)}
    prompts: dict[str, int] = {}
    prompt = [prompts.setdefault(pair.group.prompt_key(), len(prompts)) for pair in judgements.pairs]
    votes = [(place, vote) for place, pair in enumerate(judgements.pairs) for vote in pair.group.votes]
    lengths = [[np.nan if each is None else float(each) for each in pair.lengths] for pair in judgements.pairs]
    return Ballots(
        pair=np.array([place for place, _ in votes], dtype=np.int64),
        annotator=np.array([number[vote.annotator] for _, vote in votes], dtype=np.int64),
        verdict=np.array([_verdict(vote) for _, vote in votes], dtype=np.int64),
        order=np.array([NO_ORDER if vote.order is None else vote.order for _, vote in votes], dtype=np.int64),
        names=names,
        is_person=np.array([judgements.roles[name] == "person" for name in names], dtype=bool),
        prompt=np.array(prompt, dtype=np.int64),
        lengths=np.array(lengths, dtype=np.float64).reshape(-1, 2),
        methods=tuple(pair.methods for pair in judgements.pairs),
        categories=_categories([pair.group.tags for pair in judgements.pairs]),
        named=judgements.named,
    )


def _verdict(vote: Vote) -> int:
    if vote.verdict == "tie" or vote.verdict == "invalid":
        return TIE if vote.verdict == "tie" else INVALID
    return FIRST if (vote.left if vote.verdict == "left" else vote.right) == 0 else SECOND


def _categories(tags: Sequence[tuple[str, ...]]) -> dict[str, tuple[str | None, ...]]:
    """From tags of the form column=value to columns."""
    rows = [dict(tag.split("=", 1) for tag in row) for row in tags]
    return {name: tuple(row.get(name) for row in rows) for name in dict.fromkeys(name for row in rows for name in row)}
