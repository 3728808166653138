"""Every error that prefsmith raises on purpose: what happened, where, and what to do.

    PrefsmithError
    ├── ConfigError     a setting is wrong, or two settings clash           (exit status 2)
    ├── DataError       the user's file, row or field is wrong              (exit status 3)
    ├── TrainingError   the run reached a state it must not go on from      (exit status 4)
    └── Interrupted     a signal asked the run to stop, and it is saved     (exit status 128 + signal)

`code` is stable: docs/errors.md has a section for each.
"""

import difflib
from collections.abc import Iterable


class PrefsmithError(Exception):
    """What happened, where, and what to do about it.

    Args:
        code: stable name of the error, `area.what`; the heading of its section in docs/errors.md.
        what: what is wrong, with the value that is wrong.
        where: `file:line`, row, key or folder. Empty where the message says it all.
        fix: what the reader can do now.
    """

    exit_code = 1
    said_elsewhere = False
    """Whether another process of the run says the same, so that this one need not."""

    def __init__(self, code: str, what: str, *, where: str = "", fix: str = "") -> None:
        self.code, self.what, self.where, self.fix = code, what, where, fix
        lines = [f"[{code}] {what}"]
        if where:
            lines.append(f"  where: {where}")
        if fix:
            lines.append(f"  fix:   {fix}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send errors as pickles; keyword-only arguments need this.
        return _rebuild, (type(self), self.code, self.what, self.where, self.fix)


class ConfigError(PrefsmithError, ValueError):
    """A setting is wrong, or two settings clash."""

    exit_code = 2


class DataError(PrefsmithError, ValueError):
    """The user's file, row or field is wrong."""

    exit_code = 3


class TrainingError(PrefsmithError, RuntimeError):
    """The run reached a state it must not go on from."""

    exit_code = 4


class Interrupted(PrefsmithError):
    """A signal asked the run to stop; everything up to its last step is saved."""

    def __init__(self, signal_number: int, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__("run.interrupted", what, where=where, fix=fix)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_interrupted, (self.signal_number, self.what, self.where, self.fix)


def nearest(word: str, known: Iterable[str]) -> str:
    """The phrase `did you mean 'x'?`, or the list of what is known where nothing is near."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "it is one of: " + ", ".join(known) if known else ""


def _rebuild(kind: type[PrefsmithError], code: str, what: str, where: str, fix: str) -> PrefsmithError:
    return kind(code, what, where=where, fix=fix)


def _rebuild_interrupted(signal_number: int, what: str, where: str, fix: str) -> Interrupted:
    return Interrupted(signal_number, what, where=where, fix=fix)
