"""A whole experiment in small, from the command line and from Python: every part is there, and a seed repeats it."""

import json
import shutil

import numpy as np
import pytest

from prefsmith.cli import main
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.evaluate.best_of import best_of
from prefsmith.evaluate.frontier import best_at, tilted
from prefsmith.feedback.reviews import PROMPTS, true_reward
from prefsmith.methods.experiment.place import Place
from prefsmith.methods.experiment.run import experiment, require
from prefsmith.methods.experiment.settings import read_experiment
from prefsmith.settings import load_settings

RECIPE = """
version: 1
seeds: [3]
workers: 1
start: {examples: 400, steps: 30, width: 16, layers: 1, heads: 2}
preferences: {asked: 3, held_out: 1, answers: 4}
training: {steps: 3, pairs_per_step: 8, learning_rate: 1.0e-3, warmup_steps: 1}
reward_model: {steps: 4, pairs_per_step: 16, learning_rate: 1.0e-3, warmup_steps: 1}
measuring: {every: 2, samples: 4, frontier: 20}
methods:
  - {name: dpo, beta: 0.3}
  - {name: kto, beta: 1, steps: 2}
  - {name: best_of_n, n: [1, 4]}
  - {name: best_of_n, reward: learned, n: 4}
  - {name: rloo, beta: 1}
  - {name: rloo, reward: learned, beta: 1}
required: [A1]
"""
ARMS = ["dpo, beta 0.3", "kto, beta 1", "best_of_n, reward task, n 1", "best_of_n, reward task, n 4",
        "best_of_n, reward learned, n 4", "rloo, reward task, beta 1", "rloo, reward learned, beta 1"]  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def done(recipe, tmp_path_factory):
    """Folder, exit status and nothing more: the run of all tests here."""
    folder = tmp_path_factory.mktemp("done") / "out"
    return folder, main(["eval", "frontier", str(recipe), "--out", str(folder)])


@pytest.fixture(scope="module")
def evidence(done):
    return json.loads((done[0] / "evidence.json").read_text())


def test_every_arm_is_measured_when_it_is_due(evidence):
    steps = {}
    for point in evidence["points"]:
        steps.setdefault(point["arm"], []).append(point["step"])
    assert steps == {"reference": [0], **{arm: [0] if "best" in arm else [2, 3] for arm in ARMS}, "kto, beta 1": [2]}
    assert [end["arm"] for end in evidence["ends"]] == ["reference", *ARMS]
    for point in evidence["points"]:
        assert (
            point["reward"]["low"] <= point["reward"]["value"] <= point["reward"]["high"] and point["reward"]["n"] > 1
        )
        trained = point["step"] > 0
        assert ("kl_sampled" in point) == (trained or point["arm"] == "reference")
        assert not trained or (point["reward"]["n"] == 48 and point["kl"]["value"] > 0 and point["sample"])


def test_the_start_is_where_everything_starts(evidence):
    start = evidence["points"][0]
    assert (start["kl"]["value"], start["kl_sampled"]["value"], start["step"]) == (0.0, 0.0, 0)
    (seed,) = evidence["seeds"]
    assert seed["frontier"][0] == [0.0, seed["reward"]["value"]] and start["best"] == seed["reward"]["value"]


def test_points_stand_below_the_frontier_of_the_starts_own_answers(done, evidence):
    place = Place(done[0] / "seed-3", 3)
    rows = [json.loads(line) for line in place.answers.read_text().splitlines()]
    assert [row["prompt"] for row in rows] == [prompt for prompt in PROMPTS for _ in range(20)]
    rewards = np.array([true_reward(row["completion"]) for row in rows]).reshape(12, 20)
    for point in evidence["points"]:
        kl = point["kl"]["value"]
        best = best_at(rewards, kl).reward if kl > 0 else rewards.mean()
        assert point["best"] == pytest.approx(best) and point["below"] == pytest.approx(best - point["reward"]["value"])
    four = next(point for point in evidence["points"] if point["arm"] == "best_of_n, reward task, n 4")
    assert four["reward"]["value"] == pytest.approx(best_of(rewards, 4).reward.value)
    learned = next(point for point in evidence["points"] if point["arm"] == "best_of_n, reward learned, n 4")
    assert learned["reward"]["value"] != four["reward"]["value"]
    (closed,) = [each for each in evidence["seeds"][0]["closed_form"] if each["beta"] == 1]
    assert closed["kl"] == pytest.approx(tilted(rewards, 1.0).kl)


def test_runs_are_those_of_any_training(done):
    folder = done[0] / "seed-3" / "arms" / "dpo-beta-0.3"
    stored = load_settings(folder / "run.yaml")
    assert stored.losses[0].settings["beta"] == 0.3 and stored.train.seed == 3 and stored.train.max_steps == 3
    assert stored.model.path.endswith("seed-3/sft/model") and (folder / "report.html").is_file()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] == pytest.approx(0.693147, abs=1e-4) and rows[0]["pairs"] == 8
    ratings = load_settings(done[0] / "seed-3" / "arms" / "kto-beta-1" / "run.yaml")
    assert ratings.train.pairs_per_step == 16  # a pair is two ratings
    rewarded = done[0] / "seed-3" / "arms" / "rloo-reward-task-beta-1"
    rows = [json.loads(line) for line in (rewarded / "metrics.jsonl").read_text().splitlines()]
    assert [row["answers"] for row in rows] == [8] * 3 and (rewarded / "model" / "config.json").is_file()


def test_the_page_of_an_arm_shows_its_reward_against_kl(done, evidence):
    folder = done[0] / "seed-3" / "arms" / "dpo-beta-0.3"
    frontier = json.loads((folder / "evidence.json").read_text())["frontier"]
    measured = [point for point in evidence["points"] if point["arm"] == "dpo, beta 0.3"]
    assert [point["name"] for point in frontier["points"]] == ["the start", "step 2", "step 3"]
    for own, point in zip(frontier["points"][1:], measured, strict=True):
        assert (own["reward"], own["kl"]) == (point["reward"]["value"], point["kl"]["value"])
    assert frontier["best"] == evidence["seeds"][0]["frontier"]
    page = (folder / "report.html").read_text()
    assert "Reward against KL" in page and "Mean true reward" in page and "nothing of it is shown" not in page


def test_a_required_criterion_decides_about_the_exit_status(done, evidence, recipe):
    """Three steps do not end at the closed form, and it is said after everything is written."""
    found = {each["name"]: each["passed"] for each in evidence["criteria"]}
    assert done[1] == 4 and found["A1"] is False and found["V3"] is True


def test_the_page_shows_what_was_found(done, evidence):
    page = (done[0] / "report.html").read_text()
    assert "<script" not in page and page.count("<svg") >= 1
    for words in ("RLOO, true reward, beta 1", "best of n, learned reward, n 4", "DPO, beta 0.3", "A1", "FAILS"):
        assert words in page
    assert "12 prompts" in page


@pytest.mark.slow
def test_a_seed_gives_the_same_bytes_whoever_does_the_work(done, recipe, tmp_path):
    config = read_experiment(recipe, workers=2)
    again = experiment(config, tmp_path / "again", say=lambda line: None)
    assert (tmp_path / "again" / "evidence.json").read_bytes() == (done[0] / "evidence.json").read_bytes()
    with pytest.raises(TrainingError, match="A1") as caught:
        require(again.found, again.folder)
    assert caught.value.code == "frontier.criteria"


def test_a_stopped_experiment_goes_on(done, recipe, tmp_path):
    """Two results are gone, one with half a run: these alone are done again, and the evidence is the same."""
    folder = tmp_path / "out"
    shutil.copytree(done[0], folder)
    for name in ("seed-3-dpo-beta-0.3", "seed-3-the-start-measured"):
        (folder / "results" / f"{name}.json").unlink()
    (folder / "evidence.json").unlink()
    (folder / "seed-3" / "arms" / "dpo-beta-0.3" / "outcome.json").unlink()
    said = []
    config = read_experiment(recipe)
    experiment(config, folder, resume=True, say=said.append)
    assert said[0].startswith("7 tasks, 5 of them done before") and len(said) == 3
    assert (folder / "evidence.json").read_bytes() == (done[0] / "evidence.json").read_bytes()


def test_only_the_same_experiment_goes_on(done, recipe, tmp_path):
    other = read_experiment(recipe, seeds=[4])
    with pytest.raises(ConfigError, match="other settings") as caught:
        experiment(other, done[0], resume=True)
    assert caught.value.code == "run.changed"
    for out in (None, tmp_path):
        with pytest.raises(ConfigError, match="no experiment to go on with"):
            experiment(other, out, resume=True)
    (tmp_path / "torn").mkdir()
    shutil.copytree(done[0] / "results", tmp_path / "torn" / "results")
    shutil.copy(done[0] / "recipe.json", tmp_path / "torn")
    (tmp_path / "torn" / "results" / "seed-3-start.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read again") as caught:
        experiment(read_experiment(recipe), tmp_path / "torn", resume=True)
    assert caught.value.where.endswith("seed-3-start.json")


def test_a_method_that_is_not_known_is_refused_before_anything_is_made(tmp_path):
    path = tmp_path / "recipe.yaml"
    for line, code in (("{name: dop}", "loss.unknown"), ("{name: dpo, gamma: 1}", "loss.setting")):
        path.write_text(f"version: 1\nmethods: [{line}]\n")
        with pytest.raises(ConfigError) as caught:
            experiment(read_experiment(path), tmp_path / "out")
        assert caught.value.code == code and not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone(recipe, tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        experiment(read_experiment(recipe), tmp_path)
