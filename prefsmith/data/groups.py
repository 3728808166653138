"""From a preference file to groups."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from prefsmith.data.parse import parse_row
from prefsmith.data.read import read_rows
from prefsmith.data.rejects import Rejects
from prefsmith.data.schema import Schema, recognise
from prefsmith.errors import DataError
from prefsmith.records import Group


@dataclass(slots=True)
class Reading:
    """What came of reading a file. `rows` is the number of groups plus the number of refused rows."""

    schema: Schema | None = None
    groups: list[Group] = field(default_factory=list)
    rows: int = 0
    notes: Counter[str] = field(default_factory=Counter)


def read_groups(
    path: str | Path,
    *,
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    rejects: Rejects | None = None,
) -> Reading:
    """Read a preference file to its end, or to `limit` rows.

    Args:
        path: .jsonl or .json, plain or .gz.
        format: a format's name, or `auto` to recognise it from the first row.
        columns: our name of a column -> the file's, where they differ.
        limit: most rows that are read.
        rejects: collects the rows that cannot be used. Without it the first one raises.

    Raises:
        DataError: the file cannot be read, holds no usable row, or holds a bad row and `rejects` does not skip.
        ConfigError: `columns` names something we do not know.
    """
    path, rejects = Path(path), rejects if rejects is not None else Rejects()
    reading, seen = Reading(), dict[str, str]()
    refused_before = len(rejects.rows)
    for row in islice(read_rows(path, rejects), limit):
        reading.rows += 1
        if reading.schema is None:
            reading.schema = recognise(row, format, columns or {})
        try:
            group = parse_row(row, reading.schema, reading.notes)
            _first_of_its_id(group, seen)
        except DataError as error:
            rejects.refuse(error, row.values)
            continue
        reading.groups.append(group)
    unread = len(rejects.rows) - refused_before - (reading.rows - len(reading.groups))
    reading.rows += unread  # lines that were no rows at all count as read
    if not reading.groups:
        raise _nothing(path, reading.rows)
    return reading


def _nothing(path: Path, rows: int) -> DataError:
    if rows:
        what, fix = f"none of {rows} rows can be used", "without data.skip_bad the first bad row is named"
    else:
        what, fix = "the file has no rows", "is it the right file, and was it written to its end?"
    return DataError("data.no_rows", what, where=str(path), fix=fix)


def _first_of_its_id(group: Group, seen: dict[str, str]) -> None:
    if group.id in seen:
        what = f"the id {group.id!r} is also that of {seen[group.id]}"
        raise DataError(
            "data.id", what, where=group.source, fix="ids name rows, so each stands once; or drop the column"
        )
    seen[group.id] = group.source
