"""Evidence joins the pages of the runs that it is about: as a copy in RUN/eval, and on RUN/report.html."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prefsmith.errors import ConfigError
from prefsmith.files import write_durably
from prefsmith.report.draw import draw
from prefsmith.report.gathered import EVIDENCE, PAGE

DEPTH = 2
"""Folders above evidence in which its run is looked for: RUN/eval/NAME."""
_COPIED = (EVIDENCE, PAGE)


def join(folder: Path, about: Iterable[str | Path]) -> tuple[str, ...]:
    """Show evidence on the pages of its runs: those that it is about, and the one in whose folder it lies.

    Args:
        folder: with evidence.json and report.html.
        about: models that were measured; those that are no run are passed over.

    Returns:
        For each run a line that says where it is shown, or why it is not: that stops nothing, since the evidence itself
        is written.
    """
    own = _run_above(folder)
    runs = {run.resolve(): run for path in about if (run := run_of(path)) is not None}
    lines = [_shown(run, copied=folder) for place, run in runs.items() if own is None or place != own.resolve()]
    return (*lines, _shown(own)) if own is not None else tuple(lines)


def run_of(path: str | Path) -> Path | None:
    """The run's folder that a model's path names, itself or by its model/; None where it is of no run."""
    place = Path(path).expanduser()
    return next((each for each in ((place, place.parent) if place.name == "model" else (place,)) if is_run(each)), None)


def is_run(folder: Path) -> bool:
    """Whether a run lies in a folder; settings alone, as people keep them beside their data, are none."""
    return all((folder / name).is_file() for name in ("run.yaml", "environment.json"))


def _run_above(folder: Path) -> Path | None:
    above = folder.resolve().parents[:DEPTH]
    found = next(filter(is_run, above), None)
    return found if found is None or folder.is_absolute() else Path(os.path.relpath(found))


def _shown(run: Path, *, copied: Path | None = None) -> str:
    try:
        if copied is not None:
            _copy(copied, run)
        return f"{draw([run]).path} shows it too"
    except ConfigError as error:
        return f"the page of {run} does not show it: {error.what} ({error.where})"
    except OSError as error:
        return f"the page of {run} does not show it: {error.strerror}"


def _copy(folder: Path, run: Path) -> None:
    """Copy the evidence and its page into the run; an older copy of the same kind is written over."""
    kind = _kind(folder)
    target = next(each for each in _names(run / "eval" / folder.resolve().name) if _is_ours(each, kind))
    target.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        write_durably(target / name, (folder / name).read_bytes())


def _names(first: Path) -> Iterator[Path]:
    yield first
    yield from (first.with_name(f"{first.name}-{number}") for number in range(2, 10**6))


def _is_ours(target: Path, kind: object) -> bool:
    """Whether a copy may go there: nothing is there, or a copy of such evidence and nothing else."""
    if not target.exists():
        return True
    names = {each.name for each in target.iterdir()} if target.is_dir() else {""}
    return not names or (names <= set(_COPIED) and _kind(target) in (kind, None))


def _kind(folder: Path) -> object:
    try:
        values = json.loads((folder / EVIDENCE).read_bytes())
    except (OSError, ValueError):
        return None
    return values.get("kind") if isinstance(values, dict) else None
