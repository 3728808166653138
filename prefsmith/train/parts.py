"""Tensors that processes have parts of, on the disk: each process writes its own, and any number of them read.

The files are those of torch.distributed.checkpoint. Its table of contents (`.metadata`) is a pickle: it is read only
behind the check of a checkpoint's digests.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import BytesStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save
from torch.distributed.tensor import DTensor, distribute_tensor

from prefsmith.errors import ConfigError
from prefsmith.train.parallel import Ranks

FOLDER = "parts"
CONTENTS = f"{FOLDER}/.metadata"


class PartsWriter:
    """Writes for all processes at once; every one of them must ask.

    Args:
        ranks: the processes.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        # Of their own, so that a save in the background does not come between what a step says.
        self.group = cast("dist.ProcessGroup", dist.new_group(backend="gloo"))

    def begin(self, folder: Path, tensors: Mapping[str, Tensor], *, background: bool) -> Callable[[], list[str]]:
        """Start to write below `folder`; the tensors may move as soon as this returns.

        Returns:
            Waits until this process has written its files, and names them, relative to `folder`.
        """
        place, contents = folder / FOLDER, cast("dict[str, Any]", dict(tensors))
        if background:
            future = cast("Future[object]", async_save(contents, checkpoint_id=place, process_group=self.group))
        else:
            save(contents, checkpoint_id=place, process_group=self.group)
            future = None

        def wait() -> list[str]:
            if future is not None:
                future.result()
            own = [f"{FOLDER}/{each.name}" for each in sorted(place.glob(f"__{self.ranks.index}_*"))]
            return [*own, CONTENTS] if self.ranks.is_first else own

        return wait


def names_in(folder: Path) -> list[str]:
    """What was written below the folder."""
    return list(FileSystemReader(folder / FOLDER).read_metadata().state_dict_metadata)


def read_parts(folder: Path, into: Mapping[str, Tensor]) -> None:
    """Fill tensors, whole ones or parts, with what was written, whatever number of processes wrote it.

    Raises:
        ConfigError: the names or shapes are others.
    """
    reader = FileSystemReader(folder / FOLDER)
    known = reader.read_metadata().state_dict_metadata
    for name, tensor in into.items():
        entry = known.get(name)
        there = None if entry is None or isinstance(entry, BytesStorageMetadata) else entry.size
        if there != tensor.shape:
            what = f"{name} is {_shape(tensor.shape)} here and {_shape(there)} in the checkpoint"
            fix = "resume with the settings that the run began with, or start anew in another folder"
            raise ConfigError("run.changed", what, where=str(folder), fix=fix)
    try:
        load(cast("dict[str, Any]", dict(into)), storage_reader=reader, no_dist=not dist.is_initialized())
    except CheckpointException as error:
        what = f"the checkpoint cannot be read: {next(iter(error.failures.values()))[0]}"
        raise ConfigError("run.changed", what, where=str(folder), fix="look at the disk; resume then") from error


def _shape(shape: tuple[int, ...] | None) -> str:
    return "not there" if shape is None else "x".join(map(str, shape)) or "a number"


def put(tensor: Tensor, value: Tensor) -> None:
    """Set a tensor, whole or this process's part of it, from the whole value, which every process has."""
    if isinstance(tensor, DTensor):
        value = distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements, src_data_rank=None)
    tensor.data.copy_(value)
