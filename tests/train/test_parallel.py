"""Two processes against one: every step's gradient, the weights behind it, and what is seen of the step."""

import pytest
import torch
from rank_launch import TESTS, torchrun
from rank_steps import CASES, walk
from safetensors.torch import load_file

from prefsmith.train.parallel import ALONE


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    done = torchrun(TESTS / "rank_steps.py", folder)
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
