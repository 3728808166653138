"""Rows of a JSON file: an object a line, or one array of objects. Neither is ever wholly in memory."""

import codecs
import json
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from prefsmith.data.excerpt import excerpt
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import LONGEST_ROW, Row
from prefsmith.data.streams import BYTE_ORDER_MARK
from prefsmith.errors import DataError

_CHUNK = 2**16  # bytes of an array that are read at once, at least


def json_rows(path: Path, file: BufferedIOBase, rejects: Rejects) -> Iterator[Row]:
    """Yield the rows in order; blank lines are no rows.

    Raises:
        DataError: an array is damaged, or (unless `rejects` skips them) a row is not a JSON object, is not UTF-8, names
            a key twice, or is longer than `LONGEST_ROW`.
    """
    may_be_array = path.name.removesuffix(".gz").removesuffix(".xz").lower().endswith(".json")
    if may_be_array and _begins_array(file):
        return _array_rows(_Array(path, file), rejects)
    return _line_rows(path, file, rejects)


def parse_json(text: str) -> object:
    """The value of a JSON text, in which no object names a key twice.

    Raises:
        ValueError: it is not JSON, or has a key twice.
        RecursionError: it is nested too deeply.
    """
    return _decode_unique(text)


def _begins_array(file: BufferedIOBase) -> bool:
    """Whether the first character that says something is the bracket of an array."""
    head = file.read(4096).removeprefix(BYTE_ORDER_MARK).lstrip()
    file.seek(0)
    return head.startswith(b"[")


def _line_rows(path: Path, file: BufferedIOBase, rejects: Rejects) -> Iterator[Row]:
    number = 0
    while line := file.readline(LONGEST_ROW + 1):
        number += 1
        source = f"{path}:{number}"
        if len(line) > LONGEST_ROW:
            length = len(line) + _skip_to_line_end(file, line)
            what = f"a line of {length:,} bytes; a row is at most {LONGEST_ROW:,}"
            fix = "one row per line; is this file one long line of something else?"
            rejects.refuse(
                DataError("data.long_line", what, where=source, fix=fix), line[:200].decode(errors="replace")
            )
            continue
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line.strip():
            continue
        try:
            row = Row(source, _parse(_decode(line, source).rstrip("\r\n"), source))
        except DataError as error:
            rejects.refuse(error, line.decode("utf-8", errors="backslashreplace"))
            continue
        yield row


def _skip_to_line_end(file: BufferedIOBase, line: bytes) -> int:
    skipped = 0
    while not line.endswith(b"\n") and (line := file.readline(LONGEST_ROW)):
        skipped += len(line)
    return skipped


def _array_rows(array: "_Array", rejects: Rejects) -> Iterator[Row]:
    array.take("[")
    number, before = 0, ""
    while True:
        line = array.place()
        number += 1
        source = line if line != before else f"{line} row {number}"  # the whole array may stand on one line
        before = line
        if array.take("]"):
            if not array.at_end():
                raise DataError("data.json", "text stands behind the array", where=line, fix="keep the array alone")
            return
        value = array.value(source)
        if isinstance(value, dict):
            yield Row(source, value)
        else:
            rejects.refuse(_not_an_object(value, source), value)
        line = array.place()
        if not array.take(",") and not array.text.startswith("]", array.position):
            what, fix = "the array is cut off or lacks a comma", "write or fetch the file again"
            raise DataError("data.json", what, where=line, fix=fix)


class _Array:
    """The part of a JSON array that is being parsed. What is parsed is forgotten, and its lines are counted."""

    def __init__(self, path: Path, file: BufferedIOBase) -> None:
        self.path, self.file = path, file
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.parser = json.JSONDecoder(object_pairs_hook=_unique_keys)
        self.text, self.position, self.ended = "", 0, False
        self.line, self.counted = 1, 0  # the line of the character `counted`

    def place(self) -> str:
        """Go to the next character that is no space, and say its file:line."""
        while True:
            while self.position < len(self.text) and self.text[self.position].isspace():
                self.position += 1
            if self.position < len(self.text) or not self._more():
                return self._place_of(self.position)

    def take(self, character: str) -> bool:
        """Go past the character if it comes next, behind spaces."""
        self.place()
        found = self.text.startswith(character, self.position)
        self.position += int(found)
        return found

    def at_end(self) -> bool:
        """Whether nothing but spaces is left."""
        self.place()
        return self.position == len(self.text)

    def value(self, source: str) -> object:
        """Go past the value that comes next.

        Raises:
            DataError: there is none, or it is longer than `LONGEST_ROW`.
        """
        while True:
            try:
                value, end = self.parser.raw_decode(self.text, self.position)
                if end < len(self.text) or not self._more():  # a number may go on behind the part that is read
                    self.position = end
                    return value
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self.text) - 16
                line = self._line_of(error.pos)
                if not (cut and self._more()):
                    raise self._bad_value(error.msg, line, source, cut) from error
            except (ValueError, RecursionError) as error:
                raise _not_json(error, source) from error

    def _bad_value(self, message: str, line: int, source: str, cut: bool) -> DataError:
        if cut and not self.ended:
            what = f"a row of more than {LONGEST_ROW:,} characters"
            return DataError("data.long_line", what, where=source, fix="is a quotation mark missing, or a bracket?")
        what, fix = f"not JSON: {message} (line {line})", "write or fetch the file again, as one array of objects"
        return DataError("data.json", what, where=source, fix=fix)

    def _line_of(self, position: int) -> int:
        return self.line + self.text.count("\n", self.counted, position)

    def _place_of(self, position: int) -> str:
        self.line, self.counted = self._line_of(position), position
        return f"{self.path}:{self.line}"

    def _more(self) -> bool:
        """Read as much again as is waiting, so that a long row is parsed a few times only; False at the end."""
        self._place_of(self.position)
        self.text, self.position, self.counted = self.text[self.position :], 0, 0
        if self.ended or len(self.text) > LONGEST_ROW:
            return False
        part = self.file.read(max(_CHUNK, len(self.text)))
        self.ended = not part
        try:
            self.text += self.decoder.decode(part, final=self.ended)
        except UnicodeDecodeError as error:
            line = self.line + self.text.count("\n") + error.object.count(b"\n", 0, error.start)
            raise _not_utf8(error, f"{self.path}:{line}") from error
        return not self.ended


def _decode(line: bytes, source: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(error, source) from error


def _not_utf8(error: UnicodeDecodeError, source: str) -> DataError:
    what = f"not UTF-8 text: byte {error.object[error.start]:#04x} at position {error.start}"
    fix = "convert the file, for example with `iconv -f latin1 -t utf-8`"
    return DataError("data.encoding", what, where=source, fix=fix)


def _parse(line: str, source: str) -> dict[str, object]:
    try:
        value = parse_json(line)
    except (ValueError, RecursionError) as error:
        raise _not_json(error, source) from error
    if not isinstance(value, dict):
        raise _not_an_object(value, source)
    return value


def _not_json(error: Exception, source: str) -> DataError:
    if isinstance(error, json.JSONDecodeError):
        what, fix = (
            f"not JSON: {error.msg} (column {error.colno}) in {excerpt(error.doc.strip())}",
            "one JSON object per line, or one array of objects in a .json file",
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


_decode_unique = json.JSONDecoder(object_pairs_hook=_unique_keys).decode
