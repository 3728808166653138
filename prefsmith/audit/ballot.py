"""All votes of the training files as numbers, and what most annotators say of each pair."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from prefsmith.audit.decided import is_program

LABELS = ("the first", "the second", "a tie")
TIE = 2
NONE = -1

Counts = Int[np.ndarray, "pair label"]
Shares = Float64[np.ndarray, "pair label"]


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """What each annotator said of each pair: one vote in total, of which each presentation has its part.

    Nobody agrees with itself: an annotator who was shown a pair both ways is one annotator.

    Args:
        pair: of each seat.
        annotator: of each seat.
        said: what part of it was said; sums to one.
        voice: whether it makes the label.
    """

    pair: Int[np.ndarray, " seat"]
    annotator: Int[np.ndarray, " seat"]
    said: Float64[np.ndarray, "seat label"]
    voice: Bool[np.ndarray, " seat"]

    def shares(self, pairs: int) -> Shares:
        """What the voices say of each pair, each annotator with one vote."""
        who = self.voice
        return np.stack([np.bincount(self.pair[who], each, pairs) for each in self.said[who].T], axis=1)

    def members(self, pairs: int) -> Int[np.ndarray, " pair"]:
        """How many annotators are voices of each pair."""
        return np.bincount(self.pair[self.voice], minlength=pairs)

    def agreeing(self, pairs: int) -> Float64[np.ndarray, " pair"]:
        """How many twos of different annotators say the same of each pair."""
        alike = np.bincount(self.pair[self.voice], (self.said[self.voice] ** 2).sum(axis=1), pairs)
        return ((self.shares(pairs) ** 2).sum(axis=1) - alike) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Ballot:
    """Votes on pairs.

    Args:
        names: of the annotators.
        categories: tags of the form column=value.
        pair: of each vote.
        annotator: of each vote.
        verdict: of each vote: a place in `LABELS`.
        row: of each pair.
        prompt: number of each pair's prompt, from 0.
        winner_first: of each pair, whether its file names the chosen side first.
        tagged: pairs and the place of a category that each has.
        invalid: votes that say nothing.
    """

    names: tuple[str, ...]
    categories: tuple[str, ...]
    pair: Int[np.ndarray, " vote"]
    annotator: Int[np.ndarray, " vote"]
    verdict: Int[np.ndarray, " vote"]
    row: Int[np.ndarray, " pair"]
    prompt: Int[np.ndarray, " pair"]
    winner_first: Bool[np.ndarray, " pair"]
    tagged: Int[np.ndarray, "tagged 2"]
    invalid: int

    @property
    def pairs(self) -> int:
        """How many."""
        return len(self.row)

    @property
    def programs(self) -> Bool[np.ndarray, " annotator"]:
        """Which annotators are programs."""
        return np.array([is_program(name) for name in self.names], dtype=bool)

    @property
    def by_people(self) -> Bool[np.ndarray, " pair"]:
        """Pairs on which people voted."""
        people = ~self.programs[self.annotator]
        return np.bincount(self.pair[people], minlength=self.pairs) > 0

    @property
    def voices(self) -> Bool[np.ndarray, " vote"]:
        """Votes that make the label: of people, and of programs where no person voted."""
        return ~self.programs[self.annotator] | ~self.by_people[self.pair]

    def counts(self, *, programs: bool = False) -> Counts:
        """How many voices said what of each pair; or how many programs."""
        who = self.programs[self.annotator] if programs else self.voices
        flat = np.bincount(self.pair[who] * len(LABELS) + self.verdict[who], minlength=self.pairs * len(LABELS))
        return flat.reshape(self.pairs, len(LABELS))

    def seats(self) -> Seats:
        """Each annotator's votes on a pair as one."""
        size = max(1, len(self.names))
        keys, seat = np.unique(self.pair * np.int64(size) + self.annotator, return_inverse=True)
        said = np.bincount(seat * len(LABELS) + self.verdict, minlength=len(keys) * len(LABELS))
        said = said.reshape(-1, len(LABELS))
        voice = np.zeros(len(keys), dtype=bool)
        voice[seat] = self.voices
        return Seats(keys // size, keys % size, said / said.sum(axis=1, keepdims=True), voice)


def majority(counts: Counts | Shares) -> Int[np.ndarray, " pair"]:
    """The label with more votes than every other; `NONE` where there is none."""
    most = counts.max(axis=1)
    alone = (counts == most[:, None]).sum(axis=1) == 1
    return np.where(alone & (most > 0), counts.argmax(axis=1), NONE)
