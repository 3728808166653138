"""Which pairs are asked for: what each rule is for, and that no rule asks twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.feedback.choice.acquire import METHODS, Known, choose, entropy
from prefsmith.feedback.choice.estimate import SPREAD, fit, scaled, sigmoid
from prefsmith.feedback.choice.words import of_words


def drawn(seed, pairs=40, width=4, labels=6, margins=0):
    """Pairs of which some are labelled."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((pairs, width))
    places = rng.permutation(pairs)
    odds = rng.standard_normal((margins, pairs)) if margins else None
    return Known(features, places[:labels], rng.random(labels), places[labels:], odds)


@given(st.integers(0, 99), st.sampled_from(METHODS), st.integers(1, 60), st.sampled_from([0, 3]))
def test_no_pair_is_chosen_twice_and_none_that_is_labelled(seed, method, budget, members):
    known = drawn(seed, margins=members)
    choice = choose(known, method, budget, np.random.default_rng(seed))
    assert len(set(choice.pairs.tolist())) == len(choice.pairs) == min(budget, len(known.open)) == len(choice.worth)
    assert set(choice.pairs.tolist()) <= set(known.open.tolist())


@given(st.integers(0, 99), st.sampled_from(METHODS))
def test_the_same_seed_chooses_the_same_pairs(seed, method):
    first, second = (choose(drawn(seed), method, 7, np.random.default_rng(seed)) for _ in range(2))
    assert first.pairs.tolist() == second.pairs.tolist()


@given(st.integers(0, 99))
def test_d_optimal_s_gains_are_those_of_the_determinant(seed):
    """Sherman and Morrison's updates against determinants taken anew, and each choice against all others."""
    known = drawn(seed)
    choice = choose(known, "d-optimal", 6, np.random.default_rng(seed))
    estimate = known.estimate()
    prob = sigmoid(estimate.margins(known.features))
    precision, left = estimate.precision, set(known.open.tolist())
    for pair, worth in zip(choice.pairs.tolist(), choice.worth, strict=True):
        before = np.linalg.slogdet(precision)[1]
        gains = {
            each: np.linalg.slogdet(
                precision + prob[each] * (1 - prob[each]) * np.outer(known.features[each], known.features[each])
            )[1]
            - before
            for each in left
        }
        assert worth == pytest.approx(max(gains.values()), abs=1e-9) == pytest.approx(gains[pair], abs=1e-9)
        row = known.features[pair]
        precision = precision + prob[pair] * (1 - prob[pair]) * np.outer(row, row)
        left.remove(pair)


def test_d_optimal_does_not_fill_a_batch_with_one_direction():
    """Ten copies of the longest pair, and one pair of each other direction: worth by itself would take the copies."""
    features = np.concatenate([np.tile([[3.0, 0, 0]], (10, 1)), [[0, 2.0, 0], [0, 0, 2.0]]])
    known = Known(features, np.array([], dtype=np.int64), np.array([]), np.arange(12))
    choice = choose(known, "d-optimal", 3, np.random.default_rng(0))
    assert {10, 11} <= set(choice.pairs.tolist())


def test_pairs_whose_outcome_is_sure_are_worth_little_to_d_optimal():
    """Two directions as long as each other; one is known to decide for certain, so a label there tells nothing."""
    labelled = np.tile([[4.0, 0.0]], (30, 1))
    features = np.concatenate([labelled, [[4.0, 0.0], [0.0, 1.0]]])
    known = Known(features, np.arange(30), np.ones(30), np.array([30, 31]))
    assert choose(known, "d-optimal", 1, np.random.default_rng(0)).pairs.tolist() == [31]
    assert choose(known, "confidently-wrong", 1, np.random.default_rng(0)).pairs.tolist() == [30]
    assert choose(known, "entropy", 1, np.random.default_rng(0)).pairs.tolist() == [31]


def test_members_are_asked_where_there_are_some():
    """Pair 0: both unsure. Pair 1: both sure and one wrong. Pair 2: both sure of the same."""
    margins = np.array([[0.1, 6.0, 5.0], [-0.1, -6.0, 5.0]])
    known = Known(np.zeros((3, 1)), np.array([], dtype=np.int64), np.array([]), np.arange(3), margins)
    first = {method: choose(known, method, 3, np.random.default_rng(0)) for method in METHODS}
    assert first["disagreement"].pairs[0] == 1
    assert first["disagreement"].worth[0] == pytest.approx(np.log(2) - entropy(sigmoid(np.array([6.0])))[0])
    assert first["confidently-wrong"].pairs[0] == 2 and first["confidently-wrong"].worth[0] == 5
    assert first["entropy"].pairs[-1] == 2


def test_equal_worth_is_not_decided_by_the_order_of_the_file():
    known = Known(np.ones((50, 1)), np.array([], dtype=np.int64), np.array([]), np.arange(50))
    chosen = [choose(known, "entropy", 1, np.random.default_rng(seed)).pairs[0] for seed in range(20)]
    assert len(set(chosen)) > 10


@given(st.integers(0, 99))
def test_the_estimate_has_no_slope_left_and_turns_with_its_pairs(seed):
    rng = np.random.default_rng(seed)
    features, labels = 3 * rng.standard_normal((12, 3)), rng.integers(0, 3, 12) / 2
    found = fit(features, labels)
    slope = features.T @ (sigmoid(features @ found.weights) - labels) + found.weights
    assert np.abs(slope).max() < 1e-4
    turned = fit(-features, 1 - labels)
    assert turned.weights == pytest.approx(found.weights, abs=1e-6)


def test_certain_labels_that_no_prior_would_hold_do_not_run_away():
    found = fit(np.array([[1000.0], [1000.0]]), np.array([1.0, 1.0]))
    assert np.isfinite(found.weights).all() and np.isfinite(found.precision).all() and found.weights[0] > 0


def test_scale_and_number_of_features_are_nothing_to_the_prior():
    rng = np.random.default_rng(0)
    few = rng.standard_normal((50, 5))
    assert (scaled(few) ** 2).sum(axis=1).mean() == pytest.approx(SPREAD)
    assert scaled(1e6 * few) == pytest.approx(scaled(few))
    many = few @ rng.standard_normal((5, 200))
    kept = scaled(many, 8)
    assert kept.shape == (50, 8)
    whole = many / np.sqrt((many**2).sum(axis=1).mean() / SPREAD)
    assert kept @ kept.T == pytest.approx(whole @ whole.T, abs=1e-6)  # five directions hold everything
    assert scaled(np.zeros((3, 2))).tolist() == np.zeros((3, 2)).tolist()


def test_words_are_counted_whatever_their_case_and_length_is_told():
    assert of_words("Apple, apple!")[:-1] == pytest.approx(of_words("apple , APPLE !")[:-1])
    assert of_words("")[:-1].max() == 0 and of_words("abc")[-1] == pytest.approx(np.log(4))
    assert np.abs(of_words("a pear")[:-1] - of_words("a plum")[:-1]).max() > 0.1
