"""Regressions of each side on a target."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import optimum, slopes, value

RATIO = st.floats(-30, 30)


@given(st.floats(0, 1), st.floats(0.01, 2))
def test_sppo_is_zero_where_each_side_is_at_its_target(prob, beta):
    target = (prob - 0.5) / beta
    assert value("sppo", target, -target, prob=prob, beta=beta) == pytest.approx(0, abs=1e-18)
    assert slopes("sppo", target, -target, prob=prob, beta=beta) == pytest.approx((0, 0), abs=1e-9)


@given(RATIO, RATIO, st.floats(0, 1))
def test_sppo_of_the_authors_is_half_of_trls(chosen, rejected, prob):
    """The factor two by which implementations differ, in value and gradient."""
    sides, settings = (chosen, rejected), {"prob": prob, "beta": 0.1}
    whole, half = (value("sppo", *sides, **settings, eta_form=form) for form in ("sum", "half"))
    assert whole == pytest.approx(2 * half, rel=1e-15)
    pulls = [slopes("sppo", *sides, **settings, eta_form=form)[0] for form in ("sum", "half")]
    assert pulls[0] == pytest.approx(2 * pulls[1], rel=1e-15)


@given(RATIO, RATIO)
def test_sppo_of_a_sure_pair_is_the_hard_form(chosen, rejected):
    expected = (chosen - 5) ** 2 + (rejected + 5) ** 2
    assert value("sppo", chosen, rejected, beta=0.1) == pytest.approx(expected, rel=1e-12)


def test_sppo_and_cal_dpo_raise_a_chosen_side_that_fell_together_with_rejected():
    """dpo sees the margin alone, and that is wide here."""
    for name, settings in (("sppo", {"beta": 0.1}), ("cal_dpo", {"beta": 0.1})):
        assert slopes(name, -20.0, -200.0, **settings)[0] < -1
    assert abs(slopes("dpo", -20.0, -200.0)[0]) < 1e-6


@given(RATIO, RATIO, st.floats(0.01, 1))
def test_cal_dpo_has_no_beta_in_its_logistic_term(chosen, rejected, beta):
    assert value("cal_dpo", chosen, rejected, beta=beta, c=0.0) == value("dpo", chosen, rejected, beta=1.0)


@pytest.mark.parametrize("c", [0.5, 1.0])
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_cal_dpo_ends_a_little_above_its_targets(beta, c):
    side = optimum(lambda each: slopes("cal_dpo", each, -each, beta=beta, c=c)[0])
    expected = 0.5 / beta + 1 / (1 + math.exp(2 * side)) / (2 * c)
    assert side == pytest.approx(expected, rel=1e-9) and side > 0.5 / beta
