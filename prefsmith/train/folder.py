"""The run's folder: whose it is, and what is written down in it beside checkpoints and metrics."""

import json
import platform
import time
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch

from prefsmith.config import RunConfig, changed_keys
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.files import sync_folder, write_durably
from prefsmith.settings import load_settings
from prefsmith.train.parallel import ALONE, Ranks

DIVISION = ("train.token_budget", "train.memory_limit", "train.activation_checkpointing", "train.parallel")
"""How a step is divided and what is kept of it: its gradient is the same but for the order of sums."""
MAY_CHANGE = ("out", "checkpoint.", "evaluate.", "reference.cache", "data.cache", "data.workers", *DIVISION)
MORE_STEPS = ("train.max_steps", "train.epochs")


def with_folder(config: RunConfig, *, resume: bool) -> RunConfig:
    """The settings with a folder: the first free runs/<loss>-<number> where none is named.

    Raises:
        ConfigError: a run is to be resumed and its folder is not named.
    """
    if config.out is not None:
        return config
    if resume:
        what, fix = "a run is resumed in its folder, and none is named", "add --out with the folder of the run"
        raise ConfigError("run.folder", what, where="--resume", fix=fix)
    stem = "-".join(each.name for each in config.losses)
    numbers = (number for number in range(1, 10**6) if not Path(f"runs/{stem}-{number}").exists())
    return config.model_copy(update={"out": f"runs/{stem}-{next(numbers)}"})


def free_folder(out: Path | None, default: str) -> Path:
    """A folder with nothing in it, made: `out`, or the first free one of default, default-2, default-3, ...

    Raises:
        ConfigError: something is in it, or it cannot be made.
    """
    if out is None:
        names = (default, *(f"{default}-{number}" for number in range(2, 10**6)))
        out = next(Path(name) for name in names if not Path(name).exists())
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError("run.exists", "the folder is not empty", where=str(out), fix="give another one with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder cannot be made: {error.strerror}"
        raise ConfigError("run.folder", what, where=str(out), fix="give another one with --out") from error
    return out


def claim(folder: Path, config: RunConfig, resume: bool) -> None:
    """Make the folder, or make sure that what is in it may be gone on with.

    Raises:
        ConfigError: it holds another run, or this run with other settings.
    """
    refuse_taken(folder, config, resume=resume)
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        sync_folder(folder)
        sync_folder(folder.parent)
    except OSError as error:
        what = f"the folder cannot be made: {error.strerror}"
        raise ConfigError("run.folder", what, where=str(folder), fix="give another folder with --out") from error


def refuse_taken(folder: Path, config: RunConfig, *, resume: bool) -> None:
    """Make sure that a run may have the folder; nothing is written.

    Raises:
        ConfigError: it holds another run, or this run with other settings.
    """
    stored = folder / "run.yaml"
    if folder.exists() and not folder.is_dir():
        raise ConfigError("run.folder", "this is a file", where=str(folder), fix="give another folder with --out")
    if stored.is_file():
        if not resume:
            what, fix = "the folder holds a run", "go on with it by --resume, or give another folder with --out"
            raise ConfigError("run.exists", what, where=str(folder), fix=fix)
        _refuse_changes(load_settings(stored), config, folder)
    elif folder.exists() and not _vacant(folder):
        what, fix = "the folder is not empty and holds no run", "give another folder with --out"
        raise ConfigError("run.exists", what, where=str(folder), fix=fix)


def _vacant(folder: Path) -> bool:
    """Whether nothing is in the folder but what a start that failed leaves behind."""
    # Files that were being written have names with a dot in front.
    leftovers = {"LOCK", "checkpoints", "rejected.jsonl"}
    return all(
        (each.name in leftovers or each.name.startswith(".") or each.match("crash*.log"))
        and not (each.is_dir() and any(each.iterdir()))
        for each in folder.iterdir()
    )


def write_records(
    folder: Path,
    config: RunConfig,
    data: Mapping[str, object],
    model: Mapping[str, object],
    machine: Mapping[str, object],
) -> None:
    """Write run.yaml, data.json, model.json and environment.json.

    Raises:
        TrainingError: the disk is full or fails.
    """
    started = {**machine, "before": _environments(folder)} if _environments(folder) else machine
    try:
        write_durably(folder / "run.yaml", config.to_yaml().encode())
        for name, values in (("data", data), ("model", model), ("environment", started)):
            write_durably(folder / f"{name}.json", json.dumps(values, indent=1).encode())
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_outcome(folder: Path, *, steps: int, seconds: float) -> None:
    """Write outcome.json: the run came to its end, when, and how long this start of it took.

    Raises:
        TrainingError: the disk is full or fails.
    """
    finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    values = {"finished": finished, "seconds": round(seconds, 1), "steps": steps}
    try:
        write_durably(folder / "outcome.json", json.dumps(values, indent=1).encode())
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> TrainingError:
    what = f"the run's folder cannot be written: {error.strerror}"
    return TrainingError("run.write", what, where=str(folder), fix="make room, or choose another --out")


def _environments(folder: Path) -> list[dict[str, object]]:
    """What earlier starts of the run wrote down, oldest first."""
    path = folder / "environment.json"
    if not path.is_file():
        return []
    last: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    before = last.pop("before", [])
    return [*before, last] if isinstance(before, list) else [last]


def require_one_folder(folder: Path, ranks: Ranks) -> None:
    """The first process's folder is what all of them see: it is on one file system.

    Raises:
        ConfigError: a process does not see what the first one writes.
    """
    if ranks.alone:
        return
    token = folder / f".seen-{ranks.from_first(lambda: uuid.uuid4().hex)}"
    ranks.from_first(lambda: token.touch())
    blind = [rank for rank, seen in enumerate(ranks.gather(token.exists())) if not seen]
    ranks.from_first(lambda: token.unlink(missing_ok=True))
    if blind:
        what = f"process {blind[0]} does not see the run's folder of process 0"
        fix = "name a folder with --out that all machines share"
        raise ConfigError("run.ranks", what, where=str(folder), fix=fix)


def environment(ranks: Ranks = ALONE) -> dict[str, object]:
    """Versions and machine, for the record."""
    names = ("prefsmith", "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")
    return {
        "versions": {name: version(name) for name in names},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "torch_threads": torch.get_num_threads(),
        "processes": ranks.count,
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _refuse_changes(stored: RunConfig, now: RunConfig, folder: Path) -> None:
    free = now.optim.schedule == "constant" and stored.optim.schedule == "constant"
    for key in changed_keys(stored, now):
        if key.startswith(MAY_CHANGE) or (free and key in MORE_STEPS):
            continue
        hint = "; with optim.schedule=constant a run may be made longer" if key in MORE_STEPS else ""
        raise ConfigError(
            "run.changed",
            f"{key} is not what this run began with",
            where=str(folder),
            fix=f"resume with the stored settings (run.yaml), or start anew in another folder{hint}",
        )
