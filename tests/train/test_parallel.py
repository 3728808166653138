"""Two processes against one: every step's gradient, the weights behind it, and what is seen of the step."""

import pytest
import torch
import torch.distributed as dist
from rank_launch import TESTS, torchrun
from rank_steps import CASES, walk
from safetensors.torch import load_file

from prefsmith.errors import ConfigError, TrainingError
from prefsmith.train.parallel import ALONE, Ranks, joined


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


class Gone(dist.Store):
    """A store whose machine is off."""

    def answer(self, *_):
        raise dist.DistNetworkError("Broken pipe")

    check = get = compare_set = answer


def test_where_nobody_keeps_word_a_process_that_dies_is_still_told():
    with (
        pytest.raises(TrainingError, match="another process of the run has died") as caught,
        Ranks(1, 2, store=Gone()).together(),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer")
    assert caught.value.code == "train.rank"


def test_where_nobody_keeps_word_a_process_still_says_its_own():
    own = TrainingError("train.nonfinite", "the policy is not finite")
    with pytest.raises(TrainingError) as caught, Ranks(1, 2, store=Gone()).together():
        raise own
    assert caught.value is own and not own.said_elsewhere


@pytest.fixture
def second_of_two(monkeypatch):
    """The second process on a machine with one GPU; what it does to join."""
    done = []
    for name, value in (("LOCAL_RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.set_device", done.append)
    monkeypatch.setattr("prefsmith.train.parallel.rendezvous", lambda *_, **__: iter([(dist.HashStore(), 1, 2)]))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **_: done.append(backend))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    return done


def test_processes_on_the_cpu_need_no_gpu_where_there_are_some(second_of_two):
    with joined(device="cpu") as ranks:
        assert (ranks.index, ranks.count) == (1, 2)
    assert second_of_two == ["gloo"]


def test_more_processes_than_gpus_are_refused_where_they_are_to_be_used(second_of_two):
    with pytest.raises(ConfigError, match="there are 1 GPUs for process 2"), joined():
        pass
    assert second_of_two == []
