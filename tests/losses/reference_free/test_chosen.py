"""Losses with the likelihood of chosen in them: identities, limits, and probabilities next to 1."""

import math
from decimal import Decimal, getcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.slopes import at
from losses.worlds import column, pairs

POLICY, TOKENS = [-7.0, -11.0], (3, 5)


@pytest.mark.parametrize("prob", [0.2, 0.5, 1.0])
def test_cpo_without_likelihood_is_dpo_with_a_flat_reference(prob):
    labels = pairs((0, 1), prob=prob)
    own = at("cpo", POLICY, labels, tokens=TOKENS, alpha=0.0, beta=0.3)
    flat = at("dpo", POLICY, labels, reference=[0.0, 0.0], tokens=TOKENS, beta=0.3)
    for found, known in zip(own, flat, strict=True):
        torch.testing.assert_close(found, known, rtol=1e-14, atol=0)


@pytest.mark.parametrize(("length_norm", "size"), [("token", TOKENS), ("none", (1, 1))])
def test_the_likelihood_part_is_a_cross_entropy_under_the_label(length_norm, size):
    """Caught: the likelihood of chosen alone under a soft label, and a mean where the sum was asked for."""
    labels = pairs((0, 1), prob=0.7)
    with_it, without = (
        at("cpo", POLICY, labels, tokens=TOKENS, alpha=alpha, length_norm=length_norm) for alpha in (2.0, 0.0)
    )
    wanted = 2 * (0.7 * 7.0 / size[0] + 0.3 * 11.0 / size[1])
    assert (with_it[0] - without[0]).item() == pytest.approx(wanted)
    torch.testing.assert_close(with_it[1] - without[1], -2 * column(0.7 / size[0], 0.3 / size[1]))


@pytest.mark.parametrize("prob", [0.2, 0.5, 0.9])
def test_the_odds_part_of_orpo_is_smallest_where_the_log_odds_differ_by_those_of_the_label(prob):
    low = -1.5
    odds = low - math.log(-math.expm1(low)) + math.log(prob / (1 - prob))
    policy, labels = [-math.log1p(math.exp(-odds)), low], pairs((0, 1), prob=prob)
    with_it, without = (at("orpo", policy, labels, lam=lam)[1] for lam in (1.0, 0.0))
    assert (with_it - without).abs().max() < 1e-12
    torch.testing.assert_close(without, -column(prob, 1 - prob))


def exact_orpo(chosen, rejected, lam):
    """The loss with sixty digits."""
    getcontext().prec = 60
    chosen, rejected, lam = Decimal(chosen), Decimal(rejected), Decimal(lam)
    odds = [average.exp() / (1 - average.exp()) for average in (chosen, rejected)]
    return float(-chosen + lam * (1 + odds[1] / odds[0]).ln())


@pytest.mark.parametrize("average", [-1e-7, -3e-6, -1e-3, -0.7, -30.0, -700.0])
def test_orpo_keeps_its_digits_next_to_certainty_and_far_from_it(average):
    """Caught: log1p(-exp(avg)), which is -infinity at -1e-17 and has lost half its digits at -1e-8."""
    for policy in ([average, -1.0], [-1.0, average]):
        values, gradient = at("orpo", policy, pairs((0, 1)), lam=0.1)
        assert values.item() == pytest.approx(exact_orpo(*policy, "0.1"), rel=1e-13)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("average", [-1e-9, 0.0, 1e-6])
def test_orpo_goes_on_straight_where_a_probability_is_rounding(average):
    for policy in ([average, -1.0], [-1.0, average], [average, average]):
        values, gradient = at("orpo", policy, pairs((0, 1)))
        assert torch.isfinite(values).all() and torch.isfinite(gradient).all()
        assert gradient[0] < 0 < gradient[1]
    border = at("orpo", [-1.0, -1e-7], pairs((0, 1)))[1]
    torch.testing.assert_close(at("orpo", [-1.0, average], pairs((0, 1)))[1], border)


def test_slic_leaves_a_pair_alone_once_chosen_leads():
    """Sums, not means: the lead is in nats of the completion."""
    values, gradient = at("slic", [-7.0, -9.0], pairs((0, 1)), tokens=TOKENS)
    assert values.item() == pytest.approx(0.7) and gradient.tolist() == pytest.approx([-0.1, 0.0])
    values, gradient = at("slic", [-7.0, -7.5], pairs((0, 1)), tokens=TOKENS)
    assert values.item() == pytest.approx(0.5 + 0.7) and gradient.tolist() == pytest.approx([-1.1, 1.0])
    values, gradient = at("slic", [-7.0, -7.5], pairs((0, 1)), delta=0.5, lam=0.0)
    assert (values.item() == 0 and gradient.tolist() == [0.0, 0.0]) or gradient[0] <= 0


def test_unlikelihood_pulls_by_tokens_and_without_end():
    values, gradient = at("unlikelihood", POLICY, pairs((0, 1)), tokens=TOKENS, alpha=0.5)
    assert values.item() == pytest.approx(7 / 3 - 0.5 * 11 / 5)
    assert gradient.tolist() == pytest.approx([-1 / 3, 0.5 / 5])
    assert at("unlikelihood", [-1.0, -1e4], pairs((0, 1)))[0].item() < -900


@given(st.floats(-1e4, 0.0), st.floats(-1e4, 0.0))
def test_simper_is_bounded_and_its_pull_is_one_over_the_perplexity(chosen, rejected):
    values, gradient = at("simper", [2 * chosen, 4 * rejected], pairs((0, 1)), tokens=(2, 4))
    assert -1 <= values.item() <= 1
    assert gradient.tolist() == pytest.approx([-math.exp(chosen) / 2, math.exp(rejected) / 4], rel=1e-12, abs=1e-300)
