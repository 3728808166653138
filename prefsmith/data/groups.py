"""From a preference file to groups."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from prefsmith.data.audited import Treatment
from prefsmith.data.containers import Container, open_container
from prefsmith.data.hub import Side
from prefsmith.data.parse import parse_row
from prefsmith.data.rejects import Rejects
from prefsmith.data.rowstore import FirstPlaces
from prefsmith.data.schema import Schema, recognise
from prefsmith.errors import DataError
from prefsmith.records import Group


@dataclass(slots=True)
class Reading:
    """What came of reading a container. `rows` counts groups, refused rows, and those that an audit leaves out."""

    container: Container
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
    side: Side = "train",
) -> Reading:
    """Read preference data to its end, or to `limit` rows and not further.

    Args:
        path: .jsonl, .json, .csv or .tsv, plain, .gz or .xz; .parquet; a folder that `datasets` saved; or
            `hub:org/name`, the only form that is ever looked up.
        format: a format's name, or `auto` to recognise it from the first row.
        columns: our name of a column -> the file's, where they differ.
        limit: most rows that are read.
        rejects: collects the rows that cannot be used. Without it the first one raises.
        side: what the rows are for, where a dataset has several splits.

    Raises:
        DataError: the file cannot be read, holds no usable row, or holds a bad row and `rejects` does not skip.
        ConfigError: `columns` names something we do not know.
    """
    reading = Reading(open_container(path, side))
    rejects = rejects if rejects is not None else Rejects()
    seen = FirstPlaces(reading.groups)
    for group in stream_groups(reading, seen, rejects, format=format, columns=columns or {}, limit=limit):
        reading.groups.append(group)
    return reading


def stream_groups(
    reading: Reading,
    seen: FirstPlaces,
    rejects: Rejects,
    *,
    format: str,
    columns: Mapping[str, str],
    limit: int | None,
    treatment: Treatment | None = None,
) -> Iterator[Group]:
    """Yield the groups of a container one by one, for whoever keeps them elsewhere than in the reading.

    Args:
        reading: of the container; its other parts are filled in.
        seen: looks at the groups that were yielded, so each has to be kept before the next one is asked for.
        rejects: collects the rows that cannot be used.
        format: as for `read_groups`.
        columns: likewise.
        limit: likewise.
        treatment: which rows an audit leaves out or weighs anew.

    Raises:
        DataError: as for `read_groups`.
        ConfigError: likewise.
    """
    used, refused_before = 0, len(rejects.rows)
    spared = rejects if treatment is None else treatment.sparing(rejects)
    for row in islice(reading.container.rows(spared), limit):
        if reading.schema is None:
            reading.schema = recognise(row, format, columns)
        if treatment is not None and treatment.leaves_out(row.source):
            continue
        notes = Counter[str]()
        try:
            group = parse_row(row, reading.schema, notes)
            _first_of_its_id(group, seen)
        except DataError as error:
            rejects.refuse(error, row.values)
            continue
        used += 1
        reading.notes += notes  # of rows that are used, so that the counts add up
        yield group if treatment is None else treatment.weigh(group)
    left_out = 0 if treatment is None else treatment.total["left out"]
    reading.rows = used + len(rejects.rows) - refused_before + left_out  # lines that were no rows count as read
    if not used:
        raise _nothing(reading.container.name, reading.rows)


def _nothing(name: str, rows: int) -> DataError:
    if rows:
        what, fix = f"none of {rows} rows can be used", "without data.skip_bad the first bad row is named"
    else:
        what, fix = "the file has no rows", "is it the right file, and was it written to its end?"
    return DataError("data.no_rows", what, where=name, fix=fix)


def _first_of_its_id(group: Group, seen: FirstPlaces) -> None:
    if (before := seen.note(group.id)) is not None:
        what = f"the id {group.id!r} is also that of {before}"
        raise DataError(
            "data.id", what, where=group.source, fix="ids name rows, so each stands once; or drop the column"
        )
