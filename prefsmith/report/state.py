"""Whether a run has finished, is going on, was stopped or has failed, from its folder alone."""

import fcntl
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

State = Literal["finished", "going on", "stopped", "failed"]


def state_of(folder: Path, environment: Mapping[str, object], outcome: Mapping[str, object]) -> State:
    """What became of the last start of a run.

    Args:
        folder: of the run.
        environment: what environment.json says; `started` is when the last start was.
        outcome: what outcome.json says; `finished` is when a start came to its end.
    """
    started, finished = seconds_of(environment.get("started")), seconds_of(outcome.get("finished"))
    if finished is not None and (started is None or finished >= started):
        return "finished"
    if lock_is_held(folder / "LOCK"):
        return "going on"
    crash = folder / "crash.log"
    if crash.is_file() and (started is None or crash.stat().st_mtime >= started):
        return "failed"
    return "stopped"


def seconds_of(moment: object) -> float | None:
    """An ISO time as seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def lock_is_held(path: Path) -> bool:
    """Whether a process trains in the folder.

    The lock is asked for only where its owner may be alive, shared and for an instant, so that a start at that very
    moment is not refused: what a dead process of this machine left behind is no lock.
    """
    try:
        with path.open("rb") as file:
            owner = re.match(r"process (\d+) on (.+)", file.read(200).decode("utf-8", "replace"))
            if owner is not None and owner[2].strip() == os.uname().nodename and not _alive(int(owner[1])):
                return False
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
