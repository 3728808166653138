"""Bytes that are appended and then read at random: in memory while they are few, in a file where they are many."""

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

IN_MEMORY = 2**23
"""Bytes that are kept in memory before anything is written."""
AT_ONCE = 2**20
"""Bytes of one write behind that."""


class Spool:
    """Appended bytes. A disk that is full costs the place that was asked for, not the bytes.

    Args:
        path: where they are to lie at the end; None for a file without a name, which is gone with the process.

    Attributes:
        failure: what made the place unusable; None where nothing did.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.failure: OSError | None = None
        self._file: _Descriptor | None = None
        self._written, self._tail = 0, bytearray()
        self._most, self._digest = IN_MEMORY, hashlib.sha256()

    def __len__(self) -> int:
        return self._written + len(self._tail)

    def append(self, data: bytes) -> int:
        """Add bytes; returns where they begin."""
        start = len(self)
        self._digest.update(data)
        self._tail += data
        if len(self._tail) > self._most:
            self._write()
        return start

    def read(self, start: int, length: int) -> bytes:
        """Bytes that were appended together, or a part of them."""
        if start >= self._written:
            return bytes(self._tail[start - self._written : start - self._written + length])
        assert self._file is not None  # something was written
        return self._file.read(start, length)

    def digest(self) -> str:
        """sha256 of all bytes."""
        return self._digest.hexdigest()

    def settle(self) -> bool:
        """Put everything into the file that was asked for; False where that failed or none was asked for."""
        if self.path is not None and self.failure is None:
            self._write()
        return self.path is not None and self.failure is None

    def copy_to(self, file: BinaryIO) -> None:
        """Write all bytes to another file."""
        for start in range(0, self._written, AT_ONCE):
            file.write(self.read(start, min(AT_ONCE, self._written - start)))
        file.write(self._tail)

    def _write(self) -> None:
        try:
            self._append_to_file()
        except OSError as error:
            self.failure = self.failure or error
            self._move()

    def _append_to_file(self) -> None:
        if self._file is None:
            # Held open as long as the spool lives, so that whoever clears the folder takes nothing from this run.
            self._file = (
                _nameless() if self.path is None or self.failure else _Descriptor(self.path, os.O_RDWR | os.O_CREAT)
            )
        view, done = memoryview(bytes(self._tail)), 0
        while done < len(view):
            done += os.pwrite(self._file.number, view[done:], self._written + done)
        self._written, self._tail, self._most = self._written + len(view), bytearray(), AT_ONCE

    def _move(self) -> None:
        """Go on in a file elsewhere, or in memory where no disk has room."""
        held, self._file = self._file, None
        try:
            file = _nameless()
            for start in range(0, self._written, AT_ONCE):
                assert held is not None  # it has what was written
                os.write(file.number, held.read(start, min(AT_ONCE, self._written - start)))
            self._file = file
            self._append_to_file()
        except OSError:
            self._file, self._most = held, 2**62


class Stored:
    """Bytes of a file that somebody else wrote.

    Args:
        path: the file. It is held open, so that whoever clears the folder takes nothing from this run.
    """

    def __init__(self, path: Path) -> None:
        self._file = _Descriptor(path, os.O_RDONLY)
        self._size = os.fstat(self._file.number).st_size

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, length: int) -> bytes:
        """Bytes from a place on."""
        return self._file.read(start, length)

    def copy_to(self, file: BinaryIO) -> None:
        """Write all bytes to another file."""
        for start in range(0, self._size, AT_ONCE):
            file.write(self.read(start, min(AT_ONCE, self._size - start)))


Bytes = Spool | Stored


def lines_of(data: Bytes) -> Iterator[bytes]:
    """Lines with their ends, some in memory at a time."""
    begun = b""
    for start in range(0, len(data), AT_ONCE):
        *whole, begun = (begun + data.read(start, min(AT_ONCE, len(data) - start))).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if begun:
        yield begun


class _Descriptor:
    """An open file, which is closed when nobody has it any more. Threads may read it at once."""

    def __init__(self, path: Path, flags: int) -> None:
        self.number = os.open(path, flags | os.O_CLOEXEC, 0o666)
        weakref.finalize(self, os.close, self.number)

    def read(self, start: int, length: int) -> bytes:
        """Not by a map of the file: one that somebody cuts would end the process, and its pages count as memory."""
        parts: list[bytes] = []
        while length > 0 and (part := os.pread(self.number, length, start)):
            parts.append(part)
            start, length = start + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _nameless() -> _Descriptor:
    """A file that is gone with the process."""
    number, name = tempfile.mkstemp(prefix="prefsmith-")
    os.close(number)
    try:
        return _Descriptor(Path(name), os.O_RDWR)
    finally:
        Path(name).unlink()
