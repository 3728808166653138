"""Win rates of planted answers: what the data says ties, the whole truth wins, and seeds are told apart."""

import pytest

from prefsmith.evaluate.points import Arm
from prefsmith.feedback.posts import facts_of
from prefsmith.methods.experiment.judged import Sampled
from prefsmith.methods.experiment.rates import win_rates
from prefsmith.methods.experiment.settings import ExperimentConfig

START, DPO = Arm("reference"), Arm("dpo", (("beta", 0.3),))
CONFIG = ExperimentConfig.model_validate(
    {
        "task": "posts", "seeds": [3, 5], "prompts": {"train": 1, "held_out": 1, "measured": 1},
        "winrate": {"prompts": 20, "temperatures": [0, 1]}, "methods": [{"name": "dpo", "beta": 0.3}],
    }
)  # fmt: skip


def sampled(temperature, texts, groups):
    rewards = [CONFIG.world.reward(group.prompt, text) for group, text in zip(groups, texts, strict=True)]
    return Sampled(temperature, texts, rewards, [3] * len(texts), len(texts) - 1)


def whole_truth(group):
    facts = facts_of(group.prompt)
    told = f" my {facts['who']} {facts['deed']} my {facts['thing']} and i feel {facts['feeling']} ."
    return f"{told} should i {facts['action']} ?"


@pytest.fixture(scope="module")
def found():
    """The start repeats the data with seed 3 and is silent with seed 5; DPO tells the whole truth at temperature 0."""
    answers = {}
    for seed in (3, 5):
        groups = CONFIG.asked("judged", seed)
        people = [group.completions[0].content if seed == 3 else "" for group in groups]
        truth = [whole_truth(group) for group in groups]
        answers[seed] = {START: [sampled(t, people, groups) for t in (0.0, 1.0)],
                         DPO: [sampled(t, truth if t == 0 else people, groups) for t in (0.0, 1.0)]}  # fmt: skip
    return win_rates(CONFIG, answers)


def test_ties_count_one_half_and_seeds_are_told_apart(found):
    start = found.rates[0]
    assert (start.rate.ties, start.rate.losses, start.rate.wins) == (20, 20, 0)  # nobody is worse than silence
    assert start.by_seed == (0.5, 0.0) and start.rate.rate.value == 0.25 and start.rate.rate.n == 40
    assert start.ended.value == 38 / 40 and start.tokens.value == 3


def test_the_whole_truth_never_loses_and_a_temperature_is_its_own(found):
    cold, warm = found.rates[2:]
    assert (cold.arm, cold.temperature, warm.temperature) == (DPO, 0.0, 1.0)
    assert cold.rate.losses == 0 and cold.rate.wins > 30 and cold.reward.value == pytest.approx(3.8)
    assert warm.rate.rate.value == 0.25
    claim = found.claims[0]
    assert claim.verdict == "as in the paper"
    assert claim.difference.value == pytest.approx(cold.rate.rate.value - 0.25) and claim.difference.clusters == 40


def test_the_data_are_worth_what_people_wrote(found):
    people = [CONFIG.world.reward(group.prompt, group.completions[0].content)
              for seed in (3, 5) for group in CONFIG.asked("judged", seed)]  # fmt: skip
    assert found.prompts == 40 and found.baseline.value == pytest.approx(sum(people) / 40)
    assert found.as_dict()["rates"][2]["settings"] == {"beta": 0.3}
