"""Searches of a method of an experiment: one start, true rewards, and what cannot be searched."""

import json

import pytest
import yaml

from prefsmith.cli import main
from prefsmith.errors import ConfigError, Interrupted
from prefsmith.methods.experiment.settings import ExperimentConfig
from prefsmith.methods.sweep import controlled
from prefsmith.methods.sweep.controlled import only, ranges_of
from prefsmith.methods.sweep.opening import open_search
from prefsmith.methods.sweep.search import search
from prefsmith.methods.sweep.space import Range
from prefsmith.methods.sweep.wanted import Wanted

optuna = pytest.importorskip("optuna", reason="searching takes Optuna")


def recipe(**changes):
    """An experiment of seconds."""
    return ExperimentConfig.model_validate(
        {
            "seeds": [3, 4],
            "start": {"examples": 200, "steps": 20, "per_step": 16, "width": 16, "layers": 1, "heads": 2},
            "preferences": {"asked": 2, "held_out": 2, "answers": 4},
            "training": {"steps": 4, "pairs_per_step": 16, "warmup_steps": 0},
            "reward_model": {"steps": 3, "pairs_per_step": 16, "warmup_steps": 0},
            "measuring": {"every": 2, "samples": 4, "frontier": 8},
            "methods": [
                {"name": "best_of_n", "n": [2]},
                {"name": "dpo", "beta": [0.1, 1.0], "learning_rate": 1e-3},
                {"name": "rloo", "beta": 0.5, "reward": "learned"},
                {"name": "sft"},
            ],
            **changes,
        }
    )


def test_one_method_is_left_with_its_own_training_and_measured_at_the_end():
    alone = only(recipe(), None)
    assert [each.name for each in alone.methods] == ["dpo"] and alone.seeds == [3] and alone.measuring.every == 4
    assert alone.training.learning_rate == 1e-3 and alone.methods[0].learning_rate is None
    assert only(recipe(), "sft").training.learning_rate == 3e-4


def test_a_method_is_searched_over_the_values_of_its_recipe():
    beta, rate, pairs = ranges_of(only(recipe(), "dpo"), [])
    assert beta == Range("methods.0.beta", 0.1, 1.0, log=True)
    assert (rate.key, rate.low, rate.high) == ("training.learning_rate", pytest.approx(1e-3 / 3), pytest.approx(3e-3))
    assert pairs == Range("training.pairs_per_step", 32, 128, step=32)
    assert ranges_of(only(recipe(), "rloo"), [])[0] == Range("methods.0.beta", 0.5 / 3, 1.5, log=True)
    assert [each.key for each in ranges_of(only(recipe(), "sft"), ["training.pairs_per_step"])] == [
        "training.learning_rate"
    ]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(2, method="best_of_n"), "trains no method best_of_n"),
        (Wanted(2, method="ipo"), "trains no method ipo"),
        (Wanted(2, prune=True), "measured at its end"),
        (Wanted(2, objectives="accuracy"), "is not one or two different objectives"),
        (Wanted(2, ("methods.0.gamma=0:1",)), "gamma"),
        (Wanted(2, ("training.beauty=0:1",)), "beauty"),
        (Wanted(2, ("methods.0.beta=-1:1",)), "beta"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(tmp_path, wanted, words):
    with pytest.raises(ConfigError, match=words):
        search(*open_search(recipe(), wanted, [], tmp_path / "sweep"), resume=False)
    assert not (tmp_path / "sweep").exists()


def test_a_grid_that_nothing_searches_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="more than one beta"):
        search(*open_search(recipe(), Wanted(2), ["methods.0.beta"], tmp_path / "sweep"), resume=False)


def test_trials_start_from_one_model_and_a_search_that_was_stopped_goes_on(tmp_path, monkeypatch):
    said: list[str] = []
    whole = search(*open_search(recipe(), Wanted(2), [], tmp_path / "whole"), resume=False, say=said.append)
    assert [row["state"] for row in whole["trials"]] == ["complete"] * 2 and "true reward" in said[1]
    for row in whole["trials"]:
        (reward, low, high), (kl, *_) = row["worth"]
        assert low < reward < high and kl > 0
    train, count = controlled.train_loss, [0]

    def stopped(*arguments):
        count[0] += 1
        if count[0] == 2:
            raise Interrupted(15, "stopped by a signal")
        return train(*arguments)

    monkeypatch.setattr(controlled, "train_loss", stopped)
    with pytest.raises(Interrupted):
        search(*open_search(recipe(), Wanted(2), [], tmp_path / "stopped"), resume=False)
    found = search(*open_search(recipe(), Wanted(2), [], tmp_path / "stopped"), resume=True)
    assert found == whole


def test_the_command_ends_with_a_page_and_a_recipe_that_runs(tmp_path, capsys):
    file, folder = tmp_path / "recipe.yaml", tmp_path / "sweep"
    settings = recipe().model_dump(mode="json", exclude_none=True)
    file.write_text(yaml.safe_dump(settings))
    arguments = ["sweep", str(file), "training.steps=2", "--method", "rloo", "--trials", "1", "--out", str(folder)]
    assert main([*arguments, "--range", "training.pairs_per_step=4:8:4"]) == 0
    assert "true reward" in capsys.readouterr().out
    found = json.loads((folder / "sweep.json").read_text())
    assert found["trials"][0]["front"] and "<svg" in (folder / "report.html").read_text()
    assert main(["eval", "frontier", str(folder / "best.yaml"), "--workers", "1", "--out", str(tmp_path / "best")]) == 0
    point = json.loads((tmp_path / "best" / "evidence.json").read_text())["ends"][-1]
    assert point["reward"]["value"] == pytest.approx(found["best"]["worth"][0][0], abs=1e-9)
