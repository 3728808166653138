"""`prefsmith train --gpus` and `--nodes`: the torchrun line, and what is refused before anything starts."""

import pytest
from planted import config_for, pairs

from prefsmith.cli.main import main
from prefsmith.errors import ConfigError
from prefsmith.train.launch import torchrun_arguments


def test_one_machine_needs_no_place_to_meet():
    line = torchrun_arguments(["train", "run.yaml", "--resume"], processes=8)
    assert " ".join(line) == (
        "--standalone --nproc-per-node 8 --shutdown-timeout 7200 -m prefsmith train run.yaml --resume"
    )


def test_every_machine_is_given_the_same_line():
    line = torchrun_arguments(["train", "run.yaml"], processes=8, nodes=4, rendezvous="head:29400")
    assert " ".join(line) == (
        "--nnodes 4 --nproc-per-node 8 --shutdown-timeout 7200 --rdzv-backend c10d --rdzv-id prefsmith "
        "--rdzv-endpoint head:29400 -m prefsmith train run.yaml"
    )


def test_machines_without_a_place_to_meet_are_refused():
    with pytest.raises(ConfigError, match="2 machines need a place to meet"):
        torchrun_arguments(["train"], processes=1, nodes=2)


@pytest.fixture
def command(tmp_path):
    config = config_for(tmp_path, pairs(20))
    return ["train", "--model", config.model.path, "--data", config.data.train, "--out", str(tmp_path / "run")]


def test_more_processes_than_gpus_are_refused(command, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([*command, "--gpus", "2"]) == 2
    assert "--gpus 2, and this machine has 0" in capsys.readouterr().err


def test_processes_that_torchrun_started_start_no_others(command, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*command, "--gpus", "2", "model.device=cpu"]) == 2
    assert "torchrun has started the processes already" in capsys.readouterr().err


def test_only_the_first_process_says_what_is_wrong_with_the_line_that_all_are_given(command, capsys, monkeypatch):
    for rank, said in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        assert main([*command, "train.epochs=none"]) == 2
        assert ("train.epochs" in capsys.readouterr().err) == said
