"""A rule that a small model can learn is learnt, from the file to the held-out rows, by every loss and by LoRA."""

import math

import pytest
from planted import DRAWN, config_for, examples, pairs, ratings, train

STEPS = {"epochs": 4, "pairs_per_step": 32}


@pytest.mark.parametrize(
    ("rows", "sections"),
    [
        pytest.param(pairs(500), {"loss": {"name": "dpo"}}, id="dpo"),
        pytest.param(pairs(500), {"loss": {"name": "ipo"}}, id="ipo"),
        pytest.param(pairs(500), {"loss": {"name": "ipo", "length_norm": "token"}}, id="ipo-per-token"),
        pytest.param(pairs(500), {"loss": {"name": "kto"}}, id="kto-on-pairs"),
        pytest.param(ratings(800), {"loss": {"name": "kto"}}, id="kto-on-ratings"),
        pytest.param(pairs(500), {"adapter": {"kind": "lora"}, "optim": {"learning_rate": 0.02}}, id="lora"),
        pytest.param(pairs(500), {"loss": [{"name": "dpo"}, {"name": "sft", "weight": 0.1}]}, id="dpo-and-sft"),
    ],
)
def test_the_rule_is_learnt(tmp_path, rows, sections):
    run = train(config_for(tmp_path, rows, train=STEPS, **sections))
    assert run.evaluation["accuracy"] >= 0.95
    assert run.evaluation["accuracy_n"] >= 40
    assert run.evaluation["accuracy_low"] > 0.85
    assert run.metrics[0]["accuracy"] == 0.5  # policy and reference start as one: every pair is a tie


def test_soft_labels_stop_where_the_label_is_sure_and_hard_ones_do_not(tmp_path):
    """With probability .8 the reward margin settles at logit(.8) = 1.386."""
    rows = [{**row, "prob": 0.8} for row in pairs(500)]
    soft = train(config_for(tmp_path / "soft", rows, train={**STEPS, "epochs": 8}))
    hard = train(config_for(tmp_path / "hard", pairs(500), train={**STEPS, "epochs": 8}))
    assert soft.evaluation["reward_margin"] == pytest.approx(math.log(4), abs=0.35)
    assert hard.evaluation["reward_margin"] > 3


def test_sft_falls_to_the_planted_entropy(tmp_path):
    """Four words of 1.75 bits and a certain end: 4 x 1.75 ln 2 / 5 = .970 nats a token."""
    sections = {
        "loss": {"name": "sft"},
        "optim": {"learning_rate": 0.005},
        "train": {"epochs": 2, "pairs_per_step": 64},
    }
    run = train(config_for(tmp_path, examples(3000), data={"eval_fraction": 0.0}, **sections))
    entropy = 4 * sum(-p * math.log(p) for p in DRAWN.values()) / 5
    last = [row["loss"] for row in run.metrics[-15:]]
    assert sum(last) / len(last) == pytest.approx(entropy, abs=0.03)


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    for name in ("soft", "hard"):
        (tmp_path / name).mkdir()
