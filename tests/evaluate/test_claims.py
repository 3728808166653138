"""What the paper says of win rates: planted scores give each verdict, and what is missing is not tested."""

import numpy as np
import pytest

from prefsmith.evaluate.claims import claims
from prefsmith.evaluate.points import Arm

START, DPO, CHOSEN = Arm("reference"), Arm("dpo", (("beta", 0.3),)), Arm("sft")
RL, TRUE_RL = Arm("rloo", (("reward", "learned"),)), Arm("rloo", (("reward", "task"),))
BEST = Arm("best_of_n", (("reward", "learned"), ("n", 16.0)))
TEMPERATURES = (0.0, 0.5, 1.0)


def scores(*rates, n=400):
    """A column for each rate: so many wins first, the rest lost."""
    return np.array([[float(index < round(rate * n)) for rate in rates] for index in range(n)])


def found(table, temperatures=TEMPERATURES):
    return {each.name: each for each in claims(table, temperatures, [str(number) for number in range(400)])}


def test_differences_are_those_that_the_claims_name():
    table = {
        START: scores(0.5, 0.5, 0.4),
        Arm("dpo", (("beta", 1.0),)): scores(0.6, 0.7, 0.5),  # the first of the recipe counts
        DPO: scores(0.9, 0.9, 0.9),
        CHOSEN: scores(0.55, 0.5, 0.4),
        TRUE_RL: scores(1, 1, 1),  # the paper's claims are of a learned reward
        RL: scores(0.5, 0.4, 0.2),
        BEST: scores(0.5, 0.8, 0.6),
    }
    differences = {name: each.difference.value for name, each in found(table).items()}
    assert differences == pytest.approx(
        {"W1": 0.1, "W2": 0.05, "W3": 0.05, "W4": 0.7 - 0.5, "W5": (0.5 - 0.2) - (0.6 - 0.5), "W6": 0.7 - 0.8}
    )
    verdicts = {name: each.verdict for name, each in found(table).items()}
    assert verdicts == {"W1": "as in the paper", "W2": "as in the paper", "W3": "the other way round",
                        "W4": "as in the paper", "W5": "as in the paper", "W6": "the other way round"}  # fmt: skip
    assert found(table)["W4"].sides == ("dpo, beta 1", "rloo, reward learned")


def test_what_noise_could_have_done_is_not_told_apart():
    random = np.random.default_rng(0)
    table = {START: random.integers(0, 2, (400, 3)).astype(float), DPO: random.integers(0, 2, (400, 3)).astype(float),
             CHOSEN: random.integers(0, 2, (400, 3)).astype(float)}  # fmt: skip
    seen = found(table)
    assert seen["W1"].verdict == "not told apart" and seen["W1"].difference.low < 0 < seen["W1"].difference.high
    assert seen["W3"].verdict == "not told apart" and seen["W3"].difference.low < 0 < seen["W3"].difference.high


def test_a_claim_that_something_is_not_above_is_held_by_what_is_below_alone():
    below, level = {START: scores(0.5, 0.5, 0.4), CHOSEN: scores(0.4, 0.5, 0.4)}, scores(0.5, 0.5, 0.4)
    assert found(below)["W3"].verdict == "as in the paper"
    assert found({START: level, CHOSEN: level})["W3"].verdict == "not told apart"  # an interval from 0 to 0
    assert found({START: level * np.nan, CHOSEN: level})["W3"].verdict == "not told apart"


def test_what_is_not_trained_or_not_sampled_is_not_tested():
    seen = found({START: scores(0.5, 0.5, 0.5), DPO: scores(0.9, 0.9, 0.9)})
    assert [name for name, each in seen.items() if each.verdict != "not tested"] == ["W1"]
    warm = found({START: scores(0.5, 0.5, 0.5), DPO: scores(0.9, 0.9, 0.9)}, (0.25, 0.5, 1.0))
    assert warm["W1"].verdict == "not tested" and warm["W1"].as_dict()["difference"] is None


def test_intervals_are_over_prompts():
    """The same pairs from fewer prompts tell less."""
    random = np.random.default_rng(1)
    table = {START: random.integers(0, 2, (400, 3)).astype(float), DPO: random.integers(0, 2, (400, 3)).astype(float)}
    table = {arm: np.repeat(each[:40], 10, axis=0) for arm, each in table.items()}
    alone, together = (
        claims(table, TEMPERATURES, [number // size for number in range(400)])[0].difference for size in (1, 10)
    )
    assert together.high - together.low > 2 * (alone.high - alone.low) and together.clusters == 40
