"""A run that stops anywhere and goes on is the run that never stopped, to the bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from planted import config_for, pairs, train
from safetensors.torch import load_file

from prefsmith import run
from prefsmith.errors import ConfigError, DataError, Interrupted, TrainingError
from prefsmith.files import file_digest
from prefsmith.run import fit
from prefsmith.train.checkpoint import CheckpointStore
from prefsmith.train.signals import StopSignals

SECTIONS = {
    "dpo": {},
    "kto": {"loss": {"name": "kto"}},
    "lora-dropout": {"adapter": {"kind": "lora", "dropout": 0.3}},
    "soft": {"reference": {"kind": "ema", "alpha": 0.5, "every": 2}},
    "hard-lora": {"reference": {"kind": "ema", "alpha": 1.0, "every": 2}, "adapter": {"kind": "lora"}},
}


def config(folder, name="dpo", **sections):
    """Two epochs of 5 steps, each with a short last one; an evaluation in between."""
    folder.mkdir(exist_ok=True)
    steps = {"train": {"epochs": 2, "pairs_per_step": 16}, "checkpoint": {"every": 3}, "evaluate": {"every": 4}}
    return config_for(folder, pairs(75, seed=3), **{**steps, **SECTIONS[name], **sections})


def weights(run_folder):
    place = next(iter((Path(run_folder) / "model").glob("*.safetensors")))
    return file_digest(place)


def rows(run_folder):
    text = (Path(run_folder) / "metrics.jsonl").read_text()
    moving = ("seconds", "peak_memory_bytes")
    return [{k: v for k, v in json.loads(line).items() if k not in moving} for line in text.splitlines()]


def stop_after(step, by):
    """A listener that stops the run when it reports the step."""

    def say(line):
        if line.startswith(f"step {step}/"):
            by()

    return say


def raise_signal():
    os.kill(os.getpid(), signal.SIGTERM)


def crash():
    raise RuntimeError("pulled the plug")


class Straight(dict):
    """Weights and rows of the run that never stopped, by name; each is trained when it is first asked for."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, name):
        settings = config(self.folder / name, name)
        train(settings)
        self[name] = (weights(settings.out), rows(settings.out))
        return self[name]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return Straight(tmp_path_factory.mktemp("straight"))


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("name", SECTIONS)
def test_a_signal_at_any_step_changes_nothing(tmp_path, straight, name, step):
    settings = config(tmp_path / "run", name)
    with pytest.raises(Interrupted) as caught:
        fit(settings, say=stop_after(step, raise_signal))
    assert caught.value.exit_code == 143 and f"after step {step}" in caught.value.what
    train(settings, resume=True)
    assert (weights(settings.out), rows(settings.out)) == straight[name]


def raise_at_evaluation(step):
    def watch(row, _steps):
        if row.get("split") == "eval" and row["step"] == step:
            raise_signal()

    return watch


@pytest.mark.parametrize("step", [4, 10])
def test_a_signal_during_an_evaluation_stops_behind_it(tmp_path, straight, step):
    """Also during the last one: whoever asks a run to stop does not want its samples and its export."""
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted, match=f"after step {step} of 10; it is saved"):
        fit(settings, say=lambda line: None, watch=raise_at_evaluation(step))
    assert not (Path(settings.out) / "model").exists()
    train(settings, resume=True)
    assert (weights(settings.out), rows(settings.out)) == straight["dpo"]


@pytest.mark.parametrize("step", [4, 10])
def test_an_evaluation_is_left_at_a_signal_and_done_when_the_run_goes_on(tmp_path, straight, monkeypatch, step):
    """It may take longer than whoever stops us waits; what it has drawn by then is not drawn."""
    settings, finished, held_out = config(tmp_path / "run", "lora-dropout"), [], run.held_out

    def long(*args, **more):
        if len(finished) == [4, 8, 10].index(step):
            torch.rand(3)
            raise_signal()
        row = held_out(*args, **more)
        finished.append(row)
        return row

    with monkeypatch.context() as patch:
        patch.setattr(run, "held_out", long)
        with pytest.raises(Interrupted, match=f"after step {step} of 10; it is saved"):
            train(settings)
    assert len(finished) == [4, 8, 10].index(step)
    train(settings, resume=True)
    assert (weights(settings.out), rows(settings.out)) == straight["lora-dropout"]


@pytest.mark.parametrize("background", [False, True])
def test_a_signal_during_the_last_save_stops_behind_it(tmp_path, straight, monkeypatch, background):
    settings = config(tmp_path / "run", checkpoint={"every": 3, "background": background})
    save, steps = CheckpointStore.save, []

    def signalled(self, checkpoint):
        place = save(self, checkpoint)
        steps.append(checkpoint.step)
        if steps == [3, 6, 9, 10]:
            raise_signal()
        return place

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", signalled)
        with pytest.raises(Interrupted, match="after step 10 of 10"):
            train(settings)
    train(settings, resume=True)
    assert (weights(settings.out), rows(settings.out)) == straight["dpo"]


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_a_crash_between_checkpoints_changes_nothing(tmp_path, straight, step):
    settings = config(tmp_path / "run")
    with pytest.raises(RuntimeError, match="pulled the plug"):
        fit(settings, say=stop_after(step, crash))
    assert "pulled the plug" in (Path(settings.out) / "crash.log").read_text()
    train(settings, resume=True)
    assert (weights(settings.out), rows(settings.out)) == straight["dpo"]


def test_a_finished_run_can_be_resumed_and_stays_what_it_is(tmp_path, straight):
    settings = config(tmp_path / "run")
    train(settings)
    again = train(settings, resume=True)
    assert (weights(settings.out), rows(settings.out)) == straight["dpo"]
    assert again.steps == 10 and again.evaluation["step"] == 10


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(tmp_path, straight):
    settings = config(tmp_path / "run", checkpoint={"every": 1, "keep": 3})
    with pytest.raises(Interrupted):
        fit(settings, say=stop_after(6, raise_signal))
    place = Path(settings.out) / "checkpoints" / "step-000006" / "weights.safetensors"
    place.write_bytes(place.read_bytes()[:-1])
    lines = []
    fit(settings, resume=True, say=lines.append)
    assert any("warning" in line and "step-000006: weights.safetensors" in line for line in lines)
    assert "resuming after step 5" in lines
    assert (weights(settings.out), rows(settings.out)) == straight["dpo"]


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"loss": {"beta": 0.2}}, "loss.beta"),
        ({"optim": {"learning_rate": 0.02}}, "optim.learning_rate"),
        ({"train": {"epochs": 2, "pairs_per_step": 8}}, "train.pairs_per_step"),
        ({"train": {"epochs": 3, "pairs_per_step": 16}}, "train.epochs"),
        ({"train": {"epochs": 2, "pairs_per_step": 16, "seed": 1}}, "train.seed"),
        ({"data": {"max_length": 20}}, "data.max_length"),
    ],
)
def test_what_is_computed_cannot_change_on_resumption(tmp_path, sections, key):
    with pytest.raises(Interrupted):
        fit(config(tmp_path / "run"), say=stop_after(2, raise_signal))
    with pytest.raises(ConfigError, match=rf"{key} is not what this run began with"):
        train(config(tmp_path / "run", **sections), resume=True)


def test_other_rhythms_may_change_and_more_steps_where_the_schedule_is_constant(tmp_path):
    constant = {"optim": {"schedule": "constant"}}
    train(config(tmp_path / "run", **constant, train={"epochs": 1, "pairs_per_step": 16}))
    longer = config(tmp_path / "run", **constant, checkpoint={"every": 2, "keep": 4}, evaluate={"every": 5})
    assert train(longer, resume=True).steps == 10
    straight = config(tmp_path / "straight", **constant)
    train(straight)
    assert weights(longer.out) == weights(straight.out)


def test_edited_rows_are_refused(tmp_path):
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted):
        fit(settings, say=stop_after(2, raise_signal))
    path = Path(settings.data.train)
    path.write_text(path.read_text().replace("apple", "berry", 1))
    with pytest.raises((ConfigError, DataError), match=r"the data is not what this run began with|identical"):
        train(settings, resume=True)


def test_another_starting_model_is_refused(tmp_path):
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted):
        fit(settings, say=stop_after(2, raise_signal))
    place = Path(settings.model.path) / "model.safetensors"
    data = bytearray(place.read_bytes())
    data[-5] ^= 1
    place.write_bytes(bytes(data))
    with pytest.raises(ConfigError, match="the model is not what this run began with"):
        train(settings, resume=True)


def test_a_folder_with_another_run_is_refused(tmp_path):
    settings = config(tmp_path / "run")
    train(settings)
    with pytest.raises(ConfigError, match="holds a run") as caught:
        train(settings)
    assert caught.value.code == "run.exists" and "--resume" in caught.value.fix


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, monkeypatch):
    settings = config(tmp_path / "run")
    real = os.fsync

    def fsync(handle):
        if "step-000006" in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(TrainingError, match="step 6 could not be written: No space left") as caught:
        train(settings)
    assert caught.value.exit_code == 4
    monkeypatch.undo()
    lines = []
    fit(settings, resume=True, say=lines.append)
    assert "resuming after step 3" in lines


def test_the_second_signal_stops_at_once(tmp_path):
    """SIGINT twice: the second is an ordinary Ctrl-C, and the run can still be resumed."""
    settings = config(tmp_path / "run")

    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(settings, say=stop_after(4, twice))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert train(settings, resume=True).steps == 10


def test_another_configuration_of_the_same_weights_is_refused(tmp_path):
    """rope_theta is no weight, and changes everything."""
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted):
        fit(settings, say=stop_after(2, raise_signal))
    place = Path(settings.model.path) / "config.json"
    place.write_text(place.read_text().replace("10000.0", "500.0"))
    with pytest.raises(ConfigError, match="the model is not what this run began with"):
        train(settings, resume=True)


def test_a_resumed_run_takes_the_threads_it_began_with(tmp_path, straight):
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted):
        fit(settings, say=stop_after(2, raise_signal))
    torch.set_num_threads(2)
    try:
        train(settings, resume=True)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)
    assert weights(settings.out) == straight["dpo"][0]


def test_a_refused_resumption_leaves_the_record_alone(tmp_path):
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted):
        fit(settings, say=stop_after(2, raise_signal))
    before = {name: (Path(settings.out) / name).read_bytes() for name in ("data.json", "environment.json", "run.yaml")}
    path = Path(settings.data.train)
    path.write_text(path.read_text().replace('"prompt": "w', '"prompt": "w7 w', 1))
    with pytest.raises(ConfigError, match="the data is not"):
        train(settings, resume=True)
    assert before == {name: (Path(settings.out) / name).read_bytes() for name in before}


def test_lost_metrics_do_not_cost_the_checkpoint(tmp_path, straight):
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted):
        fit(settings, say=stop_after(4, raise_signal))
    (Path(settings.out) / "metrics.jsonl").unlink()
    lines = []
    fit(settings, resume=True, say=lines.append)
    assert any("metrics.jsonl has lost rows" in line for line in lines)
    assert weights(settings.out) == straight["dpo"][0]


@pytest.mark.parametrize("model", ["given", "none"])
def test_to_resume_a_run_one_names_its_folder(tmp_path, model):
    settings = config(tmp_path / "run").model_copy(update={"out": None})
    if model == "none":
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"path": ""})})
    with pytest.raises(ConfigError, match="none is named") as caught:
        train(settings, resume=True)
    assert caught.value.code == "run.folder"


def test_a_signal_that_was_ignored_stays_ignored():
    """Under nohup a run goes on when its terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGHUP)
        assert signals.caught is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_record_says_what_was_done(tmp_path):
    settings = config(tmp_path / "run")
    run = train(settings)
    folder = Path(settings.out)
    assert {each.name for each in folder.iterdir()} == {
        "run.yaml", "environment.json", "data.json", "model.json", "outcome.json", "metrics.jsonl", "samples.jsonl",
        "checkpoints", "model", "report.html",
    }  # fmt: skip
    assert yaml.safe_load((folder / "run.yaml").read_text())["train"]["pairs_per_step"] == 16
    data = json.loads((folder / "data.json").read_text())
    assert data["train"]["rows"] == 75 == data["train_encoded"]["groups"] + data["eval_encoded"]["groups"]
    assert data["train"]["sha256"] == file_digest(Path(settings.data.train))
    assert json.loads((folder / "environment.json").read_text())["versions"]["torch"]
    steps = [row["step"] for row in run.metrics if "split" not in row]
    assert steps == list(range(1, 11))
    assert [row["step"] for row in run.metrics if row.get("split") == "eval"] == [4, 8, 10]
    stored = load_file(folder / "checkpoints" / "step-000010" / "weights.safetensors")
    exported = load_file(folder / "model" / "model.safetensors")
    assert all((exported[name] == stored[name]).all() for name in exported)


def test_killed_at_random_moments_it_ends_with_the_same_weights(tmp_path):
    """The short form; `python tests/train/kill_trials.py 10` is the long one."""
    script = Path(__file__).with_name("kill_trials.py")
    done = subprocess.run(
        [sys.executable, str(script), "1", str(tmp_path)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 ended with the same weights" in done.stdout
