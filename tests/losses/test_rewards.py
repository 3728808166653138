"""Losses that know a judge's scores."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import best_margin, slopes, value

RATIO = st.floats(-30, 30)
GAP = st.floats(-6, 6)
DISTANCES = ["kl_target_model", "kl_model_target", "squared"]


@given(RATIO, RATIO, GAP)
def test_rpo_is_soft_dpo_less_the_entropy_of_its_label(chosen, rejected, gap):
    q = 1 / (1 + math.exp(-0.7 * gap))
    entropy = -q * math.log(q) - (1 - q) * math.log(1 - q)
    expected = value("dpo", chosen, rejected, prob=q) - entropy
    assert value("rpo", chosen, rejected, gap=gap, eta=0.7) == pytest.approx(expected, abs=1e-11)
    pull = slopes("dpo", chosen, rejected, prob=q)
    assert slopes("rpo", chosen, rejected, gap=gap, eta=0.7) == pytest.approx(pull, abs=1e-12)


@given(st.floats(-5, 5), GAP)
def test_the_two_divergences_swap_their_arguments(u, gap):
    """Each is the other with model and target exchanged, which names by direction confuse."""
    one = value("rpo", u, 0.0, gap=gap, beta=1.0, distance="kl_target_model")
    other = value("rpo", gap, 0.0, gap=u, beta=1.0, distance="kl_model_target")
    assert one == pytest.approx(other, abs=1e-12) and one >= -1e-12


@pytest.mark.parametrize("gap", [-2.0, 0.0, 1.5])
@pytest.mark.parametrize("distance", DISTANCES)
def test_rpo_has_its_minimum_where_rewards_differ_as_scores_do(distance, gap):
    settings = {"beta": 0.5, "eta": 0.8, "gap": gap, "distance": distance}
    assert best_margin("rpo", -8, 8, **settings) == pytest.approx(0.8 * gap / 0.5, abs=1e-6)
    assert value("rpo", 0.8 * gap / 0.5, 0.0, **settings) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("form", ["code", "paper"])
@pytest.mark.parametrize("gap", [-2.0, 0.0, 1.5])
def test_rebel_finds_the_policy_tilted_by_the_reward(form, gap):
    assert best_margin("rebel", gap=gap, eta=2.5, form=form) == pytest.approx(2.5 * gap, abs=1e-9)


@given(RATIO, RATIO, GAP, st.floats(0.1, 5))
def test_rebels_forms_differ_by_eta_squared_and_are_squared_rpo(chosen, rejected, gap, eta):
    code, paper = (value("rebel", chosen, rejected, gap=gap, eta=eta, form=form) for form in ("code", "paper"))
    assert code == pytest.approx(eta**2 * paper, rel=1e-9, abs=1e-12)
    squared = value("rpo", chosen, rejected, gap=gap, beta=1 / eta, eta=1.0, distance="squared")
    assert paper == pytest.approx(squared, rel=1e-12)


@given(RATIO, RATIO, st.floats(0.01, 20))
def test_odpo_is_dpo_with_the_margin_moved_by_the_log_of_the_gap(chosen, rejected, gap):
    moved = value("dpo", chosen - 2 * math.log(gap) / 0.1, rejected)
    assert value("odpo", chosen, rejected, gap=gap, alpha=2.0) == pytest.approx(moved, rel=1e-9)
    assert value("odpo", chosen, rejected, gap=gap, alpha=0.0) == value("dpo", chosen, rejected)


def test_odpo_asks_more_of_a_clear_win_and_less_below_one_point():
    narrow, one, clear = (value("odpo", 0.0, 0.0, gap=gap) for gap in (0.5, 1.0, 3.0))
    assert narrow < one == math.log(2) < clear


@pytest.mark.parametrize("distance", DISTANCES)
def test_rpo_is_finite_for_scores_far_apart(distance):
    for gap in (-1e4, 1e4):
        assert all(map(math.isfinite, slopes("rpo", 1e5, -1e5, gap=gap, distance=distance)))
