"""Losses that keep chosen from falling."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import comparisons, scores_at, slopes, value
from losses.worlds import column

from prefsmith.losses import resolve

RATIO = st.floats(-30, 30)


@given(RATIO, RATIO)
def test_dpop_penalises_inside_beta_and_the_logarithm(chosen, rejected):
    """The first version of the paper, and code after it, subtracts the penalty outside of one or both."""
    margin = chosen - rejected - 7 * max(0.0, -chosen)
    assert value("dpop", chosen, rejected, beta=0.2, lam=7.0) == pytest.approx(value("dpo", margin, 0.0, beta=0.2))
    if chosen >= 0:
        assert value("dpop", chosen, rejected, beta=0.2) == value("dpo", chosen, rejected, beta=0.2)
    assert value("dpop", chosen, rejected, lam=0.0) == value("dpo", chosen, rejected, beta=0.3)


def test_dpop_pulls_a_fallen_chosen_side_up_51_times_as_hard():
    chosen, rejected = slopes("dpop", -1.0, -2.0)
    assert chosen == pytest.approx(-51 * rejected) and rejected > 0
    assert slopes("dpop", 0.0, 0.0) == slopes("dpo", 0.0, 0.0, beta=0.3)  # at the start it has not fallen


@given(RATIO, RATIO, st.floats(0.1, 1))
def test_dpo_shift_counts_rejected_f_times(chosen, rejected, f):
    assert value("dpo_shift", chosen, rejected, f=f) == pytest.approx(value("dpo", chosen, f * rejected, beta=0.01))
    assert value("dpo_shift", chosen, rejected, f=1.0) == value("dpo", chosen, rejected, beta=0.01)


@pytest.mark.parametrize(("f", "f_end"), [(0.95, 1.0), (1.0, 0.95)])
def test_the_schedule_of_dpo_shift_is_linear_and_then_stays(f, f_end):
    """As a run sees it: the state is that of the steps before, and can be taken up anywhere."""
    term = resolve("dpo_shift", {"f": f, "f_end": f_end, "steps": 4})
    step = scores_at(column(1.0), column(-20)), comparisons(1)
    state, found = term.first_state(), []
    for _ in range(7):
        found.append(term(*step, state).item())
        state = term.next_state(state, *step)
    shares = [f + (f_end - f) * min(done / 4, 1) for done in range(7)]
    assert found == pytest.approx([value("dpo", 1.0, -20 * share, beta=0.01) for share in shares], rel=1e-12)
    assert state == {"steps": 7.0}


def test_dpo_shift_without_a_schedule_never_moves():
    for steps in (0.0, 1e6):
        assert value("dpo_shift", 3.0, -20.0, state={"steps": steps}) == value("dpo_shift", 3.0, -20.0)


@pytest.mark.parametrize("name", ["dpop", "dpo_shift"])
def test_they_are_finite_far_out(name):
    for sides in ((1e5, -1e5), (-1e5, 1e5)):
        assert math.isfinite(value(name, *sides)) and all(map(math.isfinite, slopes(name, *sides)))
