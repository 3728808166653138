"""Weights by the policy's confidence."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import best_margin, comparisons, logit, scores_at, slopes, value
from losses.worlds import column

from prefsmith.losses import resolve

SURE = st.floats(-4, 3)


@given(st.floats(-30, 30), SURE, SURE, st.floats(0, 1))
def test_wpo_is_dpo_times_both_weights_at_most_one(margin, chosen, rejected, prob):
    more, base = {"confidence": column(chosen, rejected)}, value("dpo", margin, 0.0, beta=0.01, prob=prob)
    weight = math.exp(chosen + rejected)
    free = value("wpo", margin, 0.0, prob=prob, more=more, clamp="no")
    assert free == pytest.approx(weight * base, rel=1e-12)
    assert value("wpo", margin, 0.0, prob=prob, more=more) == pytest.approx(min(1.0, weight) * base, rel=1e-12)


def test_it_is_the_product_that_is_clamped():
    assert value("wpo", 0.0, 0.0, more={"confidence": column(1.0, -1.5)}) == pytest.approx(math.exp(-0.5) * math.log(2))


@given(SURE, SURE)
def test_the_weight_scales_the_pull_and_leaves_the_optimum(chosen, rejected):
    more = {"confidence": column(chosen, rejected)}
    weight = min(1.0, math.exp(chosen + rejected))
    expected = [weight * each for each in slopes("dpo", -0.4, -0.9, beta=0.01)]
    assert slopes("wpo", -0.4, -0.9, more=more) == pytest.approx(expected, rel=1e-12)


def test_the_optimum_of_a_soft_label_is_that_of_dpo():
    found = best_margin("wpo", prob=0.8, beta=0.1, more={"confidence": column(-0.3, -2.0)})
    assert found == pytest.approx(logit(0.8) / 0.1, rel=1e-9)


def test_the_weight_carries_no_gradient():
    """The policy could otherwise lower the loss by becoming unsure."""
    sure, chosen = column(-0.35, -0.5).requires_grad_(True), column(-0.4).requires_grad_(True)
    resolve("wpo", {"clamp": "no"})(scores_at(chosen, column(-0.9), confidence=sure), comparisons(1)).sum().backward()
    assert sure.grad is None and torch.isfinite(chosen.grad).all() and chosen.grad.item() < 0
