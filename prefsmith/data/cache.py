"""A folder of what was read and encoded before, by what it was made of.

An entry is a folder that is made beside its place and moved there in one step. It says what it is of, and has the
digest of every file in it: one that was cut off, changed, or put there by something else is not used. Nothing has to be
on the disk when the program goes on, for what a crash leaves half there has another digest.
"""

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from prefsmith.data.spool import Bytes, Spool, Stored
from prefsmith.files import file_digest

FORMAT = 2
"""Of entries, and of what is made of rows on the way to ids: to be raised where either changes."""
LEFT_BEHIND = 7 * 24 * 3600.0
"""Seconds after which an entry that nobody finished is taken away."""
LISTING, COLUMNS = "entry.json", "columns.safetensors"

Say = Callable[[str], None]
Facts = Mapping[str, object]
Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Entry:
    """What was made of something.

    Args:
        record: what else is to be known.
        columns: numbers.
        files: bytes that are read as they are needed.
        folder: where the entry lies; None where it is not kept.
    """

    record: Mapping[str, Any]
    columns: Columns
    files: Mapping[str, Bytes]
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What an entry is to hold beside the files of its draft.

    Args:
        record: what else is to be known.
        columns: numbers.
        whole: whether a file can hold all of it.
    """

    record: Mapping[str, Any]
    columns: Columns
    whole: bool = True


class Draft:
    """An entry that is being made.

    Args:
        folder: where its files are written; None where it is not kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.spools: dict[str, Spool] = {}

    def spool(self, name: str) -> Spool:
        """A file of the entry."""
        path = None if self.folder is None else self.folder / name
        self.spools[name] = Spool(path)
        return self.spools[name]

    def as_entry(self, made: Made) -> Entry:
        """What was made, whether or not it is kept."""
        return Entry(made.record, made.columns, self.spools)


class Cache:
    """Entries of one kind.

    Args:
        root: of the cache; None where nothing is kept.
        kind: the folder of these entries.
        say: is told what is not used, and what is not kept.
    """

    def __init__(self, root: Path | None, kind: str, say: Say) -> None:
        self.folder = None if root is None else root / kind
        self.say = say

    def place(self, facts: Facts) -> Path | None:
        """Where the entry of these facts is, if it is anywhere."""
        return None if self.folder is None else self.folder / hashlib.sha256(_in_words(facts).encode()).hexdigest()[:32]

    def find(self, facts: Facts) -> Entry | None:
        """The entry that was made of the same; None where there is none that can be trusted."""
        place = self.place(facts)
        if place is None:
            return None
        try:
            return _read(place, facts)
        except (FileNotFoundError, NotADirectoryError):
            if not place.exists():
                return None
            self.say(f"warning: {place} is not used and is made anew: a file of it is missing")
        except (ValueError, TypeError, KeyError, OSError) as error:
            self.say(f"warning: {place} is not used and is made anew: {error}")
        return None

    def find_or_make(self, facts: Facts, make: Callable[[Draft], Made]) -> Entry:
        """The entry of these facts; made and kept where there is none."""
        if (entry := self.find(facts)) is not None:
            return entry
        draft = self.draft()
        try:
            made = make(draft)
            return self.keep(draft, facts, made) if made.whole else draft.as_entry(made)
        finally:
            self.discard(draft)

    def draft(self) -> Draft:
        """An entry to be filled; one without a place where the disk does not take it."""
        if self.folder is None:
            return Draft(None)
        folder = self.folder / f".{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True)
            _clear(self.folder)
        except OSError as error:
            self._not_kept(error)
            return Draft(None)
        return Draft(folder)

    def keep(self, draft: Draft, facts: Facts, made: Made) -> Entry:
        """Put an entry in its place, in the place of one that cannot be trusted. A full disk costs it, not the run."""
        entry, place = draft.as_entry(made), self.place(facts)
        if draft.folder is None or place is None:
            return entry
        try:
            _write(draft, facts, entry)
            _move(draft.folder, place, facts)
        except OSError as error:
            self._not_kept(error)
        return entry

    def discard(self, draft: Draft) -> None:
        """Leave nothing of a draft behind; what was moved is at its place. Its bytes can still be read here."""
        if draft.folder is not None:
            shutil.rmtree(draft.folder, ignore_errors=True)

    def _not_kept(self, error: OSError) -> None:
        self.say(f"warning: rows are not kept in {self.folder} for other runs: {error.strerror or error}")


def _move(folder: Path, place: Path, facts: Facts) -> None:
    """Put an entry in its place, unless another process was faster."""
    try:
        folder.rename(place)
    except OSError:
        try:
            _read(place, facts)
        except (ValueError, TypeError, KeyError, OSError):
            shutil.rmtree(place, ignore_errors=True)
            folder.rename(place)


def _clear(folder: Path) -> None:
    """Take away what processes that were killed left behind."""
    for path in folder.glob(".*"):
        with suppress(OSError):  # another process may take it away first
            if time.time() - path.stat().st_mtime > LEFT_BEHIND:
                shutil.rmtree(path, ignore_errors=True)


def _write(draft: Draft, facts: Facts, entry: Entry) -> None:
    assert draft.folder is not None  # it is kept
    files: dict[str, dict[str, object]] = {}
    for name, spool in draft.spools.items():
        if not spool.settle():
            raise spool.failure or OSError("it was not written")
        files[name] = {"bytes": len(spool), "sha256": spool.digest()}
    columns = save({name: np.ascontiguousarray(each) for name, each in entry.columns.items()})
    (draft.folder / COLUMNS).write_bytes(columns)
    files[COLUMNS] = {"bytes": len(columns), "sha256": hashlib.sha256(columns).hexdigest()}
    listing = {"facts": _in_words(facts), "files": files, "record": entry.record}
    text = json.dumps(listing)
    (draft.folder / LISTING).write_text(json.dumps({"sha256": _digest(text), "entry": text}), encoding="utf-8")


def _read(place: Path, facts: Facts) -> Entry:
    """An entry, verified.

    Raises:
        ValueError: it cannot be trusted; the message says why.
        OSError: it cannot be read.
    """
    outer = json.loads((place / LISTING).read_text(encoding="utf-8"))
    if outer["sha256"] != _digest(outer["entry"]):
        raise ValueError(f"{LISTING} is damaged")
    listing = json.loads(outer["entry"])
    if listing["facts"] != _in_words(facts):
        raise ValueError("it was made of something else")
    for name, known in listing["files"].items():
        path = place / name
        if path.stat().st_size != known["bytes"] or file_digest(path) != known["sha256"]:
            raise ValueError(f"{name} is not what was written")
    try:
        columns = load((place / COLUMNS).read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{COLUMNS} is damaged ({error})") from error
    files = {name: Stored(place / name) for name in listing["files"] if name != COLUMNS}
    return Entry(listing["record"], columns, files, place)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _in_words(facts: Facts) -> str:
    return json.dumps(dict(facts), sort_keys=True)
