"""Starts several processes on this machine."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def torchrun(*arguments: object, processes: int = 2, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """A program or a module by so many processes, which find each other on a port that is free."""
    given = ["--standalone", "--nproc-per-node", processes, *arguments]
    return run("-m", "torch.distributed.run", *given, timeout=timeout)


def run(*arguments: object, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
