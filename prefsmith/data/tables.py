"""Rows of a CSV or TSV file: the first line names the columns, a quoted cell may hold line ends."""

import csv
import re
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from prefsmith.data.excerpt import excerpt, excerpt_names
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import LONGEST_ROW, Row
from prefsmith.data.streams import BYTE_ORDER_MARK
from prefsmith.errors import DataError

_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how `surrogateescape` keeps a byte that is no text


def table_rows(path: Path, file: BufferedIOBase, delimiter: str, rejects: Rejects) -> Iterator[Row]:
    """Yield the rows in order, each with the line it begins in; blank lines are no rows, empty cells no values.

    Raises:
        DataError: the header names a column twice or is separated by something else, a quote is wrong, a row is longer
            than `LONGEST_ROW`; or (unless `rejects` skips them) a row has more or fewer cells than the header, or is
            not UTF-8.
    """
    lines = _Lines(path, file)
    header: list[str] | None = None
    for source, cells in _records(lines, delimiter):
        if header is None:
            header = _checked_header(cells, source)
            continue
        if (error := _fault(cells, header, source)) is not None:
            rejects.refuse(error, [cell.encode("utf-8", "surrogateescape").decode(errors="replace") for cell in cells])
            continue
        yield Row(source, {name: cell or None for name, cell in zip(header, cells, strict=True)}, typed=False)


class _Lines:
    """The lines of the file as the CSV reader takes them, one at a time; a row may take several."""

    def __init__(self, path: Path, file: BufferedIOBase) -> None:
        self.path, self.file = path, file
        self.number, self.first, self.taken = 0, 1, 0

    def begin_row(self) -> None:
        """The next line is the first of a row."""
        self.first, self.taken = self.number + 1, 0

    def place(self) -> str:
        """file:line where the row begins."""
        return f"{self.path}:{self.first}"

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST_ROW + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.taken += len(line)
        if self.taken > LONGEST_ROW:
            what = f"a row of more than {LONGEST_ROW:,} bytes begins here"
            fix = "is the quotation mark missing that closes one of its cells?"
            raise DataError("data.long_line", what, where=self.place(), fix=fix)
        if self.number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        return line.decode("utf-8", "surrogateescape")


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    # The limit is the process's own and far below a long answer; `_Lines` has one that holds for whole rows.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_ROW))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _broken(error, lines.place()) from error
        if cells is None:
            return
        if cells:
            yield lines.place(), cells


def _broken(error: csv.Error, source: str) -> DataError:
    """Where a quote is wrong it cannot be told where rows begin and end, so no row behind it is read."""
    if "unexpected end of data" in str(error):
        what = "a quoted cell of the row that begins here never ends"
    elif "new-line" in str(error):
        what = "a carriage return stands alone in a cell without quotes"
    else:
        what = f"the quotes of the row that begins here are wrong: {error}"
    fix = 'a cell with quotes, line ends or the separator in it is written "so", and a quote in it twice ("")'
    return DataError("data.csv", what, where=source, fix=fix)


def _checked_header(names: list[str], source: str) -> list[str]:
    if _NOT_UTF8.search("".join(names)):
        raise _not_utf8(source)
    if len(names) == 1 and (other := re.search(r"[;\t|]", names[0])):
        what = f"the header is one column, and {excerpt(repr(other[0]))} stands in it: {excerpt(names[0])}"
        fix = "separate columns by commas (.csv) or tabs (.tsv)"
        raise DataError("data.csv", what, where=source, fix=fix)
    # The first column of a table that pandas wrote with its index has no name.
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    if twice := {name for name in names if names.count(name) > 1}:
        what, fix = f"the header names {excerpt_names(sorted(twice))} more than once", "give every column its own name"
        raise DataError("data.csv", what, where=source, fix=fix)
    return names


def _fault(cells: list[str], header: list[str], source: str) -> DataError | None:
    if len(cells) != len(header):
        what = f"the row has {len(cells)} cells and the header {len(header)}: {excerpt_names(header)}"
        fix = 'is a cell with the separator in it written without quotes ("...")?'
        return DataError("data.csv", what, where=source, fix=fix)
    if any(_NOT_UTF8.search(cell) for cell in cells):
        return _not_utf8(source)
    return None


def _not_utf8(source: str) -> DataError:
    fix = "convert the file, for example with `iconv -f latin1 -t utf-8`; Excel saves `CSV UTF-8`"
    return DataError("data.encoding", "the row is not UTF-8 text", where=source, fix=fix)
