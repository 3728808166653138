"""What is audited: which files, which rows, and the texts of a few of them for examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from prefsmith.audit.finding import EXAMPLES, Example
from prefsmith.data.excerpt import excerpt
from prefsmith.data.rejects import RefusedRows
from prefsmith.data.rowstore import RowStore
from prefsmith.records import Group

Part = Literal["train", "eval", "other"]


@dataclass(frozen=True, slots=True)
class AuditedFile:
    """One file of those that were read.

    Args:
        name: as it was given.
        part: what its rows are for.
        first: number of its first usable row over all files.
        groups: its usable rows.
        rows: how many stand in the file and were read: usable ones and refused ones. Of votes, several may make one
            group, or one several.
        refused: those that the reader refuses, with reasons.
        codes: how many were refused, by code.
        notes: what was done to rows as they were read, and how often.
        places: of notes that keep them, the first ones.
        recognised: what the rows were taken for.
        digest: of what is in the file.
        voted: whether the share of its votes is the label of a row.
    """

    name: str
    part: Part
    first: int
    groups: RowStore
    rows: int
    refused: RefusedRows
    codes: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    recognised: str = ""
    digest: Mapping[str, str] = field(default_factory=dict)
    voted: bool = False

    @property
    def end(self) -> int:
        """Number behind its last row."""
        return self.first + len(self.groups)


@dataclass(frozen=True, slots=True)
class Audited:
    """All rows, numbered through the files in their order: training first, then eval, then others.

    Args:
        files: in order.
        blocks: number of the first row of each block that was looked at, and behind the last one; a block lies within
            one file.
    """

    files: Sequence[AuditedFile]
    blocks: Sequence[int] = ()

    def __len__(self) -> int:
        return self.files[-1].end if self.files else 0

    def file_of(self, row: int) -> AuditedFile:
        """The file that holds a row."""
        return next(file for file in self.files if file.first <= row < file.end)

    def part(self, name: Part) -> np.ndarray:
        """Which rows are of a part, as a mask over all."""
        mask = np.zeros(len(self), dtype=bool)
        for file in self.files:
            if file.part == name:
                mask[file.first : file.end] = True
        return mask

    def group(self, row: int) -> Group:
        """A row, read again from the disk."""
        file = self.file_of(row)
        return file.groups[row - file.first]

    def where(self, row: int) -> str:
        """`file:line` of a row."""
        return self.group(row).source

    def example(self, row: int, text: str) -> Example:
        """A row as an example, with what is seen there."""
        return Example(self.where(row), excerpt(text, 160))

    def examples(self, rows: Sequence[int] | np.ndarray, most: int = EXAMPLES) -> tuple[Example, ...]:
        """The first of some rows, each with its first completion."""
        groups = [self.group(int(row)) for row in rows[:most]]
        return tuple(Example(each.source, excerpt(each.completions[0].content, 160)) for each in groups)
