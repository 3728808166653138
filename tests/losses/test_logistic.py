"""DiscoPOP: a loss that is not convex."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import slopes, value


@given(st.floats(-20, 20), st.floats(0.2, 1))
def test_discopop_is_what_the_paper_prints(u, tau):
    """With m = s(u / tau), not the older s(u), and e^-u beside the weight m; written out without care for overflow."""
    m = 1 / (1 + math.exp(-u / tau))
    expected = (1 - m) * math.log1p(math.exp(-u)) + m * math.exp(-u)
    assert value("discopop", u, 0.0, beta=1.0, tau=tau) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("h", [-1e5, -3e4, 3e4, 1e5])
@pytest.mark.parametrize("tau", [0.05, 1.0])
def test_discopop_is_finite_far_out(h, tau):
    """m underflows where e^-u overflows: their product is small, and nan where they are multiplied."""
    loss, (slope, _) = value("discopop", h, 0.0, tau=tau), slopes("discopop", h, 0.0, tau=tau)
    expected = (0, 0) if h > 0 else (-0.05 * h + (tau == 1), -0.05)
    assert (loss, slope) == pytest.approx(expected, abs=1e-9)


def test_discopop_falls_back_at_first_and_only_with_a_small_tau():
    crossing = (1 - math.log(2)) / 3
    assert (
        slopes("discopop", 0.0, 0.0, tau=crossing - 1e-4)[0] > 0 > slopes("discopop", 0.0, 0.0, tau=crossing + 1e-4)[0]
    )
    assert crossing == pytest.approx(0.102, abs=5e-4)
    for bend in (-0.119, 0.072):  # the valley and the crest of its page
        around = [slopes("discopop", u, 0.0, beta=1.0)[0] for u in (bend - 1e-3, bend + 1e-3)]
        assert around[0] * around[1] < 0
