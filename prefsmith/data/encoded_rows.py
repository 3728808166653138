"""Encoded rows, as many as a file has: their numbers in memory, their ids on the disk, read when they are asked for."""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from prefsmith.data.chunks import Chunk
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup, of_used_completions
from prefsmith.data.lazy import Lazy
from prefsmith.data.rowstore import LabelledRows
from prefsmith.data.spool import Bytes, Spool

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]
Columns = Mapping[str, np.ndarray]
ID_BYTES = 4


class Builder:
    """Gathers chunks, in the order of their rows.

    Args:
        ids: where ids go.
    """

    def __init__(self, ids: Spool) -> None:
        self.ids = ids
        self._words = hashlib.sha256()
        self._wide = array("q")
        self._narrow = {name: array("i") for name in _NARROW}

    def add(self, chunk: Chunk) -> None:
        """Take in the next rows."""
        self.ids.append(chunk.ids)
        self._words.update(chunk.words)
        self._wide.extend(chunk.rows)
        for name, column in self._narrow.items():
            column.extend(getattr(chunk, name))

    def __len__(self) -> int:
        return len(self._wide)

    def columns(self) -> dict[str, np.ndarray]:
        """The numbers of all rows."""
        narrow = {name: np.asarray(column, dtype=np.int32) for name, column in self._narrow.items()}
        return {"rows": np.asarray(self._wide, dtype=np.int64), **narrow}

    def digest(self) -> str:
        """sha256 of everything that training reads of the rows, in their order."""
        return self._words.hexdigest()


_NARROW = ("prompts", "whole_prompts", "completions", "labels", "lengths", "unscored")


class EncodedRows(Lazy[EncodedGroup]):
    """Encoded groups. One is made anew each time it is asked for.

    Args:
        labelled: the rows that they are of.
        columns: their numbers, as a `Builder` has them.
        ids: their ids.
        digest: sha256 of everything that training reads of them.
    """

    def __init__(self, labelled: LabelledRows, columns: Columns, ids: Bytes, digest: str) -> None:
        self.labelled, self.ids, self.digest = labelled, ids, digest
        self.rows = columns["rows"]
        self.prompts, self.whole_prompts = columns["prompts"], columns["whole_prompts"]
        self.lengths, self.unscored = columns["lengths"], columns["unscored"]
        self.labels = columns["labels"].reshape(len(self.rows), len(labelled.wanted))
        self._firsts = _starts(columns["completions"])
        self._starts = ID_BYTES * _starts(self.tokens)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def tokens(self) -> Numbers:
        """Tokens of each group, its prompt once."""
        return self.prompts + _per_group(np.add, self.lengths, self._firsts)

    @cached_property
    def longest(self) -> Numbers:
        """Tokens of each group's prompt and longest completion."""
        return self.prompts + _per_group(np.maximum, self.lengths, self._firsts)

    def prompt_key(self, index: int) -> bytes:
        """The same for equal prompts, and only for them."""
        return self.labelled.prompt_key(int(self.rows[index]))

    def at(self, place: int) -> EncodedGroup:
        """The entry at a place, made anew."""
        row = self.labelled[int(self.rows[place])]
        ids = array("I")
        ids.frombytes(self.ids.read(int(self._starts[place]), ID_BYTES * int(self.tokens[place])))
        here, completions = int(self.prompts[place]), list[EncodedCompletion]()
        prompt = tuple(ids[:here])
        for each in range(int(self._firsts[place]), int(self._firsts[place + 1])):
            there = here + int(self.lengths[each])
            completions.append(EncodedCompletion(tuple(ids[here:there]), int(self.unscored[each])))
            here = there
        used = sorted(set().union(*(view.completions() for view in row.views)))
        whole_prompt = int(self.whole_prompts[place])
        return of_used_completions(
            row.group, used, row.views, row.compared, prompt, completions, whole_prompt=whole_prompt
        )


class Selection(Lazy[EncodedGroup]):
    """Some groups of several sequences, one behind the other; none is made before it is asked for.

    Args:
        sources: where they are.
        places: which are meant, counted over all sources; all of them where left out.
    """

    def __init__(self, sources: Sequence[Sequence[EncodedGroup]], places: Sequence[int] | None = None) -> None:
        self.sources = sources
        self._bounds = _starts(np.array([len(source) for source in sources], dtype=np.int64))
        self.places = np.arange(self._bounds[-1]) if places is None else np.array(places, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def tokens(self) -> Numbers:
        """Tokens of each group, its prompt once."""
        return np.concatenate([tokens_of(source) for source in self.sources])[self.places]

    def at(self, place: int) -> EncodedGroup:
        """The entry at a place, made anew."""
        there = int(self.places[place])
        source = int(np.searchsorted(self._bounds, there, side="right")) - 1
        return self.sources[source][there - int(self._bounds[source])]


def tokens_of(groups: Sequence[EncodedGroup]) -> Numbers:
    """Tokens that each group takes in a batch, its prompt once."""
    if isinstance(groups, EncodedRows | Selection):
        return groups.tokens
    return np.array([group.tokens for group in groups], dtype=np.int64)


def longest_of(groups: Sequence[EncodedGroup]) -> Numbers:
    """Tokens of each group's prompt and longest completion."""
    if isinstance(groups, EncodedRows):
        return groups.longest
    return np.array([group.longest for group in groups], dtype=np.int64)


def labels_in(groups: Sequence[EncodedGroup]) -> Numbers:
    """Labels of the first loss term in each group."""
    if isinstance(groups, EncodedRows):
        return groups.labels[:, 0].astype(np.int64)
    return np.array([len(group.views[0]) for group in groups], dtype=np.int64)


def prompt_key_of(groups: Sequence[EncodedGroup], index: int) -> bytes | str:
    """The same for groups with equal prompts, and only for them."""
    if isinstance(groups, EncodedRows):
        return groups.prompt_key(index)
    return groups[index].group.prompt_key()


def _starts(sizes: np.ndarray) -> Numbers:
    """Where each begins and the last one ends, if they stand one behind the other."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)])


def _per_group(reduce: np.ufunc, values: np.ndarray, firsts: Numbers) -> Numbers:
    if len(firsts) == 1:
        return np.zeros(0, dtype=np.int64)
    return reduce.reduceat(values.astype(np.int64), firsts[:-1])
