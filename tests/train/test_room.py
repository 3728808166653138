"""Memory that runs out: which rows it ran out on, what would fit, and that nothing is lost."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from planted import WORDS, config_for, pairs, train
from tiny import encoded_groups, save_model, write_rows

from prefsmith.errors import TrainingError
from prefsmith.files import file_digest
from prefsmith.model.score import Scorer
from prefsmith.train.room import OutOfRoom, budget_that_fits, is_out_of_memory, room_for

CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError(CPU),
    "python": MemoryError(),
}


def config(folder, **sections):
    steps = {"pairs_per_step": 16, "max_steps": 4, "token_budget": 200}
    sections["train"] = {**steps, **sections.get("train", {})}
    return config_for(folder, pairs(75, seed=3), checkpoint={"every": 1}, **sections)


def rows(folder):
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k in ("step", "loss", "grad_norm")} for line in lines]


def newest(folder):
    return sorted((Path(folder) / "checkpoints").iterdir())[-1]


def small(monkeypatch, most, error, *, method="accumulate", after=0):
    """A machine on which a batch of more than `most` tokens has no room, once `after` larger ones had."""
    whole, calls = getattr(Scorer, method), []

    def tight(self, batch, *arguments, **settings):
        if len(batch.ids) > most:
            calls.append(1)
            if len(calls) > after:
                raise error
        return whole(self, batch, *arguments, **settings)

    monkeypatch.setattr(Scorer, method, tight)


@pytest.mark.parametrize("kind", ERRORS)
def test_the_run_ends_with_status_4_and_goes_on_with_the_budget_it_names(tmp_path, monkeypatch, kind):
    settings = config(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(TrainingError) as caught:
        small(patch, 60, ERRORS[kind], after=2)
        train(settings)
    error = caught.value
    assert (error.code, error.exit_code) == ("train.memory", 4)
    step = int(error.what.split("in step ")[1].split(",")[0])
    assert step > 1
    assert "rows.jsonl:" in error.where
    tokens = int(error.what.split("micro-batch of ")[1].split()[0])
    fits = int(error.fix.split("train.token_budget=")[1].split(":")[0])
    assert fits <= 60 < tokens <= 200
    assert newest(settings.out).name == f"step-{step - 1:06}"
    assert (newest(settings.out) / "MANIFEST.json").is_file()
    smaller = settings.model_copy(update={"train": settings.train.model_copy(update={"token_budget": fits})})
    with monkeypatch.context() as patch:
        small(patch, 60, ERRORS[kind])
        train(smaller, resume=True)
    (tmp_path / "straight").mkdir()
    straight = config(tmp_path / "straight")
    train(straight)
    for one, other in zip(rows(settings.out), rows(straight.out), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_a_row_that_is_too_much_alone_has_no_budget(tmp_path, monkeypatch):
    settings = config(tmp_path)
    small(monkeypatch, 1, ERRORS["cuda"])
    with pytest.raises(TrainingError, match="a row alone is too much") as caught:
        train(settings)
    assert "token_budget" not in caught.value.fix and "activation_checkpointing" in caught.value.fix


def test_checkpointing_may_be_switched_on_to_go_on(tmp_path, monkeypatch):
    settings = config(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(TrainingError):
        small(patch, 60, ERRORS["cpu"], after=2)
        train(settings)
    again = settings.model_copy(update={"train": settings.train.model_copy(update={"activation_checkpointing": True})})
    train(again, resume=True)
    assert [row["step"] for row in rows(settings.out)][:4] == [1, 2, 3, 4]


@pytest.mark.parametrize("loss", ["kto", "aot"])
def test_losses_of_two_passes_name_the_budget_of_the_pass_that_failed(tmp_path, monkeypatch, loss):
    settings = config(tmp_path, loss={"name": loss})
    small(monkeypatch, 120, ERRORS["cpu"], method="token_scores")
    with pytest.raises(TrainingError, match="in step 1, on a micro-batch") as caught:
        train(settings)
    fits = int(caught.value.fix.split("train.token_budget=")[1].split(":")[0])
    assert 60 <= fits < 120 + 10


def test_held_out_rows_run_out_too(tmp_path, monkeypatch):
    settings = config(tmp_path, data={"eval_fraction": 0.3})
    small(monkeypatch, 60, ERRORS["cpu"], method="token_scores")
    with pytest.raises(TrainingError, match="on held-out rows after step 4") as caught:
        train(settings)
    assert "train.token_budget=" in caught.value.fix
    assert newest(settings.out).name == "step-000003"


def test_memory_that_runs_out_elsewhere_is_no_fault_of_ours(tmp_path, monkeypatch):
    settings = config(tmp_path)
    monkeypatch.setattr("prefsmith.run.make_models", lambda *_, **__: (_ for _ in ()).throw(ERRORS["cpu"]))
    with pytest.raises(TrainingError, match="can't allocate memory") as caught:
        train(settings)
    assert caught.value.code == "train.memory"
    assert not (Path(settings.out) / "crash.log").exists()


def test_other_errors_stay_what_they_are(tmp_path, monkeypatch):
    settings = config(tmp_path)
    small(monkeypatch, 1, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(settings)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_what_failed_is_let_go_before_the_next_try():
    """Otherwise the second try would have less room than the first."""
    held = []

    class Large:
        def __init__(self):
            held.append(self)

        def __del__(self):
            gone.append(1)

    gone = []

    def attempt(_groups, _budget):
        tensor = Large()
        held.clear()
        assert len(gone) == attempt.calls
        attempt.calls += 1
        if attempt.calls < 3:
            raise MemoryError(str(id(tensor)))

    attempt.calls = 0
    groups = encoded_groups(16, prompt=(4, 4), answer=(3, 3))
    assert budget_that_fits(groups, attempt) == 20
    assert attempt.calls == 3


def test_the_tries_are_halves_down_to_the_longest_row():
    groups, tried = encoded_groups(8, prompt=(4, 4), answer=(3, 3)), []

    def attempt(_groups, budget):
        tried.append(budget)
        raise MemoryError

    assert budget_that_fits(groups, attempt) is None
    assert tried == [40, 20, 10]
    assert budget_that_fits(groups[:1], attempt) is None and len(tried) == 3


def test_the_rows_are_those_of_the_micro_batch():
    groups = encoded_groups(3)
    with pytest.raises(OutOfRoom) as caught, room_for(groups[1:]):
        raise MemoryError
    assert [each.group.source for each in caught.value.groups] == ["rows:2", "rows:3"]


LIMITED = """
import resource, sys
from prefsmith.cli.main import main
from prefsmith.train.loop import Trainer

whole = Trainer._accumulate
def limited(self, step):
    if step.number == 2:
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 25 * 2**20, resource.RLIM_INFINITY))
    return whole(self, step)

Trainer._accumulate = limited
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS holds on Linux alone")
def test_a_process_without_room_ends_with_status_4_and_goes_on(tmp_path):
    model = save_model(tmp_path / "base", WORDS, max_position_embeddings=2048, num_hidden_layers=3)
    rows = [{**row, **{side: row[side] * 60 for side in ("chosen", "rejected")}} for row in pairs(32)]
    data, out = write_rows(tmp_path / "long.jsonl", rows), tmp_path / "run"
    settings = [f"model.path={model}", f"data.train={data}", f"out={out}", "checkpoint.every=1", "evaluate.samples=0"]
    settings += ["train.token_budget=100000", "train.pairs_per_step=16", "train.max_steps=2", "data.eval_fraction=0"]
    command = [sys.executable, "-c", LIMITED, "train", *settings]
    # Tensors are mapped one by one, so that what step 1 took is not at hand in step 2.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert ended.returncode == 4, ended.stderr
    assert "[train.memory] memory ran out in step 2, on a micro-batch of " in ended.stderr
    fix = re.search(r"--resume (train.token_budget=\d+): these rows were tried with it", ended.stderr)
    kept = file_digest(out / "checkpoints/step-000001/weights.safetensors")
    resumed = [sys.executable, "-m", "prefsmith", "train", "--out", str(out), "--resume", fix[1]]
    done = subprocess.run(resumed, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert file_digest(out / "checkpoints/step-000001/weights.safetensors") == kept
    assert (out / "model").is_dir()
