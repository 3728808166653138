"""The tilted reference against closed forms: two rewards, and rewards that are normal."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.evaluate.frontier import best_at, curve, tilted


@pytest.mark.parametrize("beta", [0.2, 1.0, 5.0])
def test_two_rewards_of_equal_share(beta):
    found = tilted(np.array([[0.0, 1.0] * 50]), beta)
    p = 1 / (1 + math.exp(-1 / beta))
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert found.reward == pytest.approx(p, abs=1e-12)
    assert found.kl == pytest.approx(math.log(2) - entropy, abs=1e-12)


def test_normal_rewards():
    """A normal N(m, s^2), tilted by exp(r / beta), is N(m + s^2 / beta, s^2): KL = s^2 / (2 beta^2)."""
    rewards = np.random.default_rng(0).normal(0.5, 0.8, (3, 400_000))
    found = tilted(rewards, 1.6)
    assert found.reward == pytest.approx(0.5 + 0.8**2 / 1.6, abs=0.01)
    assert found.kl == pytest.approx(0.8**2 / (2 * 1.6**2), abs=0.01)


def test_prompts_share_one_beta():
    """The mean over prompts at one beta, worked out: the second prompt leaves nothing to choose."""
    found = tilted(np.array([[0.0, 1.0], [3.0, 3.0]]), 1.0)
    p = 1 / (1 + math.exp(-1))
    assert found.reward == pytest.approx((p + 3.0) / 2)
    assert found.kl == pytest.approx((math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)) / 2)


@given(st.floats(0.01, 1.5), st.integers(0, 5))
def test_best_at_a_kl_has_that_kl(kl, seed):
    rewards = np.random.default_rng(seed).normal(size=(4, 500))
    found = best_at(rewards, kl)
    assert found.kl == pytest.approx(kl, abs=1e-6)
    assert found == tilted(rewards, found.beta)


def test_no_other_weighting_of_the_samples_is_better_at_its_kl():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(1, 30))
    for _ in range(200):
        weights = rng.dirichlet(np.full(30, 0.7))
        kl = float((weights * np.log(weights * 30)).sum())
        assert float((weights * rewards[0]).sum()) <= best_at(rewards, kl).reward + 1e-9


def test_what_samples_cannot_show_is_not_promised():
    rewards = np.array([[0.0, 1.0, 2.0, 3.0]])
    found = best_at(rewards, 10.0)
    assert found.kl == pytest.approx(math.log(4), abs=1e-6) and found.reward == pytest.approx(3.0, abs=1e-6)


def test_the_curve_rises_from_the_reference():
    rewards = np.random.default_rng(1).normal(size=(3, 400))
    points = curve(rewards, 2.0, points=15)
    assert (points[0].kl, points[0].reward) == (0.0, pytest.approx(rewards.mean()))
    assert len(points) == 15 and points[-1].kl == pytest.approx(2.0, abs=1e-6)
    assert all(a.kl < b.kl and a.reward < b.reward for a, b in pairwise(points))
