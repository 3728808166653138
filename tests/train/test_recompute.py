"""Runs with activation checkpointing: the run without it, and resumption to the bit."""

import json
from pathlib import Path

import pytest
from planted import config_for, pairs, train

from prefsmith.errors import TrainingError
from prefsmith.files import file_digest
from prefsmith.run import fit

ADAPTERS = {"full": {}, "lora-dropout": {"adapter": {"kind": "lora", "dropout": 0.3}}}
AGAIN = {"activation_checkpointing": True}


def config(folder, name, **train):
    folder.mkdir(exist_ok=True)
    steps = {"pairs_per_step": 16, "max_steps": 5, "epochs": 2, **train}
    return config_for(folder, pairs(75, seed=3), train=steps, checkpoint={"every": 2}, **ADAPTERS[name])


def weights(folder):
    return file_digest(next(iter((Path(folder) / "model").glob("*.safetensors"))))


def rows(folder):
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k in ("step", "loss", "grad_norm")} for line in lines]


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_run_is_the_one_without(tmp_path, name):
    plain, again = config(tmp_path / "plain", name), config(tmp_path / "again", name, **AGAIN)
    said = []
    train(plain)
    fit(again, say=said.append)
    assert any("layers are run again in backward" in line for line in said)
    for one, other in zip(rows(plain.out), rows(again.out), strict=True):
        assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("name", ADAPTERS)
def test_resumption_is_exact(tmp_path, name):
    straight, stopped = config(tmp_path / "straight", name, **AGAIN), config(tmp_path / "stopped", name, **AGAIN)
    train(straight)

    def stop(row, _steps):
        if row["step"] == 3:
            raise TrainingError("train.nonfinite", "stopped by hand")

    with pytest.raises(TrainingError):
        train(stopped, watch=stop)
    train(stopped, resume=True)
    assert rows(stopped.out) == rows(straight.out)
    assert weights(stopped.out) == weights(straight.out)
