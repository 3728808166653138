"""Checkpoints that exist whole or not at all, and the lock that keeps two runs out of one folder.

A checkpoint is written beside its place, every file flushed and synced; MANIFEST.json with each file's sha256 comes
last; the folder is then renamed into place and its parent synced. A checkpoint exists if and only if its manifest does,
and no file in it is read before its digest is verified.
"""

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from prefsmith.errors import ConfigError, TrainingError
from prefsmith.files import file_digest, sync_folder, write_durably

FORMAT = 1
MANIFEST, WEIGHTS, OPTIMIZER, RANDOM, STATE, REFERENCE = (
    "MANIFEST.json",
    "weights.safetensors",
    "optimizer.safetensors",
    "random.safetensors",
    "state.json",
    "reference.safetensors",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a run needs to go on exactly.

    Args:
        step: optimiser steps that were done.
        weights: the trainable weights by name.
        optimizer: the optimiser's averages and counts.
        random: states of the generators, by device.
        state: length of the metrics log, digests and whatever else is not a tensor.
        reference: what a reference that moves has become; empty (and no file) for one that stands still.
    """

    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]
    state: dict[str, Any]
    reference: dict[str, Tensor] = field(default_factory=dict)


def folder_name(step: int) -> str:
    """The folder of a step's checkpoint."""
    return f"step-{step:06d}"


class CheckpointStore:
    """The checkpoints of a run.

    Args:
        folder: holds one folder per checkpoint.
        keep: how many of the newest whole ones stay.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def clean(self) -> None:
        """Remove what a killed save left beside its place, and what a killed removal left of an old one."""
        halves = [place for place in self.folder.glob("step-*") if not (place / MANIFEST).exists()]
        for left in (*self.folder.glob(".step-*"), *halves):
            shutil.rmtree(left, ignore_errors=True)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and then remove the oldest beyond `keep`.

        Raises:
            TrainingError: the disk is full or fails; the checkpoints before are untouched.
        """
        place = self.folder / folder_name(checkpoint.step)
        if place.exists() and not damage(place):
            return place
        beside = self.folder / f".{place.name}-{uuid.uuid4().hex}"
        try:
            beside.mkdir(parents=True)
            _write(beside, checkpoint)
            if place.exists():
                self._put_aside(place)
            beside.rename(place)
            sync_folder(self.folder)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise TrainingError(
                "train.checkpoint",
                f"the checkpoint of step {checkpoint.step} could not be written: {_reason(error)}",
                where=str(place),
                fix="make room and go on with --resume: the checkpoint before it is whole",
            ) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)  # nothing is there once it was renamed
        self._remove_old(place)
        return place

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest whole checkpoint, and what is wrong with each newer one, which is put aside.

        Raises:
            TrainingError: there are checkpoints and all are damaged.
        """
        damaged: list[str] = []
        for place in reversed(self._places()):
            if wrong := damage(place):
                damaged.append(f"{place.name}: {wrong}")
            else:
                for each in self._places()[len(self._places()) - len(damaged) :]:
                    self._put_aside(each)
                return _read(place), damaged
        if damaged:
            raise TrainingError(
                "run.checkpoints",
                f"every checkpoint is damaged: {'; '.join(damaged)}",
                where=str(self.folder),
                fix="restore one from a copy, or start anew in another folder",
            )
        return None, []

    def _places(self) -> list[Path]:
        """Folders that have a manifest, oldest first."""
        places = (place.parent for place in self.folder.glob(f"step-*/{MANIFEST}"))
        return sorted(places, key=lambda place: int(place.name.removeprefix("step-")))

    def _put_aside(self, place: Path) -> None:
        place.rename(self.folder / f"damaged-{place.name}-{uuid.uuid4().hex[:8]}")

    def _remove_old(self, newest: Path) -> None:
        """Keep the one just written and the newest before it; one that cannot be removed does no harm."""
        before = [place for place in self._places() if place != newest]
        for place in before[: max(0, len(before) - self.keep + 1)]:
            with suppress(OSError):
                # Without its manifest it is no checkpoint any more, so a kill in between leaves no half one.
                (place / MANIFEST).unlink()
                shutil.rmtree(place)


def damage(place: Path) -> str:
    """What is wrong with a checkpoint, naming the file; empty if every file is there and has its digest."""
    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
        files = {str(name): (each["sha256"], each["bytes"]) for name, each in manifest["files"].items()}
        version = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is missing or cannot be read"
    if version != FORMAT:
        return f"it has the format {version}, and this program reads {FORMAT}"
    if not {WEIGHTS, OPTIMIZER, RANDOM, STATE} <= set(files):
        return f"{MANIFEST} does not name the files of a checkpoint"
    for name, (sha256, size) in files.items():
        path = place / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size or file_digest(path) != sha256:
            return f"{name} is not what was written"
    return ""


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep every other run out of the folder while the context is open; a killed process frees it.

    Raises:
        ConfigError: another process has it.
    """
    path = folder / "LOCK"
    try:
        opened = path.open("a+")
    except OSError as error:
        what = f"the folder cannot be written: {error.strerror}"
        raise ConfigError("run.folder", what, where=str(folder), fix="check its permissions and its disk") from error
    with opened as file:
        if not _locked(file, path):
            file.seek(0)
            owner = file.read().strip() or "another process"
            fix = "wait for it, stop it, or give another folder with --out"
            raise ConfigError("run.locked", f"{owner} is running in this folder", where=str(folder), fix=fix)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def _locked(file: IO[str], path: Path) -> bool:
    """Whether we have the lock, and it is the file that stands there, not one that its owner has just removed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def random_states() -> dict[str, Tensor]:
    """The state of every generator that training draws from."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda:{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_random_states(states: dict[str, Tensor]) -> None:
    """Put back what `random_states` gave."""
    torch.set_rng_state(states["cpu"])
    for name, state in states.items():
        if name != "cpu":
            torch.cuda.set_rng_state(state, name)


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    tensors = {WEIGHTS: checkpoint.weights, OPTIMIZER: checkpoint.optimizer, RANDOM: checkpoint.random}
    if checkpoint.reference:
        tensors[REFERENCE] = checkpoint.reference
    for name, each in tensors.items():
        save_file({key: value.detach().cpu().contiguous() for key, value in each.items()}, folder / name)
    state = {"step": checkpoint.step, **checkpoint.state}
    (folder / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
    files = {}
    for name in (*tensors, STATE):
        path = folder / name
        with path.open("rb") as file:
            os.fsync(file.fileno())
        files[name] = {"sha256": file_digest(path), "bytes": path.stat().st_size}
    manifest = {"format": FORMAT, "step": checkpoint.step, "files": files}
    write_durably(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def _read(place: Path) -> Checkpoint:
    """A checkpoint whose digests have been verified."""
    state = json.loads((place / STATE).read_bytes())
    named = json.loads((place / MANIFEST).read_bytes())["files"]
    return Checkpoint(
        step=state.pop("step"),
        weights=load_file(place / WEIGHTS),
        optimizer=load_file(place / OPTIMIZER),
        random=load_file(place / RANDOM),
        state=state,
        reference=load_file(place / REFERENCE) if REFERENCE in named else {},
    )


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]
