"""Rows of a preference file, each with the place it stands: JSON lines or one JSON array, plain or gzip."""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import NoReturn

from prefsmith.data.rejects import Rejects
from prefsmith.errors import DataError

LONGEST_LINE = 8 * 2**20  # bytes; a row of text is far shorter, a file without line ends is not
SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file. `source` is file:line."""

    source: str
    values: dict[str, object]


def read_rows(path: Path, rejects: Rejects) -> Iterator[Row]:
    """Yield the rows of a file in order; blank lines are no rows.

    Raises:
        DataError: the file cannot be read, is of a kind we do not read, or (unless `rejects` skips them) a row is
            not a JSON object, is not UTF-8, names a key twice, or is longer than `LONGEST_LINE`.
    """
    _check_readable(path)
    try:
        with _open(path) as file:
            if _is_array(path, file):
                yield from _array_rows(path, file, rejects)
            else:
                yield from _line_rows(path, file, rejects)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            "data.gzip",
            f"the gzip file is cut off or damaged: {error}",
            where=str(path),
            fix="fetch or compress the file again; `gzip -t` tells whether it is whole",
        ) from error
    except OSError as error:
        _unreadable(path, error)


def _check_readable(path: Path) -> None:
    kind = path.name.removesuffix(".gz")
    if not path.exists():
        fix = "check the path; a local path is never looked up on a hub"
        raise DataError("data.file", "there is no such file", where=str(path), fix=fix)
    if path.is_dir():
        raise DataError("data.file", "this is a folder, not a file", where=str(path), fix="name one file in it")
    if not kind.endswith(SUFFIXES):
        raise DataError(
            "data.container",
            f"files of this kind are not read: {path.name}",
            where=str(path),
            fix="give JSON lines (.jsonl) or a JSON array (.json), plain or .gz",
        )


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")


def _unreadable(path: Path, error: OSError) -> NoReturn:
    fix = "check the path and its permissions"
    raise DataError("data.file", f"cannot read the file: {error.strerror}", where=str(path), fix=fix) from error


def _is_array(path: Path, file: BufferedIOBase) -> bool:
    """Whether the first character that says something is the bracket of an array."""
    head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(0)
    return head.startswith(b"[") and ".json" in path.suffixes


def _line_rows(path: Path, file: BufferedIOBase, rejects: Rejects) -> Iterator[Row]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        source = f"{path}:{number}"
        if len(line) > LONGEST_LINE:
            length = len(line) + _skip_to_line_end(file, line)
            what = f"a line of {length:,} bytes; a row is at most {LONGEST_LINE:,}"
            fix = "one row per line; is this file one long line of something else?"
            rejects.refuse(
                DataError("data.long_line", what, where=source, fix=fix), line[:200].decode(errors="replace")
            )
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            row = Row(source, _parse(_decode(line, source), source))
        except DataError as error:
            rejects.refuse(error, line.decode("utf-8", errors="backslashreplace"))
            continue
        yield row


def _skip_to_line_end(file: BufferedIOBase, line: bytes) -> int:
    skipped = 0
    while not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE)):
        skipped += len(line)
    return skipped


def _array_rows(path: Path, file: BufferedIOBase, rejects: Rejects) -> Iterator[Row]:
    text = _decode(file.read().removeprefix(b"\xef\xbb\xbf"), str(path))
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys)
    position, line, counted = text.index("[") + 1, 1, 0

    def place(at: int) -> str:
        nonlocal line, counted
        line, counted = line + text.count("\n", counted, at), at
        return f"{path}:{line}"

    while True:
        position = _past_space(text, position)
        source = place(position)
        if text[position : position + 1] == "]":
            if _past_space(text, position + 1) < len(text):
                raise DataError("data.json", "text stands behind the array", where=source, fix="keep the array alone")
            break
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise _not_json(error, source) from error
        if isinstance(value, dict):
            yield Row(source, value)
        else:
            rejects.refuse(_not_an_object(value, source), value)
        position = _past_space(text, end)
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "]":
            what, fix = "the array is cut off or lacks a comma", "write or fetch the file again"
            raise DataError("data.json", what, where=place(position), fix=fix)


def _past_space(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position


def _decode(line: bytes, source: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"not UTF-8 text: byte {line[error.start]:#04x} at position {error.start}"
        fix = "convert the file, for example with `iconv -f latin1 -t utf-8`"
        raise DataError("data.encoding", what, where=source, fix=fix) from error


def _parse(line: str, source: str) -> dict[str, object]:
    try:
        value = json.loads(line, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise _not_json(error, source) from error
    if not isinstance(value, dict):
        raise _not_an_object(value, source)
    return value


def _not_json(error: Exception, source: str) -> DataError:
    if isinstance(error, json.JSONDecodeError):
        what, fix = (
            f"not JSON: {error.msg} (column {error.colno})",
            "one JSON object per line, or one array of objects",
        )
    elif isinstance(error, RecursionError):
        what, fix = "the JSON is nested too deeply", "a row is an object of texts or lists of messages"
    else:
        what, fix = str(error), "mend the row; every key stands once, and numbers are of usual size"
    return DataError("data.json", what, where=source, fix=fix)


def _not_an_object(value: object, source: str) -> DataError:
    what = f"a row is a JSON object, not {type(value).__name__}"
    return DataError(
        "data.json",
        what,
        where=source,
        fix='for example {"prompt": "...", "chosen": "...", "rejected": "..."}',
    )


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """JSON lets a key stand twice and keeps the last in silence; we do not."""
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return values
