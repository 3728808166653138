"""Losses by the divergence that holds the policy."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import best_margin, logit, slopes, value

RATIO = st.floats(-10, 10)


@given(RATIO, RATIO, st.floats(0, 1))
def test_fdpo_with_reverse_kl_is_dpo(chosen, rejected, prob):
    assert value("fdpo", chosen, rejected, prob=prob) == value("dpo", chosen, rejected, prob=prob)


@given(RATIO, RATIO)
def test_alpha_runs_from_forward_to_reverse_kl(chosen, rejected):
    def at(divergence, alpha=0.5):
        return value("fdpo", chosen, rejected, divergence=divergence, alpha=alpha)

    assert at("alpha", 1 - 1e-9) == pytest.approx(at("reverse_kl"), rel=1e-5)
    assert at("alpha", 1e-12) == pytest.approx(at("forward_kl"), rel=1e-7)


F_OF = {
    "reverse_kl": lambda u: u * math.log(u),
    "forward_kl": lambda u: -math.log(u),
    "js": lambda u: u * math.log(u) - (u + 1) * math.log((u + 1) / 2),
    "alpha": lambda u: (u**0.3 - 0.3 * u - 0.7) / (0.3 * (0.3 - 1)),
}


@pytest.mark.parametrize("divergence", F_OF)
@pytest.mark.parametrize(("chosen", "rejected"), [(-0.4, -0.9), (1.2, -2.0), (-3.0, 1.0)])
def test_each_margin_is_the_derivative_of_its_divergence(divergence, chosen, rejected):
    """By finite differences of f at policy / reference; a constant in f' cancels."""

    def derivative(ratio, step=1e-5):
        u = math.exp(ratio)
        return (F_OF[divergence](u * (1 + step)) - F_OF[divergence](u * (1 - step))) / (2 * step * u)

    expected = value("dpo", derivative(chosen), derivative(rejected), prob=0.8)
    assert value("fdpo", chosen, rejected, prob=0.8, divergence=divergence, alpha=0.3) == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("divergence", F_OF)
def test_every_divergence_is_finite_where_others_overflow(divergence):
    for sides in ((-1e5, 1e5), (1e5, -1e5), (-600.0, -600.0), (-1e3, 0.0), (-90.0, 5.0)):
        assert math.isfinite(value("fdpo", *sides, divergence=divergence))
        # Squared, they are summed to a gradient's norm in float32.
        assert all(
            math.isfinite(torch.tensor(slope).float().square())
            for slope in slopes("fdpo", *sides, divergence=divergence)
        )


def test_chi_po_has_its_link_and_its_optimum_inside_the_clip():
    def u(h):
        return 0.05 * (math.exp(h / 2) + h / 2 - math.exp(-h / 2) + h / 2)

    for prob in (0.3, 0.6, 0.8):
        assert u(best_margin("chi_po", -6.5, 6.5, prob=prob)) == pytest.approx(logit(prob), abs=1e-9)


def test_chi_po_learns_nothing_beyond_the_clip_on_either_side():
    """2 R of reward, not R and not R / beta; a rising side reaches it by its exponential."""
    edge = 2 * 0.3 / 0.05
    flat = {
        h: slopes("chi_po", -30.0 + h, -30.0, bound=0.3) for h in (edge - 0.01, edge + 0.01, -edge + 0.01, -edge - 0.01)
    }
    assert [slope != (0.0, 0.0) for slope in flat.values()] == [True, False, True, False]
    assert slopes("chi_po", 4.0, 0.0)[0] == 0 > slopes("chi_po", 3.0, 0.0)[0]


def test_chi_po_is_finite_far_out():
    for sides in ((1e5, -1e5), (-1e5, 1e5), (1e5, 1e5), (800.0, 0.0)):
        assert math.isfinite(value("chi_po", *sides)) and all(map(math.isfinite, slopes("chi_po", *sides)))
