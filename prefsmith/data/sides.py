"""Rows to train on and rows that are held out: put there one by one, as they are read."""

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.ranking import Pairs
from prefsmith.data.rejects import Rejects
from prefsmith.data.rowstore import LabelledRows, RowStore
from prefsmith.data.split import digests_of, prompt_digest
from prefsmith.data.tally import Census
from prefsmith.data.views import Wanted, label
from prefsmith.errors import DataError
from prefsmith.records import Group


@dataclass(frozen=True, slots=True)
class Sides:
    """Groups to train on and groups that are held out, with their labels."""

    train: LabelledRows
    held_out: LabelledRows


@dataclass(frozen=True, slots=True)
class EncodedSides:
    """The same as token ids."""

    train: Sequence[EncodedGroup]
    held_out: Sequence[EncodedGroup]


class Gathered:
    """The groups of a file, and a digest of each one's prompt.

    Args:
        groups: where they are kept; filled already where they are in memory.
    """

    def __init__(self, groups: RowStore | list[Group]) -> None:
        self.groups = groups
        self._digests = bytearray()

    def add_prompt(self, group: Group) -> bytes:
        """Note the prompt of the group that comes next; returns its digest."""
        digest = prompt_digest(group)
        self._digests += digest
        return digest

    def prompts(self) -> np.ndarray:
        """A digest per group."""
        return digests_of(self._digests)


class Side:
    """Rows of a side that every loss can read; the others are refused, behind what the file itself refuses.

    Args:
        gathered: the file that they are from.
        wanted: the labels that each loss term takes.
        pairs: which completions of a ranked list are compared.
        skip: go on behind a row that is refused.
    """

    def __init__(self, gathered: Gathered, wanted: Sequence[Wanted], pairs: Pairs, *, skip: bool) -> None:
        self.gathered, self.wanted = gathered, wanted
        self.pairs: Pairs = pairs
        self.census = Census.of([], wanted)
        self.rejects = Rejects(skip=True)
        self.refused = 0
        self._skip = skip
        self._error: DataError | None = None
        self._members = array("q")
        self._all = array("q")

    def add(self, place: int, group: Group) -> None:
        """Put a group on this side.

        Args:
            place: where it stands among those of its file.
            group: with its labels.
        """
        self._all.append(place)
        try:
            row = label(group, self.wanted, self.pairs)
        except DataError as error:
            self.refused += 1
            if self._skip:
                self.rejects.refuse(error, asdict(group))
            self._error = self._error or error
        else:
            self._members.append(place)
            self.census.add(row)

    def tell(self, rejects: Rejects) -> None:
        """Hand on what is refused.

        Raises:
            DataError: the first row that is, where bad rows are not skipped.
        """
        if self._error is not None and not self._skip:
            raise self._error
        for index in range(len(self.rejects.rows)):
            rejects.repeat(self.rejects.rows.line(index))

    def members(self) -> np.ndarray:
        """Places of the rows."""
        return np.asarray(self._members, dtype=np.int64)

    def prompts(self) -> np.ndarray:
        """Digests of the prompts of all groups that were put here, also of those that a loss refuses."""
        return self.gathered.prompts()[np.asarray(self._all, dtype=np.int64)]

    def rows(self) -> LabelledRows:
        """What can be read."""
        return LabelledRows(self.gathered.groups, self.gathered.prompts(), self.members(), self.wanted, self.pairs)
