"""Best of n against its closed form: no ties, ties of known size, and another judge than the one who is measured."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.evaluate.best_of import best_of, most_kl


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32, 64])
def test_a_thousand_equal_outcomes_without_ties(n):
    """KL = log n - (n - 1) / n, and the mean of the largest of n uniform numbers is n / (n + 1)."""
    rewards = np.random.default_rng(0).permuted(np.tile(np.arange(1000) / 1000, (40, 1)), axis=1)
    found = best_of(rewards, n)
    assert found.kl == pytest.approx(math.log(n) - (n - 1) / n, abs=2e-4) and found.kl <= found.most_kl
    assert found.most_kl == most_kl(n) == math.log(n) - (n - 1) / n
    assert abs(found.reward.value - n / (n + 1)) <= 4 * found.reward.error + 1e-3
    assert found.reward.n == 40 * (1000 // n)


@pytest.mark.parametrize("n", [2, 5])
def test_two_outcomes_tie_often(n):
    """The lower is kept with probability 2^-n."""
    found = best_of(np.array([[0.0, 1.0] * 200]), n)
    low, high = 0.5**n, 1 - 0.5**n
    assert found.kl == pytest.approx(low * math.log(low / 0.5) + high * math.log(high / 0.5))
    assert found.kl < found.most_kl - 0.05


@given(st.lists(st.integers(0, 4), min_size=8, max_size=60), st.integers(1, 4))
def test_the_bound_is_kept_whatever_ties(scores, n):
    found = best_of(np.array([scores], dtype=float), n)
    assert -1e-12 <= found.kl <= found.most_kl + 1e-12


def test_of_one_it_is_the_reference():
    rewards = np.random.default_rng(1).normal(size=(3, 50))
    found = best_of(rewards, 1)
    assert found.kl == 0.0 and found.reward.value == pytest.approx(rewards.mean())


def test_what_chooses_is_not_what_is_measured():
    """A judge who likes the worst keeps the worst; one who sees no difference keeps any."""
    rewards = np.random.default_rng(2).normal(size=(4, 400))
    worst = best_of(rewards, 4, -rewards)
    assert worst.reward.value == pytest.approx(-best_of(-rewards, 4).reward.value)
    blind = best_of(rewards, 4, np.zeros_like(rewards))
    assert blind.kl == 0.0 and abs(blind.reward.value - rewards.mean()) <= 4 * blind.reward.error
