"""Losses that read the divergence at every token."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import best_margin, comparisons, logit, scores_at, slopes, value
from losses.worlds import column

from prefsmith.losses import resolve

RATIO = st.floats(-30, 30)
MOVED = st.floats(0, 20)


@given(RATIO, RATIO, st.floats(0, 1))
def test_without_divergence_both_are_dpo(chosen, rejected, prob):
    still = {"kl": column(0.0, 0.0)}
    assert value("tdpo1", chosen, rejected, prob=prob, more=still) == value("dpo", chosen, rejected, prob=prob)
    assert value("tdpo2", chosen, rejected, more=still) == value("dpo", chosen, rejected)


@given(RATIO, RATIO, MOVED, MOVED)
def test_what_moved_along_rejected_is_taken_from_the_margin(chosen, rejected, along_chosen, along_rejected):
    more, gap = {"kl": column(along_chosen, along_rejected)}, along_rejected - along_chosen
    assert value("tdpo1", chosen, rejected, more=more) == pytest.approx(value("dpo", chosen - gap, rejected), rel=1e-9)
    expected = value("dpo", chosen - 0.3 * gap, rejected)
    assert value("tdpo2", chosen, rejected, more=more, alpha=0.3) == pytest.approx(expected, rel=1e-9)
    assert value("tdpo2", chosen, rejected, more=more, alpha=0.0) == value("dpo", chosen, rejected)


def test_tdpo1_has_its_optimum_where_its_page_says():
    found = best_margin("tdpo1", prob=0.8, more={"kl": column(0.3, 0.45)})
    assert 0.1 * (found + 0.3 - 0.45) == pytest.approx(logit(0.8), rel=1e-9)


def pulled(name, **settings):
    """The derivative by the divergences along chosen and along rejected."""
    kl = column(0.3, 0.45).requires_grad_(True)
    scores = scores_at(column(-0.4), column(-0.9), kl=kl)
    resolve(name, settings)(scores, comparisons(1)).sum().backward()
    return kl.grad.tolist()


def test_only_tdpo2_holds_the_chosen_divergence_still():
    by_chosen = slopes("tdpo1", -0.4, -0.9, more={"kl": column(0.3, 0.45)})[0]
    assert pulled("tdpo1") == pytest.approx([by_chosen, -by_chosen]) and by_chosen < 0
    along_chosen, along_rejected = pulled("tdpo2", alpha=0.5)
    assert along_chosen == 0 < along_rejected


@pytest.mark.parametrize("name", ["tdpo1", "tdpo2"])
def test_they_are_finite_far_out(name):
    for kl in (column(0.0, 1e5), column(1e5, 0)):
        for sides in ((1e5, -1e5), (-1e5, 1e5)):
            assert math.isfinite(value(name, *sides, more={"kl": kl}))
            assert torch.isfinite(column(*slopes(name, *sides, more={"kl": kl}))).all()
