"""Rows of what is stored by column, through pyarrow: parquet files, and the batches that `datasets` gives."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from prefsmith.data.excerpt import excerpt, excerpt_names
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.streams import foreign_kind
from prefsmith.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 64  # rows that are in memory as Python objects at a time


def parquet_rows(path: Path, rejects: Rejects) -> Iterator[Row]:
    """Yield the rows of a parquet file in order, in batches.

    Raises:
        DataError: it is damaged or no parquet file, has two columns of one name, or (unless `rejects` skips them) a row
            holds what no Python value can.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            if (found := foreign_kind(file.read(64))) and "parquet" not in found[0]:
                kind, fix = found
                raise DataError("data.content", f"by its first bytes this is {kind}", where=str(path), fix=fix)
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as table:
            refuse_equal_names(table.schema_arrow.names, str(path))
            yield from batch_rows(table.iter_batches(ROWS_AT_ONCE, use_threads=False), str(path), rejects)
    except (pa.ArrowException, OSError) as error:
        reason = excerpt(str(error).strip().splitlines()[0], 160) if str(error).strip() else type(error).__name__
        what, fix = f"the parquet file is damaged, or is none: {reason}", "fetch or write the file again"
        raise DataError("data.parquet", what, where=str(path), fix=fix) from error


def batch_rows(batches: "Iterable[pa.RecordBatch | pa.Table]", name: str, rejects: Rejects) -> Iterator[Row]:
    """Yield the rows of batches, counted from 1."""
    number = 0
    for batch in batches:
        for values in _values(batch):
            number += 1
            source = f"{name}:row {number}"
            if isinstance(values, dict):
                yield Row(source, {key: _plain(value) for key, value in values.items()})
            else:
                what = f"the row cannot be read: {excerpt(str(values), 120)}"
                fix = "texts are UTF-8, and dates those of the calendar; write the row anew"
                rejects.refuse(DataError("data.encoding", what, where=source, fix=fix), None)


def refuse_equal_names(names: Iterable[str], where: str) -> None:
    """Rows are read by the names of their columns.

    Raises:
        DataError: two have the same.
    """
    names = list(names)
    if twice := {name for name in names if names.count(name) > 1}:
        what, fix = f"two columns are named {excerpt_names(sorted(twice))}", "give every column its own name"
        raise DataError("data.parquet", what, where=where, fix=fix)


def _values(batch: "pa.RecordBatch | pa.Table") -> Iterator[object]:
    """Each row as a dict, or the error that makes it unreadable."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):  # some row of it; the others are sound
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except (ValueError, OverflowError) as error:
                yield error


def _plain(value: object) -> object:
    """The value as JSON would hold it. In a struct every row has every field, so one that is null is not there."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, date | datetime | time) else value
