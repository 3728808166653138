"""An experiment with posts in small: every answer over temperatures is compared with that of the data."""

import json
import shutil

import pytest

from prefsmith.cli import main
from prefsmith.feedback.posts import is_held_out, true_reward
from prefsmith.methods.experiment.run import experiment
from prefsmith.methods.experiment.settings import read_experiment

RECIPE = """
version: 1
task: posts
seeds: [3]
workers: 1
start: {examples: 400, steps: 60, per_step: 32, width: 16, layers: 1, heads: 2, learning_rate: 1.0e-2}
prompts: {train: 12, held_out: 6, measured: 3}
preferences: {asked: 1, held_out: 1, answers: 4}
training: {steps: 3, pairs_per_step: 8, learning_rate: 1.0e-3, warmup_steps: 1}
reward_model: {steps: 4, pairs_per_step: 8, learning_rate: 1.0e-3, warmup_steps: 1}
measuring: {every: 3, samples: 4, frontier: 20}
winrate: {prompts: 40, temperatures: [0, 1]}
methods:
  - {name: dpo, beta: 0.3}
  - {name: best_of_n, n: [1, 4]}
  - {name: best_of_n, reward: learned, n: 4}
  - {name: rloo, reward: learned, beta: 1}
required: [V2, V3]
"""
ARMS = ["reference", "dpo, beta 0.3", "best_of_n, reward task, n 1", "best_of_n, reward task, n 4",
        "best_of_n, reward learned, n 4", "rloo, reward learned, beta 1"]  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def done(recipe, tmp_path_factory):
    """Folder, evidence, and what was done: the run of all tests here."""
    folder = tmp_path_factory.mktemp("done") / "out"
    config = read_experiment(recipe)
    found = experiment(config, folder, say=lambda line: None)
    return folder, json.loads((folder / "evidence.json").read_text()), found, config


def answers(folder, arm):
    """By temperature, as the task of an arm wrote them down."""
    name = "reference" if arm == "reference" or arm.startswith("best") else arm
    path = folder / "results" / f"seed-3-judged-{name.replace(', ', '-').replace(' ', '-')}.json"
    rows = json.loads(path.read_text())
    return [each["texts"] for each in (rows[arm] if name == "reference" else rows)]


def test_rates_are_those_of_the_answers_against_the_summaries_of_the_data(done):
    folder, evidence, _, config = done
    rates = evidence["winrates"]["rates"]
    assert [(each["arm"], each["temperature"]) for each in rates] == [(arm, t) for arm in ARMS for t in (0.0, 1.0)]
    for each in rates:
        points = []
        texts = answers(folder, each["arm"])[int(each["temperature"])]
        for text, group in zip(texts, config.asked("judged", 3), strict=True):
            assert is_held_out(group.prompt)
            gap = true_reward(group.prompt, text) - true_reward(group.prompt, group.completions[0].content)
            points.append(0.5 if gap == 0 else float(gap > 0))
        assert (each["wins"], each["ties"], each["losses"]) == tuple(points.count(p) for p in (1.0, 0.5, 0.0))
        assert each["rate"]["value"] == pytest.approx(sum(points) / 40)
        assert each["rate"]["n"] == 40 and each["rate"]["low"] < each["rate"]["high"]


def test_the_best_of_several_is_the_best_of_the_starts_own_answers(done):
    folder, evidence, _, config = done
    start, one, four = (answers(folder, arm) for arm in (ARMS[0], ARMS[2], ARMS[3]))
    assert one == start and four[0] == start[0]  # nothing is drawn at temperature 0
    gains = [true_reward(group.prompt, best) - true_reward(group.prompt, first)
             for group, best, first in zip(config.asked("judged", 3), four[1], start[1], strict=True)]  # fmt: skip
    assert min(gains) >= 0 < max(gains)
    by = {(each["arm"], each["temperature"]): each["reward"]["value"] for each in evidence["winrates"]["rates"]}
    assert by[ARMS[3], 1.0] > by[ARMS[4], 1.0]  # a learned reward does not choose better than the true one


def test_policies_that_were_trained_answer_for_themselves(done):
    start, dpo = (answers(done[0], arm) for arm in ARMS[:2])
    assert dpo[1] != start[1] != start[0] and len({*start[1]}) > 5


def test_what_is_said_of_the_paper_and_what_holds_in_this_world(done):
    evidence = done[1]
    verdicts = {each["name"]: each["verdict"] for each in evidence["winrates"]["claims"]}
    assert [*verdicts] == ["W1", "W2", "W3", "W4", "W5", "W6"] and verdicts["W2"] == "not tested"
    assert {each["name"] for each in evidence["criteria"]} == {"V1", "V2", "V3"}
    assert "3 prompts of which none was learnt from" in evidence["findings"][-1]["what"]


def test_the_page_begins_with_the_win_rates(done):
    page = (done[0] / "report.html").read_text()
    assert page.index("Win rate against temperature") < page.index("Reward against KL") and page.count("<svg") >= 2
    for words in ("the start", "best of n, learned reward, n 4", "temperature 1", "not tested", "40 prompts"):
        assert words in page, words
    assert page.count('class="first"') == 1


def test_a_stopped_experiment_goes_on_and_says_what_it_found(done, recipe, tmp_path, capsys):
    """One answer of each kind is gone: these alone are sampled again, and the evidence is the same."""
    folder = tmp_path / "out"
    shutil.copytree(done[0], folder)
    for name in ("seed-3-judged-dpo-beta-0.3", "seed-3-judged-reference"):
        (folder / "results" / f"{name}.json").unlink()
    (folder / "evidence.json").unlink()
    assert main(["eval", "frontier", str(recipe), "--out", str(folder), "--resume"]) == 0
    assert (folder / "evidence.json").read_bytes() == (done[0] / "evidence.json").read_bytes()
    out = capsys.readouterr().out
    assert "8 tasks, 6 of them done before" in out and "40 prompts, ties one half" in out
    assert "W2  not tested" in out and "  best_of_n, reward learned, n 4" in out
