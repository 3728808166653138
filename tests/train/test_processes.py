"""Whole runs by several processes: what one would have done, in any number, whatever becomes of one of them."""

import json

import pytest
from planted import config_for, pairs, train
from rank_launch import TESTS, run, torchrun

from prefsmith.train.monitor import read_rows

CONSTANT = {"optim": {"learning_rate": 0.003, "schedule": "constant", "warmup_steps": 0}}


def rows_of(folder):
    return [row for row in read_rows(folder / "metrics.jsonl") if "split" not in row]


@pytest.mark.slow
def test_a_run_goes_on_with_any_number_of_processes(tmp_path):
    """Two with parts of the weights, then one, then four with whole copies, then two with parts again."""
    alone = train(
        config_for(
            tmp_path, pairs(60), **CONSTANT, train={"pairs_per_step": 8, "max_steps": 6}, out=str(tmp_path / "one")
        )
    )
    common = ["train", "--model", tmp_path / "base", "--data", tmp_path / "rows.jsonl", "--out", tmp_path / "many",
              "optim.learning_rate=0.003", "optim.schedule=constant", "optim.warmup_steps=0",
              "train.pairs_per_step=8", "evaluate.samples=0", "model.device=cpu"]  # fmt: skip
    parts = "train.parallel=fsdp"
    starts = ((2, 2, [parts, "checkpoint.background=true"]), (1, 3, []), (4, 5, []), (2, 6, [parts]))
    for processes, last, settings in starts:
        resume = ["--resume"] * (last > 2)
        command = [*common, *settings, *resume, f"train.max_steps={last}"]
        if processes == 4:  # the other way to say it
            done = run("-m", "prefsmith", *command, "--gpus", "4")
        else:
            done = torchrun("-m", "prefsmith", *command, processes=processes)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert len(rows_of(tmp_path / "many")) == last
    for row, expected in zip(rows_of(tmp_path / "many"), rows_of(alone.folder), strict=True):
        for key in ("loss", "grad_norm", "margin", "accuracy", "pairs", "tokens"):
            assert row[key] == pytest.approx(expected[key], rel=2e-5, abs=2e-6), (row["step"], key)


@pytest.fixture(scope="module")
def gone_wrong(tmp_path_factory):
    """How runs of two processes ended, by fault and process."""
    folder = tmp_path_factory.mktemp("faults")
    config_for(folder, pairs(40))
    for names in (["other_rows", "other_settings", "not_finite", "signalled"], ["killed"]):
        done = torchrun(TESTS / "rank_runs.py", folder, *names)
        assert "Traceback" not in done.stderr.partition("torch/distributed/")[0], done.stderr[-2000:]
    return folder


def ended(folder, name, process):
    return json.loads((folder / f"{name}-{process}.json").read_text())


def test_processes_with_other_rows_or_other_settings_are_refused(gone_wrong):
    for process in (0, 1):
        assert ended(gone_wrong, "other_rows", process).startswith(
            "[run.ranks] process 1 has another data than process 0"
        )
        assert "process 1 has another data.eval_fraction than" in ended(gone_wrong, "other_settings", process)
    assert not (gone_wrong / "other_rows" / "run.yaml").exists()


def test_what_stops_one_process_stops_all_with_its_words(gone_wrong):
    own, other = ended(gone_wrong, "not_finite", 1), ended(gone_wrong, "not_finite", 0)
    assert own.startswith("[train.nonfinite]") and "rows.jsonl:" in own
    assert other.startswith("[train.rank] process 1 stopped, and the others with it: [train.nonfinite]")


def test_a_signal_to_one_process_stops_all_behind_the_same_step(gone_wrong):
    for process in (0, 1):
        assert "stopped by a signal after step 2 of 5; it is saved" in ended(gone_wrong, "signalled", process)
    assert (gone_wrong / "signalled" / "checkpoints" / "step-000002" / "MANIFEST.json").is_file()


def test_a_process_that_dies_stops_the_others_and_nothing_is_lost(gone_wrong):
    """The run goes on alone behind its newest checkpoint, as if nothing had happened."""
    assert ended(gone_wrong, "killed", 0).startswith("[train.rank] another process of the run has died")
    settings = {"train": {"pairs_per_step": 8}, "checkpoint": {"every": 1}}
    run = train(config_for(gone_wrong, pairs(40), **settings, out=str(gone_wrong / "killed")), resume=True)
    assert [row["step"] for row in rows_of(run.folder)] == [1, 2, 3, 4, 5]
    alone = train(config_for(gone_wrong, pairs(40), **settings, out=str(gone_wrong / "alone")))
    for row, expected in zip(rows_of(run.folder), rows_of(alone.folder), strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)
