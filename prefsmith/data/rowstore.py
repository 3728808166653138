"""Groups that were read, as many as a file has: on the disk, and read again when they are asked for."""

from array import array
from collections.abc import Sequence

import numpy as np

from prefsmith.data.codec import group_of_line, group_to_line
from prefsmith.data.lazy import Lazy
from prefsmith.data.ranking import Pairs
from prefsmith.data.spool import Bytes, Spool
from prefsmith.data.views import Labelled, Wanted, label
from prefsmith.records import Group

Whole = np.ndarray[tuple[int], np.dtype[np.int64]]
Digests = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


class RowStore(Lazy[Group]):
    """Groups in the order in which they were appended.

    Args:
        lines: where they lie; empty, or what another store wrote.
        starts: for a store that is filled already, where each group begins and the last one ends.
    """

    def __init__(self, lines: Bytes, starts: Whole | None = None) -> None:
        self.lines = lines
        self._starts = array("q", [0] if starts is None else starts.tolist())
        self._kept: dict[int, Group] = {}  # groups that JSON cannot say

    def append(self, group: Group) -> None:
        """Add a group."""
        assert isinstance(self.lines, Spool)  # one that is filled already is only read
        line = group_to_line(group)
        if line is None:
            self._kept[len(self)] = group
        else:
            self.lines.append(line)
        self._starts.append(len(self.lines))

    @property
    def whole(self) -> bool:
        """Whether the lines say everything."""
        return not self._kept

    def starts(self) -> Whole:
        """Where each group begins, and the last one ends."""
        return np.asarray(self._starts, dtype=np.int64)

    def line(self, index: int) -> bytes:
        """A group as it is stored."""
        start = self._starts[index]
        return self.lines.read(start, self._starts[index + 1] - start)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def at(self, place: int) -> Group:
        """The entry at a place, made anew."""
        return self._kept[place] if place in self._kept else group_of_line(self.line(place))


class LabelledRows(Lazy[Labelled]):
    """Some of the groups, with what every loss term reads of them, labelled anew each time.

    Args:
        groups: all of them.
        prompts: of each, the digest of its prompt.
        members: places of those that are meant.
        wanted: the labels that each loss term takes; every one of the groups has them.
        pairs: which completions of a ranked list are compared.
    """

    def __init__(
        self, groups: Sequence[Group], prompts: Digests, members: Whole, wanted: Sequence[Wanted], pairs: Pairs
    ) -> None:
        self.groups, self.prompts, self.members = groups, prompts, members
        self.wanted = tuple(wanted)
        self.pairs: Pairs = pairs

    def __len__(self) -> int:
        return len(self.members)

    def at(self, place: int) -> Labelled:
        """The entry at a place, made anew."""
        return label(self.groups[int(self.members[place])], self.wanted, self.pairs)

    def prompt_key(self, index: int) -> bytes:
        """The same for equal prompts, and only for them."""
        return self.prompts[int(self.members[index])].tobytes()

    def lines(self, start: int, end: int) -> list[bytes] | None:
        """The groups of some rows as they are stored; None where they are not."""
        if not isinstance(self.groups, RowStore) or not self.groups.whole:
            return None
        return [self.groups.line(int(place)) for place in self.members[start:end]]


class FirstPlaces:
    """Where each name stood first, in 32 to 64 bytes a name.

    Args:
        groups: those that were noted, in that order; they are looked at where two names might be one.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self._noted = 0
        self._hashes, self._places = array("q", [0] * 64), array("q", [0] * 64)

    def note(self, name: str) -> str | None:
        """Note the name of the group that comes next; or say where it stood before."""
        slot, key = self._slot(name)
        while self._hashes[slot]:
            if self._hashes[slot] == key and (other := self.groups[self._places[slot]]).id == name:
                return other.source
            slot = (slot + 1) % len(self._hashes)
        self._hashes[slot], self._places[slot] = key, len(self.groups)
        self._noted += 1
        if 2 * self._noted > len(self._hashes):
            self._grow()
        return None

    def _slot(self, name: str) -> tuple[int, int]:
        key = hash(name) or 1
        return key % len(self._hashes), key

    def _grow(self) -> None:
        noted = zip(self._hashes, self._places, strict=True)
        size = 2 * len(self._hashes)
        self._hashes, self._places = array("q", bytes(8 * size)), array("q", bytes(8 * size))
        for key, place in ((key, place) for key, place in noted if key):
            slot = key % size
            while self._hashes[slot]:
                slot = (slot + 1) % size
            self._hashes[slot], self._places[slot] = key, place
