"""The bytes of a file, plain or compressed, and what is said where they are not what its name promises."""

import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Literal, cast

from prefsmith.errors import DataError

Compression = Literal["", ".gz", ".xz"]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD = 4096  # bytes that are looked at before a file is read

# What files are taken for by mistake: how they begin, what they are, what to do.
_FOREIGN = [
    (rb"\s*<(!doctype html|html|head|body|\?xml)\b", "a web page", "fetch the file itself, often a link called `raw`"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the data", "fetch the data with `git lfs pull`"),
    (rb"PAR1", "a parquet file", "give it the suffix .parquet"),
    (rb"\x1f\x8b", "compressed by gzip", "give it the suffix .gz"),
    (rb"\xfd7zXZ\x00", "compressed by xz", "give it the suffix .xz"),
    (rb"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    (rb"BZh\d1AY&SY|\x28\xb5\x2f\xfd", "compressed by bzip2 or zstd", "unpack it, or compress it by gzip or xz"),
    (rb"ARROW1", "an Arrow file", "name the folder that `datasets` saved it in, or write it as parquet"),
    (rb"SQLite format 3", "a database", "write the table as CSV"),
    (rb"%PDF", "a PDF document", "give the rows themselves, for example as CSV"),
]


@contextmanager
def opened(path: Path, compression: Compression = "") -> Iterator[BufferedIOBase]:
    """The file's bytes, unpacked.

    Raises:
        DataError: it may not be read, or while it is read turns out to be cut off or damaged.
    """
    try:
        with _open(path, compression) as file:
            try:
                yield file
            except DataError:
                if compression:  # a row may be wrong because the file is damaged: only its end tells
                    _read_to_end(file)
                raise
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise _damaged(path, compression, error) from error
    except OSError as error:
        fix = "check the path and its permissions"
        what = f"cannot read the file: {error.strerror}"
        raise DataError("data.file", what, where=str(path), fix=fix) from error


def refuse_foreign(path: Path, file: BufferedIOBase) -> None:
    """Look at the beginning of a file that ought to hold text, and go back to its start.

    Raises:
        DataError: the file is empty, a web page, binary, or of a kind that its name does not say.
    """
    head = file.read(_HEAD)
    file.seek(0)
    where = str(path)
    if not head:
        what, fix = "the file is empty", "was it written to its end?"
        raise DataError("data.no_rows", what, where=where, fix=fix)
    if found := foreign_kind(head):
        kind, fix = found
        raise DataError("data.content", f"by its first bytes this is {kind}", where=where, fix=fix)
    if _is_binary(head):
        what, fix = "the file is binary, and rows are text", "give the rows as text, or as parquet (.parquet)"
        raise DataError("data.content", what, where=where, fix=fix)


def foreign_kind(head: bytes) -> tuple[str, str] | None:
    """What a file is by its first bytes, and what to do; None where they look like text."""
    for pattern, kind, fix in _FOREIGN:
        if re.match(pattern, head, re.IGNORECASE if pattern.startswith(rb"\s") else 0):
            return kind, fix
    return None


def _open(path: Path, compression: Compression) -> BufferedIOBase:
    if compression == ".gz":
        return gzip.open(path)
    return cast("BufferedIOBase", lzma.open(path)) if compression == ".xz" else path.open("rb")


def _read_to_end(file: BufferedIOBase) -> None:
    while file.read(2**20):
        pass


def _damaged(path: Path, compression: Compression, error: Exception) -> DataError:
    if compression == ".xz":
        what, fix = f"the xz file is cut off or damaged: {error}", "`xz -t` tells whether it is whole"
        return DataError("data.xz", what, where=str(path), fix=f"fetch or compress the file again; {fix}")
    what, fix = f"the gzip file is cut off or damaged: {error}", "`gzip -t` tells whether it is whole"
    return DataError("data.gzip", what, where=str(path), fix=f"fetch or compress the file again; {fix}")


def _is_binary(head: bytes) -> bool:
    """Whether many bytes are no text. UTF-16 is text; that it is not UTF-8 is said with its line."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    strange = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return strange > max(8, len(head) // 10)
