"""All votes of the training files as numbers, and what most annotators say of each pair."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from prefsmith.audit.decided import is_program

LABELS = ("the first", "the second", "a tie")
TIE = 2
NONE = -1

Counts = Int[np.ndarray, "pair label"]


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


def majority(counts: Counts) -> Int[np.ndarray, " pair"]:
    """The label with more votes than every other; `NONE` where there is none."""
    most = counts.max(axis=1)
    alone = (counts == most[:, None]).sum(axis=1) == 1
    return np.where(alone & (most > 0), counts.argmax(axis=1), NONE)
