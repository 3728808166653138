"""A folder in which a program keeps what it has done, so that a killed one goes on behind it and does nothing twice."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from prefsmith.errors import ConfigError, DataError, TrainingError
from prefsmith.files import sync_folder, write_durably
from prefsmith.train.checkpoint import lock

SETTINGS = "settings.json"
_FORM = 2
"""Of the settings. Older ones leave out some of what decides what comes out, so that nothing goes on behind them."""
VERDICTS = "verdicts.jsonl"
"""What model judges replied."""
_FIRST = {"LOCK", VERDICTS}
"""What may be there before the settings are known."""
Row = dict[str, object]


class Workplace:
    """The folder of one program, while the context is open.

    Args:
        folder: made where it does not exist.

    Raises:
        ConfigError: another process works in it, or it holds what is none of a program's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = ExitStack()

    def __enter__(self) -> "Workplace":
        folder = self.folder
        if folder.is_dir() and not (folder / SETTINGS).exists() and {path.name for path in folder.iterdir()} - _FIRST:
            what, fix = "the folder holds something else", "give another one with --out"
            raise ConfigError("evaluate.folder", what, where=str(folder), fix=fix)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"the folder cannot be made: {error.strerror}"
            raise ConfigError("evaluate.folder", what, where=str(folder), fix="give another one with --out") from error
        self._held.enter_context(lock(folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def claim(self, settings: Mapping[str, object]) -> None:
        """Say what the program computes. One that was begun with other settings is refused.

        Args:
            settings: as JSON has them.

        Raises:
            ConfigError: the folder was begun with other settings, or by a prefsmith that kept fewer of them.
            TrainingError: the disk is full or fails.
        """
        path, now = self.folder / SETTINGS, json.loads(json.dumps(settings))
        if not path.exists():
            self.write(SETTINGS, json.dumps({"form": _FORM, "settings": now}, indent=1) + "\n")
            return
        try:
            stored = json.loads(path.read_bytes())
            before, form = stored["settings"], stored.get("form")
        except (OSError, ValueError, KeyError, TypeError) as error:
            what, fix = "the settings of what is in this folder cannot be read", "give another folder with --out"
            raise ConfigError("evaluate.folder", what, where=str(path), fix=fix) from error
        if form != _FORM:
            what = "the folder was begun by another version of prefsmith, which kept its settings in another form"
            raise ConfigError("evaluate.changed", what, where=str(path), fix="give another folder with --out")
        if changed := _differing(before, now):
            what = f"the folder was begun with other settings: {', '.join(changed)}"
            fix = "give the same ones to go on, or another folder with --out"
            raise ConfigError("evaluate.changed", what, where=str(path), fix=fix)

    def rows(self, name: str) -> list[Row]:
        """The rows of a file that were kept so far; none where there is no such file.

        A last line that a crash left half written is cut off: what it was about is done again.

        Raises:
            DataError: a line before the last is damaged.
        """
        path = self.folder / name
        if not path.exists():
            return []
        data = path.read_bytes()
        *lines, torn = data.split(b"\n")
        if torn:
            with path.open("r+b") as file:
                file.truncate(len(data) - len(torn))
        return [_parsed(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]

    def keep(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows to a file; they are on the disk when this returns.

        Raises:
            TrainingError: the disk is full or fails.
        """
        path = self.folder / name
        try:
            new = not path.exists()
            with path.open("ab") as file:
                file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync_folder(self.folder)
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, name: str, text: str) -> Path:
        """Write a file anew.

        Raises:
            TrainingError: the disk is full or fails.
        """
        path = self.folder / name
        try:
            write_durably(path, text.encode())
        except OSError as error:
            raise _unwritable(path, error) from error
        return path


def _differing(before: object, now: object, key: str = "") -> list[str]:
    """Dotted keys of what is not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = dict.fromkeys([*before, *now])
        return [each for name in names for each in _differing(before.get(name), now.get(name), f"{key}.{name}")]
    return [] if before == now else [key.lstrip(".")]


def _parsed(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        what, fix = "a line of what was kept is damaged", "take the line out: what it held is done again"
        raise DataError("evaluate.damaged", what, where=where, fix=fix)
    return row


def _unwritable(path: Path, error: OSError) -> TrainingError:
    what, fix = f"it cannot be written: {error.strerror}", "make room, and give the same command again"
    return TrainingError("run.write", what, where=str(path), fix=fix)
