"""Starts the processes of a run, through torchrun, and ends as they end."""

import logging
import os
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError, Interrupted
from prefsmith.train.parallel import PATIENCE

_AGENT = "torch.distributed.elastic"


def torchrun_arguments(
    arguments: Sequence[str], *, processes: int, nodes: int = 1, rendezvous: str | None = None
) -> list[str]:
    """What torchrun is given, for a run on one machine or on several.

    Args:
        arguments: of prefsmith: the command and what stands behind it.
        processes: on every machine.
        nodes: machines; each is given the same line.
        rendezvous: HOST:PORT of one of them, where they meet.

    Raises:
        ConfigError: nobody knows where several machines meet.
    """
    # A signal: the step is finished and a checkpoint saved first, for which torchrun's own 30 seconds may be too few.
    each = ["--nproc-per-node", str(processes), "--shutdown-timeout", str(int(PATIENCE.total_seconds()))]
    if nodes == 1:
        return ["--standalone", *each, "-m", "prefsmith", *arguments]
    if not rendezvous:
        what, fix = f"{nodes} machines need a place to meet", "--rendezvous HOST:PORT, HOST being one of them"
        raise ConfigError("run.ranks", what, where="--nodes", fix=fix)
    meet = ["--rdzv-backend", "c10d", "--rdzv-id", "prefsmith", "--rdzv-endpoint", rendezvous]
    return ["--nnodes", str(nodes), *each, *meet, "-m", "prefsmith", *arguments]


def require_devices(config: RunConfig, processes: int) -> None:
    """As many GPUs on this machine as processes; on the CPU any number, where that is what the settings name.

    Raises:
        ConfigError: there are fewer.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.model.device != "cpu" and processes > there:
        what = f"--gpus {processes}, and this machine has {there}"
        fix = f"--gpus {there}" if there else "model.device=cpu for processes on the CPU; or leave --gpus out"
        raise ConfigError("run.ranks", what, where="--gpus", fix=fix)


@contextmanager
def _threads(processes: int) -> Iterator[None]:
    """The cores of the machine divided over the processes, unless somebody has said how many each may use."""
    given = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = given or str(max(1, (os.cpu_count() or 1) // processes))
    try:
        yield
    finally:
        if given is None:
            del os.environ["OMP_NUM_THREADS"]


@contextmanager
def _own_signals() -> Iterator[None]:
    """torchrun listens to signals, and goes on listening when it is done."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def launch(arguments: Sequence[str], processes: int, say: Callable[[str], None]) -> int:
    """Run torchrun here, and wait.

    Args:
        arguments: of torchrun.
        processes: on this machine.
        say: is given the line, and how the processes ended where they did not end well.

    Returns:
        0, or the exit status of the process that failed first.

    Raises:
        Interrupted: a signal came; the processes were told, and have ended.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    say(f"torchrun {shlex.join(arguments)}")
    logging.getLogger(_AGENT).setLevel(logging.CRITICAL)  # it says at length what the processes said themselves
    try:
        with _threads(processes), _own_signals():
            run(parse_args(list(arguments)))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        ended = failure.exitcode if failure.exitcode >= 0 else 128 - failure.exitcode
        say(f"process {rank} ended with status {ended}, and the others with it")
        return ended
    except (SignalException, KeyboardInterrupt) as error:
        number = int(getattr(error, "sigval", signal.SIGINT))
        what, fix = "stopped by a signal", "--resume goes on behind the newest checkpoint"
        raise Interrupted(number, what, fix=fix) from None
    return 0
