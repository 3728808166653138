"""Two processes against one: every step's gradient, the weights behind it, and what is seen of the step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rank_steps import CASES, walk
from safetensors.torch import load_file

from prefsmith.train.parallel import ALONE

HERE = Path(__file__).parent


def torchrun(*arguments, processes=2, timeout=120):
    """Processes on this machine that find each other on a port that is free."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    return subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    done = torchrun(HERE.parent / "rank_steps.py", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_two_processes_do_what_one_does(by_two, case):
    torch.set_num_threads(1)
    one, two = walk(case, ALONE), load_file(by_two / f"{case.name}.safetensors")
    assert one.keys() == two.keys()
    for name, alone in one.items():
        apart = (alone - two[name]).double().norm() / alone.double().norm()
        assert apart < 1e-6, f"{name}: {apart:.1e}"
