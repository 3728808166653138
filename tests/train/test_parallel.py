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


def test_a_weight_that_no_process_reaches_keeps_no_gradient(by_two):
    """AdamW would move it by its decay where one process leaves it alone."""
    found = load_file(by_two / "sums.safetensors")
    assert {name: each.tolist() for name, each in found.items()} == {"every": [3.0] * 3, "last": [5.0] * 3}
