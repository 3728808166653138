"""Searches on tiny runs: what they leave, that they go on where they stopped, and what they refuse."""

import json

import pytest
from planted import config_for, pairs

from prefsmith.cli import main
from prefsmith.errors import ConfigError, Interrupted, TrainingError
from prefsmith.methods.sweep import runs
from prefsmith.methods.sweep import search as method
from prefsmith.methods.sweep.runs import Runs
from prefsmith.methods.sweep.space import Range
from prefsmith.methods.sweep.worth import OBJECTIVES, OfRun, Worth, objectives_of
from prefsmith.settings import load_settings

optuna = pytest.importorskip("optuna", reason="searching takes Optuna")

RANGES = (Range("optim.learning_rate", 1e-4, 3e-2, log=True), Range("train.pairs_per_step", 8, 32, step=8))


@pytest.fixture
def asked(tmp_path):
    """A search of a few runs of a second."""

    def made(trials=3, *, objectives=("accuracy", "length"), ranges=RANGES, prune=False, seed=0, **sections):
        sections = {"evaluate": {"samples": 6, "sample_tokens": 8}, "data": {"eval_fraction": 0.2}, **sections}
        config = config_for(tmp_path, pairs(60), **sections)
        return method.Search(Runs(config, objectives_of(objectives, config), prune), ranges, trials, seed)

    return made


def searched(asked, folder, **changes):
    said: list[str] = []
    return method.search(asked, folder, resume=False, say=said.append, **changes), said


def test_a_search_leaves_a_table_a_front_and_the_best_settings(asked, tmp_path):
    found, said = searched(asked(4), tmp_path / "sweep")
    assert [row["state"] for row in found["trials"]] == ["complete"] * 4
    assert any(row["front"] for row in found["trials"]) and found["best"]["front"]
    for row in found["trials"]:
        assert 1e-4 <= row["values"]["optim.learning_rate"] <= 3e-2
        assert row["values"]["train.pairs_per_step"] in (8, 16, 24, 32)
        run = load_settings(tmp_path / "sweep" / row["folder"] / "run.yaml")
        assert run.train.pairs_per_step == row["values"]["train.pairs_per_step"]
        metrics = (tmp_path / "sweep" / row["folder"] / "metrics.jsonl").read_text().splitlines()
        assert json.loads(metrics[-1])["accuracy"] == row["worth"][0][0]
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text()) == found
    best = load_settings(tmp_path / "sweep" / "best.yaml")
    assert best.optim.learning_rate == found["best"]["values"]["optim.learning_rate"] and best.out is None
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert "<svg" in page and "<script" not in page and "too few trials" in page
    assert sum(line.startswith("trial ") for line in said) == 4


def test_the_same_seed_tries_the_same_settings_and_comes_to_the_same(asked, tmp_path):
    one, two = (searched(asked(3), tmp_path / name)[0] for name in ("one", "two"))
    assert one == two
    other = searched(asked(3, seed=1), tmp_path / "other")[0]
    assert [row["values"] for row in other["trials"]] != [row["values"] for row in one["trials"]]


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not(asked, tmp_path, monkeypatch):
    whole = searched(asked(3), tmp_path / "whole")[0]
    fit, count = runs.fit, [0]

    def stopped(config, **arguments):
        count[0] += 1
        if count[0] == 2:
            raise Interrupted(15, "stopped by a signal")
        return fit(config, **arguments)

    monkeypatch.setattr(runs, "fit", stopped)
    with pytest.raises(Interrupted):
        searched(asked(3), tmp_path / "stopped")
    found = method.search(asked(3), tmp_path / "stopped", resume=True, say=lambda line: None)
    assert found == whole


def test_more_trials_may_be_asked_for(asked, tmp_path):
    first = searched(asked(2), tmp_path / "sweep")[0]
    found = method.search(asked(3), tmp_path / "sweep", resume=True, say=lambda line: None)
    assert found["trials"][:2] != [] and [row["values"] for row in found["trials"][:2]] == [
        row["values"] for row in first["trials"]
    ]
    assert len(found["trials"]) == 3


def test_another_search_does_not_go_on_in_the_folder(asked, tmp_path):
    searched(asked(1), tmp_path / "sweep")
    for changes, resume in ((asked(1), False), (asked(1, seed=3), True), (asked(1, objectives=("accuracy",)), True)):
        with pytest.raises(ConfigError) as caught:
            method.search(changes, tmp_path / "sweep", resume=resume)
        assert caught.value.code == "sweep.exists"
    with pytest.raises(ConfigError, match="no search to go on with"):
        method.search(asked(1), tmp_path / "nothing", resume=True)


def test_a_run_that_stops_itself_costs_a_trial_and_not_the_search(asked, tmp_path, monkeypatch):
    fit, count = runs.fit, [0]

    def failing(config, **arguments):
        count[0] += 1
        if count[0] == 1:
            raise TrainingError("train.nonfinite", "step 3: loss nan")
        return fit(config, **arguments)

    monkeypatch.setattr(runs, "fit", failing)
    found = searched(asked(2), tmp_path / "sweep")[0]
    assert [(row["state"], row["reason"]) for row in found["trials"]] == [
        ("fail", "step 3: loss nan"),
        ("complete", ""),
    ]
    assert "step 3: loss nan" in (tmp_path / "sweep" / "report.html").read_text()


def test_a_search_in_which_every_run_fails_says_why(asked, tmp_path, monkeypatch):
    def failing(config, **arguments):
        raise TrainingError("train.nonfinite", "loss nan")

    monkeypatch.setattr(runs, "fit", failing)
    with pytest.raises(TrainingError, match=r"none of 2 trials(.|\n)*loss nan"):
        searched(asked(2), tmp_path / "sweep")


def test_runs_that_do_worse_are_stopped_and_leave_no_crash(asked, tmp_path, monkeypatch):
    """The runs are planted: their held-out loss is their learning rate, so the largest ones are stopped."""
    fit = runs.fit

    def planted(config, watch, **arguments):
        def seen(row, steps):
            watch({**row, "loss": config.optim.learning_rate} if row.get("split") else row, steps)

        return fit(config, watch=seen, **arguments)

    monkeypatch.setattr(runs, "fit", planted)
    ranges = (Range("optim.learning_rate", 1e-4, 3e-2, log=True),)
    given = {"objectives": ("loss",), "prune": True, "ranges": ranges,
             "evaluate": {"samples": 0, "every": 2}, "train": {"pairs_per_step": 8}}  # fmt: skip
    found = searched(asked(9, **given), tmp_path / "sweep")[0]
    pruned = [row["values"]["optim.learning_rate"] for row in found["trials"] if row["state"] == "pruned"]
    whole = [row["values"]["optim.learning_rate"] for row in found["trials"] if row["state"] == "complete"]
    assert pruned and min(pruned) > min(whole) and len(whole) >= 4
    assert not list((tmp_path / "sweep").rglob("crash.log"))


def test_with_eight_trials_it_is_said_what_mattered(asked, tmp_path, monkeypatch):
    monkeypatch.setitem(
        OBJECTIVES, "accuracy",
        OfRun("accuracy", "held-out accuracy", True, False,
                         lambda run: Worth(load_settings(run.folder / "run.yaml").learning_rate)),
    )  # fmt: skip
    found = searched(asked(8, objectives=("accuracy",), train={"max_steps": 2}), tmp_path / "sweep")[0]
    seen = {each["key"]: each for each in found["mattered"]}
    assert seen["optim.learning_rate"]["value"] == pytest.approx(1.0)
    assert seen["train.pairs_per_step"]["low"] < seen["train.pairs_per_step"]["high"]
    assert found["best"]["values"]["optim.learning_rate"] == max(
        row["values"]["optim.learning_rate"] for row in found["trials"]
    )


def test_of_trials_that_their_intervals_cannot_tell_apart_the_second_objective_decides(asked):
    def row(number, first, second):
        return {"number": number, "worth": [first, second], "front": True}

    rows = [
        row(1, [0.80, 0.70, 0.88], [0.50, 0.4, 0.6]),
        row(2, [0.78, 0.68, 0.86], [0.10, 0.0, 0.2]),
        row(3, [0.60, 0.5, 0.7], [0.0, 0.0, 0.1]),
    ]
    assert method._best(asked(), rows)["number"] == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"trials": 0}, "sweep.value"),
        ({"ranges": ()}, "sweep.range"),
        ({"objectives": ("accuracy", "beauty")}, "sweep.objective"),
        ({"objectives": ("accuracy", "accuracy")}, "sweep.objective"),
        ({"objectives": ()}, "sweep.objective"),
        ({"evaluate": {"samples": 0}}, "sweep.objective"),
        ({"data": {"eval_fraction": 0.0}}, "sweep.objective"),
        ({"prune": True}, "sweep.prune"),
        ({"prune": True, "objectives": ("accuracy",)}, "sweep.prune"),  # no evaluation before the last step
        ({"prune": True, "objectives": ("kl",), "evaluate": {"samples": 8, "every": 2}}, "sweep.prune"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(asked, changes, code):
    with pytest.raises(ConfigError) as caught:
        asked(**changes)
    assert caught.value.code == code


@pytest.mark.parametrize("key", ["loss.beauty", "nothing.there", "train.seed.x"])
def test_a_range_of_what_is_no_setting_is_refused_before_anything_runs(asked, tmp_path, key):
    with pytest.raises(ConfigError):
        searched(asked(1, ranges=(Range(key, 0.1, 1.0),)), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()  # so that the same command with another range may use it


def test_the_command_prints_the_table_and_the_best(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = config_for(tmp_path, pairs(60), evaluate={"samples": 6, "sample_tokens": 8})
    (tmp_path / "run.yaml").write_text(config.model_copy(update={"out": None}).to_yaml())
    words = ["sweep", "run.yaml", "train.pairs_per_step=16", "--trials", "2", "--range", "loss.beta=0.1:1"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "loss.beta: 0.1 to 1" in printed and "train.pairs_per_step:" not in printed
    assert "the page is sweep/dpo/report.html" in printed and "Taken as the best is trial" in printed
    assert main(["train", "sweep/dpo/best.yaml", "--out", "runs/best", "train.max_steps=1"]) == 0
    assert main([*words, "--out", "sweep/dpo"]) == 2 and "--resume" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 2 and "none is named" in capsys.readouterr().err
    assert main([*words, "--out", "sweep/dpo", "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "sweep"


def test_without_optuna_it_is_said_what_to_install(asked, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'prefsmith\[tune\]'"):
        searched(asked(1), tmp_path / "sweep")
