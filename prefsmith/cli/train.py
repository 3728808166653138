"""`prefsmith train`."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import Parameter

from prefsmith.catalogue import settings_help
from prefsmith.cli.live import display
from prefsmith.cli.terminal import say
from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.settings import parse_settings

HELP = f"""Train a policy on a preference file, and write everything about it to a folder.

For example:

    prefsmith train --model MODEL --data pairs.jsonl --out runs/first
    prefsmith train run.yaml train.epochs=2 --loss.beta 0.2
    prefsmith train --out runs/first --resume
    prefsmith train run.yaml --gpus 8

Settings come from a YAML file, from a.b=v or --a.b v, and from the shortcuts --model, --data and --out. --resume goes \
on behind the newest whole checkpoint of the folder, to the bit as if the run had never stopped.

--gpus starts a process for each GPU of this machine, --nodes on several machines, each of which is given the same \
command; the torchrun line that does it is printed. torchrun -m prefsmith train ... does the same, but without its \
--shutdown-timeout a signal leaves 30 seconds for the last checkpoint. A run may go on with another number of processes.

Exit status: 0 done, 1 a bug of ours, 2 a wrong setting, 3 wrong data, 4 the run stopped itself, 129, 130 or 143 a \
signal.

{settings_help()}"""


def train(
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="A YAML file, then settings.")],
    resume: Annotated[bool, Parameter(negative=(), help="Go on behind the newest checkpoint.")] = False,
    gpus: Annotated[int | None, Parameter(help="Processes on this machine, one for each GPU.")] = None,
    nodes: Annotated[int, Parameter(help="Machines, each with as many processes.")] = 1,
    rendezvous: Annotated[str | None, Parameter(help="HOST:PORT of one of the machines, where they meet.")] = None,
) -> int | None:
    """Train a policy on a preference file."""
    try:
        config = parse_settings(settings, resume=resume)
    except ConfigError as error:
        error.said_elsewhere = os.environ.get("RANK", "0") != "0"  # torchrun gives every process the same line
        raise
    if gpus is not None or nodes > 1:
        return _start(config, settings, resume=resume, gpus=gpus or 1, nodes=nodes, rendezvous=rendezvous)
    with display() as shown:
        with _libraries_stay():
            from prefsmith.run import fit  # inside: --help and wrong settings answer without torch
        fit(config, resume=resume, say=shown.say, watch=shown.watch)
    return None


def _start(
    config: RunConfig, settings: tuple[str, ...], *, resume: bool, gpus: int, nodes: int, rendezvous: str | None
) -> int:
    """The same command by several processes."""
    if "WORLD_SIZE" in os.environ:
        what, fix = "torchrun has started the processes already", "leave --gpus and --nodes out"
        raise ConfigError("run.ranks", what, where="--gpus", fix=fix)
    from prefsmith.train.launch import launch, require_devices, torchrun_arguments  # inside: as above

    require_devices(config, gpus)
    command = ["train", *settings, *(["--resume"] if resume else [])]
    return launch(torchrun_arguments(command, processes=gpus, nodes=nodes, rendezvous=rendezvous), gpus, say)


@contextmanager
def _libraries_stay() -> Iterator[None]:
    """What is imported first makes a million objects that never go: nothing looks for garbage among them."""
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
