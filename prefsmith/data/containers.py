"""What holds the rows of a run: a file of some kind, a folder saved by `datasets`, or a dataset of the hub.

A name that begins with `hub:` is the only one that is ever looked up; every other is a path.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from prefsmith.data import hub
from prefsmith.data.columnar import parquet_rows
from prefsmith.data.read import json_rows
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.streams import Compression, opened, refuse_foreign
from prefsmith.data.tables import table_rows
from prefsmith.errors import DataError
from prefsmith.files import file_digest, stamp_of

Kind = Literal["json", "csv", "tsv", "parquet"]

_KINDS: dict[str, Kind] = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_ACCEPTED = (
    "give .jsonl, .json, .csv or .tsv, plain or with .gz or .xz behind it; .parquet; a folder that `datasets` saved; "
    "or hub:org/name"
)


@dataclass(frozen=True, slots=True)
class File:
    """One file of rows.

    Args:
        name: as it was given, which is how messages call it.
        path: where it is.
        kind: by its suffix.
        compression: by its last suffix.
    """

    name: str
    path: Path
    kind: Kind
    compression: Compression = ""

    def rows(self, rejects: Rejects) -> Iterator[Row]:
        """Yield the rows in order; no more of the file is read than is asked for.

        Raises:
            DataError: the file is not what its name says or is damaged; or (unless `rejects` skips them) a row cannot
                be read.
        """
        if self.kind == "parquet":
            yield from parquet_rows(self.path, rejects)
            return
        with opened(self.path, self.compression) as file:
            refuse_foreign(self.path, file)
            if self.kind == "json":
                yield from json_rows(self.path, file, rejects)
            else:
                yield from table_rows(self.path, file, "," if self.kind == "csv" else "\t", rejects)

    def digest(self) -> dict[str, str]:
        """sha256 of the file as it lies on the disk.

        Raises:
            DataError: it cannot be read.
        """
        try:
            return {"sha256": file_digest(self.path)}
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def stamp(self) -> list[tuple[int, int, int]]:
        """What changes when somebody writes to the file.

        Raises:
            DataError: it is gone.
        """
        try:
            return [stamp_of(self.path)]
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def describe(self) -> str:
        """Nothing had to be chosen."""
        return ""


Container = File | hub.Saved


def open_container(name: str | Path, side: hub.Side = "train") -> Container:
    """What a name stands for. A dataset of the hub is fetched here; files are opened when their rows are asked for.

    Args:
        name: a path, or `hub:org/name` with options.
        side: what the rows are for, where there are several splits to choose from.

    Raises:
        DataError: nothing is there, or what is there is of a kind that is not read.
    """
    if str(name).startswith(hub.PREFIX):
        return hub.open_hub(str(name), side)
    path = Path(name).expanduser()
    try:
        if not path.exists():
            raise _nothing_there(str(name))
        if path.is_dir():
            return hub.open_folder(path, side)
        regular = path.is_file()
    except OSError as error:
        raise _unreadable(str(name), error) from error
    if not regular:
        what, fix = "this is a pipe or a device, and a file is read twice", "write the rows to a file first"
        raise DataError("data.file", what, where=str(name), fix=fix)
    return _as_file(str(name), path)


def _as_file(name: str, path: Path) -> File:
    plain, compression = path.name.lower(), ""
    for suffix in (".gz", ".xz"):
        if plain.endswith(suffix):
            plain, compression = plain.removesuffix(suffix), suffix
            break
    kind = _KINDS.get(Path(plain).suffix)
    if kind is None:
        raise DataError("data.container", f"files of this kind are not read: {path.name}", where=name, fix=_ACCEPTED)
    if kind == "parquet" and compression:
        what, fix = "a parquet file is compressed inside, and is not read from a compressed one", "unpack it"
        raise DataError("data.container", what, where=name, fix=fix)
    return File(name, path, kind, cast("Compression", compression))


def _unreadable(name: str, error: OSError) -> DataError:
    what, fix = f"cannot read the file: {error.strerror}", "check the path and its permissions"
    return DataError("data.file", what, where=name, fix=fix)


def _nothing_there(name: str) -> DataError:
    fix = "check the path; a local path is never looked up on a hub"
    if hub.may_be_id(name):
        fix += f". A dataset of the hub is named hub:{name}"
    return DataError("data.file", "there is no such file or folder", where=name, fix=fix)
