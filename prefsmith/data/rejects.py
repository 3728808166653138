"""What happens to a row that cannot be used: the run stops, or the row is written down with its reason."""

import json
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from prefsmith.data.lazy import Lazy
from prefsmith.data.spool import Spool
from prefsmith.errors import DataError, TrainingError

Refused = dict[str, object]


class RefusedRows(Lazy[Refused]):
    """Rows as rejected.jsonl has them, however many: a line each, read again when it is asked for."""

    def __init__(self) -> None:
        self.lines = Spool()
        self._starts = array("q", [0])

    def append(self, row: Refused) -> None:
        """Write a row down, non-ASCII as escapes."""
        self.append_line(json.dumps(row, ensure_ascii=True, default=str).encode() + b"\n")

    def append_line(self, line: bytes) -> None:
        """A row that was written down before."""
        self.lines.append(line)
        self._starts.append(len(self.lines))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def at(self, place: int) -> Refused:
        """The entry at a place, made anew."""
        return json.loads(self.line(place))

    def line(self, index: int) -> bytes:
        """A row as it is written down."""
        return self.lines.read(self._starts[index], self._starts[index + 1] - self._starts[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(_same, self, other))

    __hash__ = None  # pyright: ignore[reportAssignmentType]  it grows


def _same(first: object, second: object) -> bool:
    return first == second


class Rejects:
    """The rows that were refused.

    Args:
        skip: go on after a bad row. False raises its error instead.

    Attributes:
        rows: for each refused row where it stands, the error's code, words and mend, and the row as it was read.
    """

    def __init__(self, *, skip: bool = False) -> None:
        self.skip = skip
        self.rows = RefusedRows()
        self._codes = Counter[str]()

    def refuse(self, error: DataError, row: object) -> None:
        """Write the row down, or raise its error where bad rows are not skipped."""
        if not self.skip:
            raise error
        self._codes[error.code] += 1
        said = {"where": error.where, "code": error.code, "reason": error.what, "fix": error.fix}
        self.rows.append({**said, "row": row})

    def repeat(self, line: bytes) -> None:
        """Take over a row that was refused when the same rows were read before."""
        self._codes[str(json.loads(line)["code"])] += 1
        self.rows.append_line(line)

    def counts(self) -> dict[str, int]:
        """How many rows were refused, by code."""
        return dict(self._codes)

    def copy_to(self, spool: Spool, *, start: int = 0) -> None:
        """Write the rows from one on to other bytes."""
        for index in range(start, len(self.rows)):
            spool.append(self.rows.line(index))

    def write(self, path: Path) -> None:
        """One JSON object per refused row; no file where no row was refused.

        Raises:
            TrainingError: the disk is full or fails.
        """
        if not self.rows:
            return
        try:
            with path.open("wb") as file:
                self.rows.lines.copy_to(file)
        except OSError as error:
            what = f"the refused rows cannot be written: {error.strerror}"
            raise TrainingError("run.write", what, where=str(path), fix="make room") from error
