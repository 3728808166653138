"""What is read from a run's folder, whatever state the folder is in."""

import os
import subprocess
import sys
import time

import pytest

from prefsmith.errors import ConfigError
from prefsmith.report import read_run
from prefsmith.report.run import flat
from prefsmith.report.state import lock_is_held
from prefsmith.train.checkpoint import lock

GOING = {"outcome.json": None}


def test_a_finished_run_is_read_whole(record):
    run = read_run(record())
    assert (run.state, run.name, len(run.train), len(run.evaluations), len(run.samples)) == (
        "finished",
        "first",
        30,
        3,
        12,
    )
    assert run.config.losses[0].settings == {"beta": 0.2} and run.settings["data.max_length"] == 256
    assert run.refused.count == 2 and run.refused.codes == {"data.empty": 1, "data.identical": 1}
    assert run.gaps == () and run.evidence is None and not run.adapter


def test_a_run_that_is_going_on_is_told_by_its_lock_and_not_disturbed(record):
    folder = record(changes=GOING)
    with lock(folder):
        before = (folder / "LOCK").read_bytes()
        assert read_run(folder).state == "going on"
        assert (folder / "LOCK").read_bytes() == before
        with pytest.raises(ConfigError, match=r"run\.locked"), lock(folder):
            pass  # it is held as it was
    assert read_run(folder).state == "stopped"


def test_a_run_that_is_resumed_after_its_end_is_going_on(record):
    folder = record(changes={"environment.json": {"started": "2026-01-02T11:00:00+0000"}})
    with lock(folder):
        assert read_run(folder).state == "going on"
    assert read_run(folder).state == "stopped"


def test_a_run_that_has_just_ended_is_finished_while_it_still_holds_the_lock(record):
    folder = record()
    with lock(folder):
        assert read_run(folder).state == "finished"


def test_a_lock_that_a_killed_process_left_behind_is_none(record):
    folder = record(changes=GOING)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (folder / "LOCK").write_text(f"process {gone.pid} on {os.uname().nodename}\n")
    assert read_run(folder).state == "stopped"
    (folder / "LOCK").write_text(f"process {os.getpid()} on {os.uname().nodename}\n")  # a number that is used again
    assert read_run(folder).state == "stopped"
    assert not lock_is_held(folder / "none")


def test_a_dead_owners_lock_is_not_even_asked_for(record, monkeypatch):
    folder = record(changes=GOING)
    (folder / "LOCK").write_text(f"process 4194304999 on {os.uname().nodename}\n")
    monkeypatch.setattr("prefsmith.report.state._alive", lambda process: False)
    monkeypatch.setattr("fcntl.flock", lambda *_: pytest.fail("a start at this moment would be refused"))
    assert read_run(folder).state == "stopped"


def test_a_failed_run_shows_what_it_failed_with_and_an_old_crash_is_forgotten(record):
    folder = record(changes={**GOING, "crash.log": "Traceback\nRuntimeError: the end\n"})
    run = read_run(folder)
    assert run.state == "failed" and run.crash.endswith("RuntimeError: the end\n")
    os.utime(folder / "crash.log", (time.time(), 0))  # older than the last start
    assert (read_run(folder).state, read_run(folder).crash) == ("stopped", "")


@pytest.mark.parametrize("torn", [b'{"step": 31, "lo', b'{"step": 31, "loss": 0.6\xff', b"\x00\x00\x00"])
def test_a_torn_last_line_is_left_out_and_said(record, torn):
    folder = record()
    whole = (folder / "metrics.jsonl").read_bytes()
    (folder / "metrics.jsonl").write_bytes(whole + torn)
    run = read_run(folder)
    assert len(run.train) == 30
    assert run.gaps == ("The last line of metrics.jsonl is torn, because its writing was cut off; it is left out.",)


def test_lines_in_the_middle_that_cannot_be_read_are_counted(record):
    folder = record()
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    deep = b"[" * 100_000 + b"\n"
    (folder / "metrics.jsonl").write_bytes(b"".join([lines[0], b"{oops}\n", b"[1]\n", deep, b"\n", *lines[1:]]))
    run = read_run(folder)
    assert len(run.train) == 30 and run.gaps == ("3 lines of metrics.jsonl cannot be read and are left out.",)


@pytest.mark.parametrize("name", ["environment.json", "data.json", "model.json", "metrics.jsonl", "run.yaml"])
def test_each_file_may_be_missing_and_is_said_to_be(record, name):
    run = read_run(record(changes={name: None}))
    assert len(run.gaps) == 1 and name in run.gaps[0]


@pytest.mark.parametrize("name", ["samples.jsonl", "rejected.jsonl", "evidence.json"])
def test_files_that_a_run_need_not_have_are_not_missed(record, name):
    assert read_run(record(changes={name: None})).gaps == ()


@pytest.mark.parametrize("torn", [b"", b'{"a": ', b"[1, 2]", b"\xff\xfe", b"null", b"[" * 100_000])
@pytest.mark.parametrize("name", ["environment.json", "data.json", "model.json", "outcome.json"])
def test_each_record_may_be_torn(record, name, torn):
    run = read_run(record(changes={name: torn}))
    assert run.gaps == (f"{name} is torn or unreadable and is left out.",)


def test_settings_of_another_version_are_shown_as_they_are_written(record):
    run = read_run(record(changes={"run.yaml": "version: 1\nloss: {name: dpo}\nfuture: {key: 3}\n"}))
    assert run.config is None and run.settings["future.key"] == 3 and "future" in run.gaps[0]
    run = read_run(record("second", {"run.yaml": "a: [1\n"}))
    assert run.settings == {} and "run.yaml cannot be read" in run.gaps[0]
    assert read_run(record("third", {"run.yaml": ""})).settings == {}


def test_rows_that_are_no_samples_are_counted(record, rows):
    run = read_run(record(changes={"samples.jsonl": [*rows[1](2), {"step": 0}, {"prompt": "p"}]}))
    assert len(run.samples) == 4 and run.gaps == ("2 rows of samples.jsonl are no samples and are left out.",)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("{", "evidence.json is not as it should be"),
        ('{"frontier": {"reward": "r", "points": []}}', "frontier.points"),
        (
            '{"frontier": {"reward": "r", "points": [{"name": "a", "reward": "much", "kl": 0}]}}',
            "frontier.points.0.reward",
        ),
        ('{"findings": [{"severity": "dreadful", "what": "x"}]}', "findings.0.severity"),
        ('{"unknown": 1}', "unknown"),
        ('{"frontier": {"reward": "r", "points": [{"name": "a", "reward": NaN, "kl": 0}]}}', "evidence.json"),
    ],
)
def test_evidence_that_is_not_as_it_should_be_is_said_and_not_shown(record, broken, said):
    run = read_run(record(changes={"evidence.json": broken}))
    assert run.evidence is None and said in run.gaps[0]


def test_the_best_reward_is_read_between_the_points_of_its_curve(record, evidence):
    frontier = read_run(record(changes={"evidence.json": evidence})).evidence.frontier
    assert (
        frontier.best_at(0.75) == pytest.approx(1.2) and frontier.best_at(0.0) == 0.0 and frontier.best_at(1.5) is None
    )


def test_what_is_no_run_is_refused(tmp_path):
    for place, code in (
        (tmp_path / "none", "report.folder"),
        (tmp_path / "file", "report.folder"),
        (tmp_path, "report.no_run"),
    ):
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError) as caught:
            read_run(place)
        assert caught.value.code == code and caught.value.fix and caught.value.where == str(place)
        assert caught.value.exit_code == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="the folder is empty"):
        read_run(tmp_path / "empty")


def test_runs_below_a_folder_are_named(record, tmp_path):
    record("first"), record("second")
    with pytest.raises(ConfigError, match="runs in it: first, second"):
        read_run(tmp_path)


def test_a_folder_called_run_is_named_with_the_one_above_it(record):
    assert read_run(record("special/run")).name == "special/run"


def test_lists_of_losses_are_flattened_by_number_and_plain_lists_stay():
    values = {"loss": [{"name": "dpo"}, {"name": "sft", "weight": 0.2}], "adapter": {"target_modules": ["a", "b"]}}
    assert dict(flat(values)) == {
        "loss.0.name": "dpo", "loss.1.name": "sft", "loss.1.weight": 0.2, "adapter.target_modules": ["a", "b"],
    }  # fmt: skip
