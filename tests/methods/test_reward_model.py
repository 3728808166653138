"""A reward learned from pairs: planted rewards come back up to a shift, the best weights are kept, and it is saved."""

import json
import math
from itertools import permutations
from random import Random

import pytest
from planted import WORDS, config_for, pairs
from tiny import save_model

from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.feedback.opening import open_judge
from prefsmith.feedback.reward import open_reward
from prefsmith.feedback.settings import judge_config, judge_word
from prefsmith.methods.reward_model import fit_reward
from prefsmith.records import Comparison, Completion, Group

PLANTED = {" w0": -1.0, " w1 w2": 0.4, " apple": 1.5, " berry w3 w4": 0.0, " w5": -0.3}


def quiet(line):
    pass


def planted_group():
    """Every ordered pair once with its probability: as many verdicts as one likes."""
    texts = tuple(PLANTED)
    comparisons = tuple(
        Comparison(one, other, prob=1 / (1 + math.exp(PLANTED[texts[other]] - PLANTED[texts[one]])))
        for one, other in permutations(range(len(texts)), 2)
    )
    return Group("g", "rows:1", "red", tuple(map(Completion, texts)), comparisons=comparisons)


def settings(folder, **changes):
    values = {
        "model": {"path": str(folder / "base"), "device": "cpu"},
        "data": {"eval_fraction": 0.0},
        "loss": {"name": "dpo", "beta": 1.0},
        "optim": {"learning_rate": 3e-3, "warmup_steps": 5, "schedule": "linear"},
        "train": {"pairs_per_step": 20, "epochs": 150},
        "out": str(folder / "reward"),
    }
    save_model(folder / "base", WORDS)
    return RunConfig.model_validate(values | changes)


def test_planted_rewards_come_back_up_to_a_shift(tmp_path):
    found = fit_reward(settings(tmp_path), groups=[planted_group()], say=quiet)
    (learned,) = found.reward.rewards([planted_group()])
    shift = sum(learned) / 5 - sum(PLANTED.values()) / 5
    assert [value - shift for value in learned] == pytest.approx(list(PLANTED.values()), abs=0.05)
    rows = [json.loads(line) for line in (found.folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] == pytest.approx(math.log(2)) and rows[-1]["loss"] < 0.66 and found.accuracy is None
    again = open_reward(found.folder, device="cpu")
    assert again.rewards([planted_group()]) == [tuple(learned)]
    pairs = [Group(f"{one}{other}", "rows:1", "red", (Completion(one), Completion(other)))
             for one, other in permutations(PLANTED, 2)]  # fmt: skip
    with open_judge(judge_config(judge_word(str(found.folder)), "--judge")) as judge:
        said = [vote.verdict for (vote,) in judge.votes(pairs)]
    better = [PLANTED[pair.completions[0].content] > PLANTED[pair.completions[1].content] for pair in pairs]
    assert said == ["left" if each else "right" for each in better] and judge.name == "reward"


def learn(folder, rows, **train):
    config = config_for(
        folder,
        rows,
        model={"device": "cpu"},
        loss={"name": "dpo", "beta": 1.0},
        data={"eval_fraction": 0.3},
        optim={"learning_rate": 0.02, "schedule": "constant"},
        train={"pairs_per_step": 16, **train},
        evaluate={"every": 5, "samples": 0},
    )
    found = fit_reward(config, say=quiet)
    rows = [json.loads(line) for line in (found.folder / "metrics.jsonl").read_text().splitlines()]
    return found, [row for row in rows if row.get("split") == "eval"]


def test_the_best_weights_on_held_out_pairs_are_kept(tmp_path):
    """Verdicts by lot: whatever is learnt of them is wrong on others, and the more the longer."""
    random = Random(0)
    sides = (("chosen", "rejected"), ("rejected", "chosen"))
    rows = [dict(zip(random.choice(sides), (row["chosen"], row["rejected"]), strict=True), prompt=row["prompt"])
            for row in pairs(120)]  # fmt: skip
    found, looks = learn(tmp_path, rows, epochs=8)
    best = min(looks, key=lambda row: row["loss"])
    assert len(looks) > 5 and (found.loss, found.step) == (best["loss"], best["step"]) and looks[-1]["loss"] > 0.75
    assert found.step < looks[-1]["step"]
    again = open_reward(found.folder, device="cpu").rewards([planted_group()])
    assert again == found.reward.rewards([planted_group()])


def test_accuracy_is_told_with_its_interval(tmp_path):
    found, looks = learn(tmp_path, pairs(300), epochs=4)
    facts = json.loads((found.folder / "reward.json").read_text())
    assert facts["step"] == found.step and facts["accuracy"]["value"] == found.accuracy.value > 0.9
    assert facts["accuracy"]["low"] < facts["accuracy"]["value"] <= facts["accuracy"]["high"] <= 1
    assert facts["accuracy"]["n"] == looks[-1]["accuracy_n"] > 50


@pytest.mark.parametrize("loss", ["kto", "simpo", "tdpo1", "infonca", "wpo"])
def test_losses_that_need_more_than_two_numbers_are_refused(tmp_path, loss):
    with pytest.raises(ConfigError, match="no function of the difference of two rewards") as caught:
        fit_reward(settings(tmp_path, loss={"name": loss}), groups=[planted_group()], say=quiet)
    assert caught.value.code == "reward.loss" and not (tmp_path / "reward").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    config = settings(tmp_path)
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "mine").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        fit_reward(config, groups=[planted_group()], say=quiet)
