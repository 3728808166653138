"""Calibration of planted probabilities: exact ones, ones that are too sure, and ones by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.evaluate.calibration import calibration, expected_error


def drawn(count, *, true_beta, spread=15.0, seed=0):
    """Margins, turned as labels that follow sigmoid(true_beta h) turn them."""
    random = np.random.default_rng(seed)
    margin = random.normal(0, spread, count)
    return np.where(random.random(count) < 1 / (1 + np.exp(-true_beta * margin)), margin, -margin)


def found(margin, beta, **changes):
    count = len(margin)
    given = {"prob": np.ones(count), "weight": np.ones(count), "prompt": np.arange(count), **changes}
    return calibration(np.asarray(margin, float), beta, given["prob"], given["weight"], given["prompt"])


def test_four_pairs_by_hand():
    """Two pairs told with 0.82, one of them right, and two with 0.91, both right."""
    low, high = math.log(0.82 / 0.18), math.log(0.91 / 0.09)
    seen = found([low, -low, high, high], 1.0)
    assert [(round(each.sureness, 12), each.right.value, each.right.n) for each in seen.bins] == [
        (0.82, 0.5, 2), (0.91, 1.0, 2),
    ]  # fmt: skip
    assert [(round(each.low, 9), round(each.high, 9)) for each in seen.bins] == [(0.8, 0.85), (0.9, 0.95)]
    assert seen.ece.value == pytest.approx((2 * 0.32 + 2 * 0.09) / 4)
    assert seen.overconfidence.value == pytest.approx((2 * 0.32 - 2 * 0.09) / 4)
    assert seen.brier.value == pytest.approx((0.18**2 + 0.82**2 + 2 * 0.09**2) / 4)
    assert seen.log_loss.value == pytest.approx(-(math.log(0.82) + math.log(0.18) + 2 * math.log(0.91)) / 4)


def test_probabilities_that_are_right_lie_on_the_line():
    seen = found(drawn(4000, true_beta=0.1), 0.1)
    outside = [each for each in seen.bins if not each.right.low <= each.sureness <= each.right.high]
    assert len(seen.bins) == 10 and len(outside) <= 2
    assert seen.ece.value < seen.ece_by_chance[1] and seen.overconfidence.low < 0 < seen.overconfidence.high


@pytest.mark.parametrize(("beta", "sign"), [(0.4, 1), (0.025, -1)])
def test_a_wrong_beta_is_seen_and_its_direction_too(beta, sign):
    seen = found(drawn(4000, true_beta=0.1), beta)
    assert seen.ece.value > 2 * seen.ece_by_chance[1]
    assert sign * seen.overconfidence.value > 0 and seen.overconfidence.low * seen.overconfidence.high > 0
    right = found(drawn(4000, true_beta=0.1), 0.1)
    assert right.log_loss.value < seen.log_loss.value and right.brier.value < seen.brier.value


def test_what_chance_alone_gives_is_what_calibrated_worlds_have():
    worlds = [found(drawn(300, true_beta=0.1, seed=seed), 0.1) for seed in range(12)]
    errors = [each.ece.value for each in worlds]
    assert np.mean(errors) == pytest.approx(np.mean([each.ece_by_chance[0] for each in worlds]), rel=0.25)


def test_a_policy_that_tells_nothing_is_a_coin():
    seen = found(np.zeros(50), 0.1)
    assert seen.brier.value == 0.25 and seen.log_loss.value == pytest.approx(math.log(2))
    assert [(each.sureness, each.right.value) for each in seen.bins] == [(0.5, 0.5)] and seen.ece.value == 0


def test_a_soft_label_counts_by_its_probability():
    seen = found([math.log(3)] * 40, 1.0, prob=np.full(40, 0.75))
    assert seen.ece.value == pytest.approx(0) and seen.bins[0].right.value == 0.75
    assert seen.log_loss.value == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert seen.brier.value == pytest.approx(0.75 * 0.0625 + 0.25 * 0.5625)


def test_margins_of_any_size_have_finite_numbers():
    seen = found([1e6, -1e6, 800.0], 10.0)
    assert math.isfinite(seen.log_loss.value) and seen.brier.value == pytest.approx(1 / 3)
    assert [each.high for each in seen.bins] == [1.0]


def test_the_edge_of_a_bin_belongs_to_the_upper_one():
    logit = math.log(0.75 / 0.25)
    low = found([np.nextafter(logit, 0) - 1e-12], 1.0).bins[0]
    assert low.high == pytest.approx(0.75) and found([logit + 1e-12], 1.0).bins[0].low == pytest.approx(0.75)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.01, 5)), min_size=2, max_size=30))
def test_turning_pairs_round_changes_nothing(rows):
    margin, weight = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    prob = np.linspace(0, 1, len(rows))
    one = found(margin, 0.3, prob=prob, weight=weight)
    two = found(-margin, 0.3, prob=1 - prob, weight=weight)
    assert one.as_dict()["bins"] == [
        {**each, "sureness": pytest.approx(each["sureness"]),
         "right": {**each["right"], **{key: pytest.approx(each["right"][key]) for key in ("value", "low", "high")}}}
        for each in two.as_dict()["bins"]
    ]  # fmt: skip
    for name in ("ece", "brier", "log_loss", "overconfidence"):
        assert getattr(one, name).value == pytest.approx(getattr(two, name).value, abs=1e-12)


def test_the_error_of_each_draw_is_that_of_its_counts():
    values = np.array([[0, 0.3, 1.0], [0, -0.1, 1.0], [1, 0.2, 2.0]])
    counts = np.array([[1.0, 1, 1], [2, 0, 1]])
    assert expected_error(values, counts).tolist() == pytest.approx([(0.2 + 0.2) / 4, (0.6 + 0.2) / 4])
