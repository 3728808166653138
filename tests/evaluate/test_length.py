"""Correlation of the implicit reward with length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_pairs import by_margin, scored

from prefsmith.evaluate.length import correlation, length_bias, longer, ranks


def test_ranks_of_equal_values_are_their_mean():
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=3, max_size=40))
def test_the_correlation_is_numpys(rows):
    values = np.array(rows)
    if min(values.std(axis=0)) < 1e-3:
        return
    assert correlation(values, np.ones((1, len(values))))[0] == pytest.approx(np.corrcoef(values.T)[0, 1], abs=1e-9)


def test_a_draw_is_its_rows_repeated():
    values = np.random.default_rng(0).normal(size=(6, 2))
    counts = np.array([[2.0, 0, 1, 3, 0, 1]])
    repeated = np.repeat(values, counts[0].astype(int), axis=0)
    assert correlation(values, counts)[0] == pytest.approx(np.corrcoef(repeated.T)[0, 1])


def test_a_reward_that_is_length_correlates_wholly():
    random = np.random.default_rng(0)
    tokens = random.integers(1, 50, (60, 2))
    seen = length_bias(scored(-20 + 0.3 * tokens, np.full((60, 2), -20.0), tokens=tokens))
    for each in (seen.pearson, seen.spearman, seen.within):
        assert each.value == pytest.approx(1.0)
    seen = length_bias(scored(-20 - np.exp(0.2 * tokens), np.full((60, 2), -20.0), tokens=tokens))
    assert seen.spearman.value == pytest.approx(-1.0) and -1 < seen.pearson.value < -0.5


def test_what_differs_between_prompts_is_not_within_pairs():
    """Prompts with long answers have larger rewards; within a pair length decides nothing."""
    random = np.random.default_rng(1)
    base = random.integers(10, 200, 300)
    tokens = np.stack([base, base], axis=1) + random.integers(-5, 6, (300, 2))
    reward = 0.1 * base[:, None] + random.normal(0, 1, (300, 2))
    seen = length_bias(scored(reward - 20, np.full((300, 2), -20.0), tokens=tokens))
    assert seen.pearson.low > 0.8 and seen.within.low < 0 < seen.within.high


def test_which_side_is_labelled_does_not_matter_within_pairs():
    random = np.random.default_rng(2)
    tokens, reward = random.integers(1, 50, (40, 2)), random.normal(0, 5, (40, 2))
    one = length_bias(scored(reward, np.zeros((40, 2)), tokens=tokens))
    two = length_bias(scored(reward, np.zeros((40, 2)), tokens=tokens, prob=[0.0] * 20 + [1.0] * 20))
    assert one.within == two.within and one.pearson == two.pearson


def test_without_spread_there_is_no_correlation():
    seen = length_bias(by_margin([1.0, 2.0, -1.0, 0.5]))  # all answers have five tokens
    assert seen.as_dict()["pearson"]["value"] is None and seen.as_dict()["within"]["value"] is None


def test_sides_are_counted():
    assert longer(np.array([3.0, -1.0, 0.0, 2.0])) == {"longer": 2, "shorter": 1, "equal": 1}
