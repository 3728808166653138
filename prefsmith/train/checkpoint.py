"""Checkpoints that exist whole or not at all, and the lock that keeps two runs out of one folder.

A checkpoint is written beside its place, every file flushed and synced; MANIFEST.json with each file's sha256 comes
last; the folder is then renamed into place and its parent synced. A checkpoint exists if and only if its manifest does,
and no file in it is read before its digest is verified.

Where processes have parts of the weights, each writes its own (`train/parts.py`); everything else is the first one's.
In the background, tensors are copied at once and written while training goes on: the manifest comes at the next end of
a step behind the last byte, or when a run with whole copies stops.
"""

import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException

from prefsmith.config import CheckpointConfig
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.files import file_digest, sync_folder, write_durably
from prefsmith.train.parallel import ALONE, Ranks
from prefsmith.train.parts import CONTENTS, PartsWriter

_NAME = re.compile(r"step-\d+")
WHOLE, IN_PARTS = 1, 2
"""Formats: weights and averages in two files, or in files of as many processes as wrote them."""
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
        parts: the folder that weights and averages are to be read from, where processes had parts of them.
    """

    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]
    state: dict[str, Any]
    reference: dict[str, Tensor] = field(default_factory=dict)
    parts: Path | None = None


def folder_name(step: int) -> str:
    """The folder of a step's checkpoint."""
    return f"step-{step:06d}"


@dataclass(frozen=True, slots=True)
class _Pending:
    """A checkpoint that is being written beside its place; the job gives what this process wrote of it."""

    step: int
    place: Path
    beside: Path
    job: Future[dict[str, dict[str, Any]]]


class CheckpointStore:
    """The checkpoints of a run. Every process of the run has one, and calls what it calls with the others.

    Args:
        folder: holds one folder per checkpoint.
        keep: how many of the newest whole ones stay.
        ranks: the processes of the run.
        background: whether files are written while training goes on.
    """

    def __init__(self, folder: Path, *, keep: int, ranks: Ranks = ALONE, background: bool = False) -> None:
        self.folder, self.keep, self.ranks, self.background = folder, keep, ranks, background
        self.parts = PartsWriter(ranks) if ranks.in_step else None
        self.pending: _Pending | None = None
        self.worker = ThreadPoolExecutor(1, "checkpoint") if background else None

    @classmethod
    def of(cls, config: CheckpointConfig, folder: Path, ranks: Ranks) -> "CheckpointStore":
        """As the settings say."""
        return cls(folder, keep=config.keep, ranks=ranks, background=config.background)

    def clean(self) -> None:
        """Remove what a killed save left beside its place, and what a killed removal left of an old one."""
        halves = [place for place in self._named() if not (place / MANIFEST).exists()]
        for left in (*self.folder.glob(".step-*"), *halves) if self.ranks.is_first else ():
            shutil.rmtree(left, ignore_errors=True)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and then remove the oldest beyond `keep`; in the background, begin to.

        Raises:
            TrainingError: the disk is full or fails; the checkpoints before are untouched.
        """
        self.finish()
        place = self.folder / folder_name(checkpoint.step)
        beside = self.ranks.from_first(lambda: self._beside(place))
        if beside is not None:
            self.pending = _Pending(checkpoint.step, place, beside, self._begun(checkpoint, beside))
            if not self.background:
                self.finish()
        return place

    def is_written(self) -> bool:
        """Whether a checkpoint waits for its manifest, and this process has written all of it."""
        return self.pending is not None and self.pending.job.done()

    def finish(self) -> None:
        """Wait for the checkpoint that is being written, and let it exist.

        Raises:
            TrainingError: the disk is full or fails; the checkpoints before are untouched.
        """
        if self.pending is None:
            return
        pending, self.pending = self.pending, None
        try:
            own, wrong = pending.job.result(), ""
        except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:
            own, wrong = {}, _reason(error)
        found = self.ranks.gather((own, wrong))
        wrong = next((each for _, each in found if each), "")
        files = {name: entry for each, _ in found for name, entry in each.items()}
        self.ranks.from_first(lambda: self._commit(pending, files, wrong))

    def close(self) -> None:
        """Let go of what writes, when it has written.

        A checkpoint that is still pending then exists, unless it takes parts of other processes: they may have stopped.
        """
        if self.worker is not None:
            self.worker.shutdown()
        pending, self.pending = self.pending, None
        if pending is None or not self.ranks.is_first:
            return
        if self.parts is not None or pending.job.exception() is not None:
            shutil.rmtree(pending.beside, ignore_errors=True)
            return
        with suppress(TrainingError):  # what stopped the run is said already
            self._commit(pending, pending.job.result(), "")

    def _beside(self, place: Path) -> Path | None:
        """A folder to write in; None where the checkpoint is there."""
        if place.exists() and not damage(place):
            return None
        beside = self.folder / f".{place.name}-{uuid.uuid4().hex}"
        try:
            beside.mkdir(parents=True)
        except OSError as error:
            raise _unwritten(beside, error) from error
        return beside

    def _begun(self, checkpoint: Checkpoint, beside: Path) -> Future[dict[str, dict[str, Any]]]:
        """The job of this process, under way, or done where it is not for the background."""
        wait: Callable[[], list[str]] = list
        tensors = {RANDOM: checkpoint.random}
        if self.parts is None:
            tensors = {WEIGHTS: checkpoint.weights, OPTIMIZER: checkpoint.optimizer, **tensors}
        if checkpoint.reference:
            tensors[REFERENCE] = checkpoint.reference
        job: Future[dict[str, dict[str, Any]]] = Future()
        try:
            if self.parts is not None:
                whole = {**checkpoint.weights, **checkpoint.optimizer}
                wait = self.parts.begin(beside, whole, background=self.background)
            if not self.ranks.is_first:
                tensors = {}
            elif self.worker is not None:
                tensors = {name: {key: _copied(each) for key, each in part.items()} for name, part in tensors.items()}
            state = {"step": checkpoint.step, **checkpoint.state} if self.ranks.is_first else None
            work = partial(_write, beside, tensors, state, wait)
            if self.worker is not None:
                return self.worker.submit(work)
            job.set_result(work())
        except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:
            job.set_exception(error)
        return job

    def _commit(self, pending: _Pending, files: Mapping[str, Mapping[str, Any]], wrong: str) -> None:
        try:
            if wrong:
                raise OSError(wrong)
            manifest = {"format": WHOLE if self.parts is None else IN_PARTS, "step": pending.step, "files": files}
            write_durably(pending.beside / MANIFEST, json.dumps(manifest, indent=1).encode())
            if pending.place.exists():
                self._put_aside(pending.place)
            pending.beside.rename(pending.place)
            sync_folder(self.folder)
        except OSError as error:
            raise _unwritten(pending.place, error) from error
        finally:
            shutil.rmtree(pending.beside, ignore_errors=True)  # nothing is there once it was renamed
        self._remove_old(pending.place)

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest whole checkpoint, and what is wrong with each newer one, which is put aside.

        Raises:
            TrainingError: there are checkpoints and all are damaged.
        """
        place, damaged = self.ranks.from_first(self._newest_place)
        return (None if place is None else read_checkpoint(place)), damaged

    def _newest_place(self) -> tuple[Path | None, list[str]]:
        damaged: list[str] = []
        for place in reversed(self._places()):
            if wrong := damage(place):
                damaged.append(f"{place.name}: {wrong}")
            else:
                for each in self._places()[len(self._places()) - len(damaged) :]:
                    self._put_aside(each)
                return place, damaged
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
        places = (place for place in self._named() if (place / MANIFEST).exists())
        return sorted(places, key=lambda place: int(place.name.removeprefix("step-")))

    def _named(self) -> list[Path]:
        """Folders that are named as checkpoints are; a copy that somebody put beside them has another name."""
        return [place for place in self.folder.glob("step-*") if _NAME.fullmatch(place.name)]

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
    tensors = {WHOLE: {WEIGHTS, OPTIMIZER}, IN_PARTS: {CONTENTS}}.get(version)
    if tensors is None:
        return f"it has the format {version}, and this program reads {WHOLE} and {IN_PARTS}"
    if not {*tensors, RANDOM, STATE} <= set(files):
        return f"{MANIFEST} does not name the files of a checkpoint"
    for name, (sha256, size) in files.items():
        path = place / name
        try:
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size or file_digest(path) != sha256:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
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


def random_states(ranks: Ranks = ALONE) -> dict[str, Tensor]:
    """The state of every generator that training draws from, of all processes."""
    own = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        device = torch.cuda.current_device()
        own[f"cuda:{device}"] = torch.cuda.get_rng_state(device)
    theirs = ranks.gather(own)
    others = {f"{rank}|{name}": state for rank, each in enumerate(theirs) for name, state in each.items() if rank}
    return {**theirs[0], **others}


def restore_random_states(states: dict[str, Tensor], ranks: Ranks = ALONE) -> None:
    """Put back what `random_states` gave. A process that had no part in it goes on with the numbers that it has."""
    prefix = f"{ranks.index}|" if ranks.index else ""
    for name, state in states.items():
        if name == f"{prefix}cpu":
            torch.set_rng_state(state)
        elif name.startswith(f"{prefix}cuda") and torch.cuda.is_available():
            torch.cuda.set_rng_state(state)


def _write(
    folder: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any] | None,
    wait: Callable[[], list[str]],
) -> dict[str, dict[str, Any]]:
    """Write what is this process's, durably; size and digest of every file of it."""
    for name, each in tensors.items():
        save_file({key: value.detach().cpu().contiguous() for key, value in each.items()}, folder / name)
    names = [*tensors, *wait()]
    if state is not None:
        (folder / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
        names.append(STATE)
    files = {}
    for name in names:
        path = folder / name
        with path.open("rb") as file:
            os.fsync(file.fileno())
        files[name] = {"sha256": file_digest(path), "bytes": path.stat().st_size}
    for inner in {(folder / name).parent for name in names} - {folder}:
        sync_folder(inner)  # the manifest's own writing syncs the outer one
    return files


def _copied(tensor: Tensor) -> Tensor:
    """In the computer's own memory, where training does not move it."""
    return tensor.detach().to("cpu", copy=True)


def _unwritten(place: Path, error: BaseException) -> TrainingError:
    step = int(place.name.strip(".").split("-")[1])
    return TrainingError(
        "train.checkpoint",
        f"the checkpoint of step {step} could not be written: {_reason(error)}",
        where=str(place),
        fix="make room and go on with --resume: the checkpoint before it is whole",
    )


def read_checkpoint(place: Path) -> Checkpoint:
    """A checkpoint whose digests have been verified. Weights in parts stay on the disk until they are asked for."""
    state = json.loads((place / STATE).read_bytes())
    named = json.loads((place / MANIFEST).read_bytes())["files"]

    def tensors(name: str) -> dict[str, Tensor]:
        return load_file(place / name) if name in named else {}

    return Checkpoint(
        step=state.pop("step"),
        weights=tensors(WEIGHTS),
        optimizer=tensors(OPTIMIZER),
        random=tensors(RANDOM),
        state=state,
        reference=tensors(REFERENCE),
        parts=place if CONTENTS in named else None,
    )


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
