"""Losses whose pull fades or stops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import best_margin, comparisons, logit, optimum, scores_at, slopes, value
from losses.worlds import column

from prefsmith.losses import resolve

RATIO = st.floats(-30, 30)
SIDE = st.floats(-300, 300)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@given(RATIO)
def test_hinge_is_straight_up_to_its_target_and_then_nothing(h):
    assert value("hinge", h, 0.0, beta=0.1) == pytest.approx(max(0.0, 1 - 0.1 * h))
    assert slopes("hinge", 10.001, 0.0, beta=0.1) == (0.0, 0.0) and slopes("hinge", 9.999, 0.0, beta=0.1) == (-0.1, 0.1)


@given(SIDE, SIDE)
def test_apo_zero_is_a_sum_over_sides(chosen, rejected):
    loss = value("apo_zero", chosen, rejected)
    assert loss == pytest.approx(1 - sigmoid(0.1 * chosen) + sigmoid(0.1 * rejected)) and 0 <= loss <= 2
    assert slopes("apo_zero", chosen, rejected)[0] == slopes("apo_zero", chosen, 7.0)[0]


@given(SIDE, SIDE)
def test_apo_down_lowers_chosen_where_rejected_is_far_below(chosen, rejected):
    loss = value("apo_down", chosen, rejected)
    assert loss == pytest.approx(sigmoid(0.1 * chosen) + 1 - sigmoid(0.1 * (chosen - rejected))) and 0 <= loss <= 2
    assert slopes("apo_down", 0.0, -50.0)[0] > 0 and slopes("apo_down", 0.0, -50.0)[1] > 0


@pytest.mark.parametrize(("prob", "target"), [(1.0, 0.999), (0.0, 0.001), (0.8, 0.8), (0.5, 0.5), (0.9999, 0.999)])
def test_exo_is_smallest_at_the_labels_log_odds_within_its_bounds(prob, target):
    assert best_margin("exo", -9, 9, prob=prob, beta=1.0) == pytest.approx(logit(target), abs=1e-6)
    assert value("exo", logit(target), 0.0, prob=prob, beta=1.0) == pytest.approx(0, abs=1e-14)


@given(st.floats(-20, 20), st.floats(0.01, 0.99))
def test_exo_weighs_by_the_policy_and_not_by_the_label(u, prob):
    p = sigmoid(u)
    expected = p * math.log(p / prob) + (1 - p) * math.log((1 - p) / (1 - prob))
    assert value("exo", u, 0.0, beta=1.0, prob=prob) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("prob", [0.0, 1.0])
def test_exo_keeps_the_digits_of_a_small_epsilon(prob):
    """Caught where 1 - epsilon is rounded to 1 and its complement to 0."""
    start = -math.log(2) - 0.5 * math.log(1e-20)
    assert value("exo", 0.0, 0.0, prob=prob, epsilon=1e-20) == pytest.approx(start, rel=1e-14)
    better = math.log(1e20) * (2 * prob - 1)
    assert value("exo", better, 0.0, prob=prob, beta=1.0, epsilon=1e-20) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("name", ["exo", "apo_zero", "apo_down"])
def test_bounded_losses_stay_so_far_out(name):
    for sides in ((1e5, -1e5), (-1e5, 1e5)):
        assert 0 <= value(name, *sides) <= 10 and all(map(math.isfinite, slopes(name, *sides)))


@pytest.mark.parametrize("prob", [0.3, 0.5, 0.8, 1.0])
def test_nca_stops_each_side_at_twice_its_share(prob):
    chosen = optimum(lambda each: slopes("nca", each, 3.0, beta=1.0, prob=prob)[0], -50, 50)
    assert chosen == pytest.approx(math.log(2 * prob), abs=1e-9)
    if prob < 1:
        rejected = optimum(lambda each: slopes("nca", 3.0, each, beta=1.0, prob=prob)[1], -50, 50)
        assert rejected == pytest.approx(math.log(2 - 2 * prob), abs=1e-9)
    else:
        assert slopes("nca", 3.0, -30.0, beta=1.0, prob=prob)[1] > 0  # no end for rejected


@pytest.mark.parametrize("prob", [0.2, 0.5, 0.9])
def test_bco_puts_each_side_at_its_log_odds_around_the_mean_reward(prob):
    settings = {"beta": 1.0, "prob": prob, "state": {"mean": 0.7, "count": 4.0}}
    assert slopes("bco", 0.7 + logit(prob), 0.7 - logit(prob), **settings) == pytest.approx((0, 0), abs=1e-12)
    around = [slopes("bco", 0.7 + logit(prob) + by, 0.0, **settings)[0] for by in (-1e-3, 1e-3)]
    assert around[0] < 0 < around[1]


def test_bco_remembers_the_mean_of_all_rewards_by_data_weight():
    """Cumulative, over both sides: not a moving average, and the order of the steps does not matter."""
    term = resolve("bco", {"beta": 0.1})
    steps = [
        (scores_at(column(1, 2.0), column(-1, 4.0)), comparisons(2, weight=column(1, 3))),
        (scores_at(column(-5.0), column(10)), comparisons(1, weight=2.0)),
    ]
    mean = 0.1 * (1 * 1 + 1 * -1 + 3 * 2 + 3 * 4 + 2 * -5 + 2 * 10) / 12
    for order in (steps, reversed(steps)):
        state = term.first_state()
        for step in order:
            state = term.next_state(state, *step)
        assert state == pytest.approx({"mean": mean, "count": 12})
    assert term.next_state(state, scores_at(column(9.0), column(9)), comparisons(1, weight=0.0)) == pytest.approx(state)
    assert term.next_state(term.first_state(), scores_at(column(9.0), column(9)), comparisons(1, weight=0.0)) == {
        "mean": 0.0,
        "count": 0.0,
    }


def test_bco_does_not_see_its_own_step():
    """The check value with the step taken in is another number than that of the first step."""
    after = resolve("bco", {}).next_state(
        {"mean": 0.0, "count": 0.0}, scores_at(column(-0.4), column(-0.9)), comparisons(1)
    )
    assert after["mean"] == pytest.approx(-0.0065)
    assert value("bco", -0.4, -0.9, state=after) == pytest.approx(1.38379592362, rel=1e-10)
    assert value("bco", -0.4, -0.9) == pytest.approx(1.38380648608, rel=1e-10)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_dpo_norm_is_dpo_of_averages(w, l, prob):  # noqa: E741
    leaves = column(-3.0), column(2.0)
    found = resolve("dpo_norm", {})(scores_at(*leaves, tokens=(w, l)), comparisons(1, prob)).item()
    assert found == pytest.approx(value("dpo", -3.0 / w, 2.0 / l, prob=prob, beta=5.0), rel=1e-12)
    assert torch.isfinite(column(found)).all()
