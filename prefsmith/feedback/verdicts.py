"""What model judges replied, kept on the disk, so that nothing is asked twice.

A journal is a file of JSON lines: a header, then one reply a line under the digest of what was asked. It only grows. A
line is on the disk when `keep` returns; a last line that a crash left half written is cut off when the file is opened.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, get_args

from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback.question import LETTERS, Letter
from prefsmith.files import sync_folder

Outcome = Literal["verdict", "unreadable", "refused", "cut", "unanswered", "rejected"]
KEPT: tuple[Outcome, ...] = ("verdict", "unreadable", "refused", "cut")
"""What a model replied. The others are no reply: such a question is asked again by the next run."""

_HEADER = {"prefsmith": "verdicts", "version": 1}
_COUNTS = ("prompt_tokens", "reply_tokens")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking a model about one presentation of a pair.

    Args:
        outcome: `verdict`; or why there is none: the reply ends in no verdict (`unreadable`), the model would not judge
            (`refused`), the reply is longer than allowed (`cut`), the server gave none (`unanswered`), or did not take
            the question (`rejected`).
        verdict: the letter that was named.
        text: what was replied; where nothing was, why.
        prompt_tokens: as the server counts them; None where it does not.
        reply_tokens: likewise.
        probabilities: of the letters A, B and, where it may be said, TIE; only where the judge gives them.
    """

    outcome: Outcome
    verdict: Letter | None = None
    text: str = ""
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    probabilities: tuple[float, ...] = ()

    def as_row(self) -> dict[str, object]:
        """As a line of the journal has it."""
        row: dict[str, object] = {"outcome": self.outcome, "verdict": self.verdict, "text": self.text}
        row |= {name: value for name in _COUNTS if (value := getattr(self, name)) is not None}
        return row | ({"probabilities": list(self.probabilities)} if self.probabilities else {})


class Journal:
    """The replies in a file, while the context is open; without a path they are kept in memory alone.

    Args:
        path: the file; it and its folder are made where they do not exist.

    Raises:
        ConfigError: another process has the file open, or it cannot be written.
        DataError: it is no journal, or a line before the last is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.replies: dict[str, Reply] = {}
        self.cut_off = 0
        """Bytes of a half-written last line that were cut off."""
        self._file: IO[bytes] | None = None
        if path is not None:
            self._file = _opened(path)
            try:
                self._read(self._file, path)
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go; what it holds can still be looked up."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __contains__(self, key: str) -> bool:
        return key in self.replies

    def __getitem__(self, key: str) -> Reply:
        return self.replies[key]

    def keep(self, replies: Mapping[str, Reply]) -> None:
        """Add replies by the digest of what was asked; they are on the disk when this returns.

        Raises:
            ConfigError: the file cannot be written.
        """
        fresh = {key: reply for key, reply in replies.items() if key not in self.replies}
        if self._file is not None and self.path is not None and fresh:
            lines = [_line({"key": key, **reply.as_row()}) for key, reply in fresh.items()]
            try:
                self._file.write(b"".join(lines))
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise _unwritable(self.path, error) from error
        self.replies.update(fresh)

    def _read(self, file: IO[bytes], path: Path) -> None:
        file.seek(0)
        data = file.read()
        if not data or (b"\n" not in data and _line(_HEADER).startswith(data)):
            file.truncate(0)
            file.write(_line(_HEADER))
            file.flush()
            os.fsync(file.fileno())
            sync_folder(path.parent)
            return
        lines = data.split(b"\n")
        if _parsed(lines[0]) != _HEADER:
            what = "this is no journal of verdicts that this version reads: its first line is another one"
            raise DataError("judge.journal", what, where=f"{path}:1", fix="name another file, or move this one away")
        for number, line in enumerate(lines[1:-1], start=2):
            key, reply = _kept(line, path, number)
            self.replies.setdefault(key, reply)
        self.cut_off = len(lines[-1])
        if self.cut_off:
            file.truncate(len(data) - self.cut_off)


def _opened(path: Path) -> IO[bytes]:
    """The file, locked; a killed process frees it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        what, fix = "another process writes verdicts to this file", "wait for it, stop it, or name another file"
        raise ConfigError("judge.locked", what, where=str(path), fix=fix) from None
    return file


def _unwritable(path: Path, error: OSError) -> ConfigError:
    what = f"verdicts cannot be kept: {error.strerror}"
    return ConfigError("judge.unwritable", what, where=str(path), fix="check the path, its permissions and its disk")


def _kept(line: bytes, path: Path, number: int) -> tuple[str, Reply]:
    row = _parsed(line)
    if (found := _entry(row)) is None:
        what = "a line of the journal is damaged" if row is None else "a line of the journal is no reply of a judge"
        fix = "take the line out: what it held is asked again; or start with another file"
        raise DataError("judge.journal", what, where=f"{path}:{number}", fix=fix)
    return found


def _entry(row: object) -> tuple[str, Reply] | None:
    if not isinstance(row, dict):
        return None
    values: dict[str, Any] = dict(row)
    key, outcome, verdict = values.pop("key", None), values.get("outcome"), values.get("verdict")
    counts = [values.get(name, 0) for name in _COUNTS]
    odds = values.pop("probabilities", [])
    sound = (
        isinstance(key, str)
        and outcome in get_args(Outcome)
        and verdict in (*LETTERS, None)
        and (verdict is not None) == (outcome == "verdict")
        and isinstance(values.get("text"), str)
        and all(type(count) is int and count >= 0 for count in counts)
        and isinstance(odds, list)
        and all(isinstance(each, float | int) for each in odds)
        and values.keys() <= {"outcome", "verdict", "text", *_COUNTS}
    )
    return (str(key), Reply(**values, probabilities=tuple(odds))) if sound else None


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _line(row: Mapping[str, object]) -> bytes:
    return json.dumps(row, ensure_ascii=True).encode() + b"\n"


def outcomes(replies: Sequence[Reply]) -> dict[str, int]:
    """How many replies came to what, `verdict` left out; what did not happen is counted as 0."""
    return {name: sum(reply.outcome == name for reply in replies) for name in get_args(Outcome) if name != "verdict"}
