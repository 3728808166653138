"""All numbers about an implicit reward, from scores whose accuracy, margin and length are known."""

import json

import numpy as np
import pytest
from planted_pairs import by_margin, scored

from prefsmith.evaluate.inspection import FEW, RULES, inspect, warnings


def accuracies(evidence):
    return {rule["name"]: rule["accuracy"]["value"] for rule in evidence["rules"]}


def test_every_rule_by_hand():
    """Four pairs: margins +2, -1, 0, +3; the preferred answer is longer, shorter, equal, longer."""
    reference = [[-10.0, -12.0], [-8.0, -6.0], [-5.0, -5.0], [-9.0, -4.0]]
    margin = np.array([2.0, -1.0, 0.0, 3.0])
    policy = np.array(reference) + np.stack([margin, np.zeros(4)], axis=1)
    tokens = [[5, 3], [2, 6], [4, 4], [9, 2]]
    evidence = inspect(scored(policy, reference, tokens=tokens), 0.5)
    assert accuracies(evidence) == {
        "implicit reward": (1 + 0 + 0.5 + 1) / 4,
        "longer": (1 + 0 + 0.5 + 1) / 4,
        "shorter": (0 + 1 + 0.5 + 0) / 4,
        "reference alone": (1 + 0 + 0.5 + 0) / 4,
        # per token: -2 and -4, -4 and -1, equal, -1 and -2
        "reference alone, per token": (1 + 0 + 0.5 + 1) / 4,
    }
    assert evidence["margin"]["value"] == 1.0 and evidence["reward_margin"]["value"] == 0.5
    assert evidence["length"]["preferred_side"]["tokens"] == {"longer": 2, "shorter": 1, "equal": 1}
    by_length = evidence["length"]["longer_is_preferred"]
    assert by_length["labels"]["value"] == pytest.approx(2 / 3) and by_length["labels"]["n"] == 3
    assert by_length["policy"]["value"] == 1.0  # also where the label prefers the shorter one
    less = {rule["name"]: rule.get("policy_less_rule", {}).get("value") for rule in evidence["rules"]}
    assert less["implicit reward"] is None and less["shorter"] == pytest.approx(0.625 - 0.375)


def test_a_label_that_prefers_the_second_side_turns_the_pair():
    evidence = inspect(by_margin([2.0, 2.0, -1.0], prob=[1.0, 0.0, 0.1]), 0.1)
    assert accuracies(evidence)["implicit reward"] == pytest.approx(2 / 3)
    assert evidence["margin"]["value"] == pytest.approx((2 - 2 + 1) / 3)


def test_ties_count_in_the_calibration_and_in_no_accuracy():
    evidence = inspect(by_margin([2.0, -3.0, 5.0], prob=[1.0, 0.5, 1.0]), 0.1)
    assert evidence["ties"] == 1 and evidence["pairs"] == 3
    assert accuracies(evidence)["implicit reward"] == 1.0 and evidence["rules"][0]["accuracy"]["n"] == 2
    assert evidence["margin"]["value"] == 3.5
    assert sum(each["right"]["n"] for each in evidence["calibration"]["bins"]) == 3


def test_pairs_without_weight_are_counted_and_left_out():
    evidence = inspect(by_margin([2.0, -30.0], weight=[1.0, 0.0]), 0.1)
    assert evidence["without_weight"] == 1 and accuracies(evidence)["implicit reward"] == 1.0


def test_planted_accuracy_is_found_with_its_interval():
    random = np.random.default_rng(0)
    margin = np.where(random.random(900) < 0.7, 4.0, -4.0)
    own = inspect(by_margin(margin), 0.1)["rules"][0]["accuracy"]
    assert own["low"] < 0.7 < own["high"] and own["high"] - own["low"] < 0.07


def test_parts_are_by_tag_and_by_file_the_largest_first():
    tags = [("b",), ("a",), ("b",), ("b", "a"), ()]
    pairs = by_margin([1.0, -1.0, 2.0, 3.0, -4.0], tags=tags, files=[0, 0, 1, 1, 1])
    found = inspect(pairs, 0.1, files=["one", "two"])["parts"]
    assert [(each["kind"], each["name"], each["pairs"]) for each in found] == [
        ("file", "one", 2), ("file", "two", 3), ("tag", "b", 3), ("tag", "a", 2),
    ]  # fmt: skip
    assert [each["accuracy"]["implicit reward"]["value"] for each in found] == pytest.approx([0.5, 2 / 3, 1.0, 0.5])
    assert found[3]["margin"]["value"] == 1.0 and all(each["few"] for each in found)
    assert [each["kind"] for each in inspect(pairs, 0.1, files=["one"])["parts"]] == ["tag", "tag"]


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not():
    random = np.random.default_rng(3)
    pairs = by_margin(random.normal(1, 5, 60), prompt=np.repeat(np.arange(20), 3))
    texts = [json.dumps(inspect(pairs, 0.1, seed=seed), allow_nan=False) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_fewer_than_thirty_prompts_are_said():
    random = np.random.default_rng(4)
    few, enough = (inspect(by_margin(random.normal(5, 1, count)), 0.1) for count in (FEW - 1, FEW))
    assert any("29 prompts" in each for each in warnings(few)) and not any(
        "prompts" in each for each in warnings(enough)
    )
    copies = inspect(by_margin(random.normal(5, 1, 90), prompt=np.repeat(np.arange(9), 10)), 0.1)
    assert any("9 prompts" in each for each in warnings(copies))


def test_a_rule_that_does_as_well_is_named():
    tokens = np.stack([np.full(50, 9), np.full(50, 2)], axis=1)
    evidence = inspect(scored(np.tile([-10.0, -20.0], (50, 1)), np.tile([-15.0, -15.0], (50, 1)), tokens=tokens), 0.1)
    assert warnings(evidence) == [
        'The implicit reward is not shown to tell more pairs than the rule "longer", "reference alone, per token".'
    ]


def test_a_policy_that_is_its_reference_says_nothing():
    evidence = inspect(by_margin(np.zeros(40)), 0.1)
    assert accuracies(evidence)["implicit reward"] == 0.5 and evidence["length"]["within"]["value"] is None
    json.dumps(evidence, allow_nan=False)


def test_rounding_between_micro_batches_is_a_tie():
    assert accuracies(inspect(by_margin([3e-5, -3e-5]), 0.1))["implicit reward"] == 0.5


def test_the_names_of_the_rules_are_those_of_the_docs():
    assert [rule.name for rule in RULES] == [
        "implicit reward", "longer", "shorter", "reference alone", "reference alone, per token",
    ]  # fmt: skip
