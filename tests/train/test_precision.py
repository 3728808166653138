"""Runs in bfloat16: where they start, what they keep, and resumption to the bit."""

import json
import math
from pathlib import Path

import pytest
import torch
from planted import config_for, pairs, train
from safetensors.torch import load_file

from prefsmith.errors import TrainingError
from prefsmith.files import file_digest
from prefsmith.train.monitor import require_same_start

SECTIONS = {
    "full": {},
    "lora": {"adapter": {"kind": "lora"}},
    "moving": {"reference": {"kind": "ema", "every": 2}},
    "kto": {"loss": {"name": "kto"}},
}


def config(folder, name, **steps):
    folder.mkdir(exist_ok=True)
    steps = {"pairs_per_step": 16, "max_steps": 4, "precision": "bf16", **steps}
    return config_for(folder, pairs(75, seed=3), train=steps, checkpoint={"every": 2}, **SECTIONS[name])


def rows(folder):
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k in ("step", "loss", "grad_norm")} for line in lines]


def weights(folder):
    return next(iter((Path(folder) / "model").glob("*.safetensors")))


@pytest.mark.parametrize("name", ["full", "lora", "moving"])
def test_a_run_starts_at_log_2_and_follows_that_in_float32(tmp_path, name):
    low, whole = config(tmp_path / "low", name), config(tmp_path / "whole", name, precision="fp32")
    train(low)
    train(whole)
    assert rows(low.out)[0]["loss"] == pytest.approx(math.log(2), abs=1e-12)
    losses = [[row["loss"] for row in rows(each.out)] for each in (low, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0][1:] != losses[1][1:]


@pytest.mark.parametrize("name", ["moving"])
def test_what_is_kept_is_float32(tmp_path, name):
    settings = config(tmp_path / "run", name)
    train(settings)
    checkpoint = Path(settings.out) / "checkpoints/step-000004"
    files = [weights(settings.out), *checkpoint.glob("*.safetensors")]
    assert len(files) >= 3
    kept = {name: each for file in files for name, each in load_file(file).items() if each.is_floating_point()}
    assert {each.dtype for each in kept.values()} == {torch.float32}


@pytest.mark.parametrize("name", ["lora", "kto"])
def test_resumption_is_exact(tmp_path, name):
    straight, stopped = config(tmp_path / "straight", name), config(tmp_path / "stopped", name)
    train(straight)

    def stop(row, _steps):
        if row["step"] == 3:
            raise TrainingError("train.nonfinite", "stopped by hand")

    with pytest.raises(TrainingError):
        train(stopped, watch=stop)
    train(stopped, resume=True)
    assert rows(stopped.out) == rows(straight.out)
    assert file_digest(weights(stopped.out)) == file_digest(weights(straight.out))


def test_the_start_may_differ_by_rounding_and_no_more():
    start = torch.zeros(3, dtype=torch.float64)
    require_same_start(start, start + 0.2, where="", fix="", precision="bf16")
    for precision, gap in (("fp32", 0.2), ("bf16", 1.0)):
        with pytest.raises(TrainingError, match="before the first step"):
            require_same_start(start, start + gap, where="", fix="", precision=precision)
