"""Files that are on the disk when a function returns, and what they hold: flush, sync, rename, sync the folder."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

_OF_A_MODEL = (".safetensors", ".bin", ".json", ".model", ".jinja", ".txt", ".py")


def cache_root() -> Path:
    """Where programs of a user keep what they could compute again; prefsmith's part of it."""
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "prefsmith"


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path: Path) -> tuple[int, int, int]:
    """Size, time of the last change and number of a file: another one tells that it was written to."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def digest_of_files(paths: Iterable[Path]) -> str:
    """sha256 of the digests of several files, in their order."""
    total = hashlib.sha256()
    for path in paths:
        total.update(file_digest(path).encode())
    return total.hexdigest()


def model_files(folder: Path) -> list[Path]:
    """The files of a model's or an adapter's folder that decide what it answers, by name."""
    return [path for path in sorted(folder.iterdir()) if path.suffix in _OF_A_MODEL and path.is_file()]


def json_row(row: Mapping[str, object]) -> bytes:
    """A row as JSON in UTF-8, on one line without its end; with escapes where a text has half a character.

    Raises:
        ValueError: a number is not finite, which JSON has no word for.
    """
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(row, allow_nan=False).encode()


def write_durably(path: Path, data: bytes) -> None:
    """Write a file that is on the disk when this returns, replacing an older one in one move."""
    beside = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(folder: Path) -> None:
    """Make every file of a folder, which others wrote, readable as usual and sure to survive a crash of the machine."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~mask)  # safetensors writes files that nobody else may read
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)
