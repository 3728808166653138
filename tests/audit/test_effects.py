"""Effect sizes: by hand, and that their intervals hold the truth as often as they say, also where prompts repeat."""

import math

import numpy as np
import pytest

from prefsmith.audit.effects import jackknife, rate, share, standardised
from prefsmith.kappa import alpha, alpha_sums
from prefsmith.stats import wilson


def test_pairs_with_prompts_of_their_own_have_wilsons_interval():
    hits = np.array([1.0] * 30 + [0.0] * 10)
    found, own = share(hits, np.arange(40)), wilson(30, 40)
    assert found.value == 0.75 and found.n == 40
    assert (found.low, found.high) == (pytest.approx(own.low, abs=0.003), pytest.approx(own.high, abs=0.003))


def test_copies_of_a_prompt_prove_nothing_more():
    """Fault: a thousand copies of ten prompts are taken for ten thousand trials."""
    hits = np.array([1, 1, 1, 0, 1, 0, 1, 1, 0, 1], dtype=np.float64)
    once = share(hits, np.arange(10))
    often = share(np.repeat(hits, 1000), np.repeat(np.arange(10), 1000))
    assert often.n == 10_000 and often.value == once.value
    assert often.low == pytest.approx(once.low, abs=0.02) and often.high == pytest.approx(once.high, abs=0.02)


def test_nothing_to_count_is_said():
    nobody = np.zeros(0)
    assert share(nobody, nobody.astype(int)).value is None
    assert standardised(nobody, nobody, nobody.astype(int)).value is None
    assert share(np.ones(5), np.zeros(5, dtype=int)).low < 1  # one prompt, all alike


def test_the_standardised_difference_by_hand():
    chosen, rejected = np.array([2.0, 4.0, 6.0]), np.array([1.0, 1.0, 4.0])
    deviation = math.sqrt((8 / 3 + 2) / 2)  # variances 8/3 and 2
    found = standardised(chosen, rejected, np.arange(3))
    assert found.value == pytest.approx(2 / deviation)
    turned = standardised(rejected, chosen, np.arange(3))
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))


def covers(make, truth, estimate, runs=300):
    held = 0
    for seed in range(runs):
        found = estimate(*make(np.random.default_rng(seed)))
        held += found.low <= truth <= found.high
    return held / runs


def test_the_difference_of_skewed_lengths_is_covered():
    """Lengths are no normal numbers: exp of normal ones, of which chosen has 1.3 times as much."""

    def make(rng):
        length = np.exp(rng.normal(0, 0.5, (200, 2)))
        return length[:, 0] * 1.3, length[:, 1], np.arange(200)

    mean, variance = math.exp(0.125), (math.exp(0.25) - 1) * math.exp(0.25)
    truth = 0.3 * mean / math.sqrt(variance * (1.69 + 1) / 2)
    assert 0.92 <= covers(make, truth, standardised) <= 0.98


def test_shares_of_clustered_pairs_are_covered():
    """Twenty pairs of each prompt that lean one way together: a plain interval holds the truth half as often."""

    def make(rng):
        lean = rng.beta(2, 2, 60)
        return (rng.random((60, 20)) < lean[:, None]).astype(float).ravel(), np.repeat(np.arange(60), 20)

    assert 0.90 <= covers(make, 0.5, share) <= 0.98
    plain = covers(make, 0.5, lambda hits, prompts: share(hits, np.arange(len(hits))))
    assert plain < 0.8


def test_a_rate_counts_trials_and_not_cases():
    found = rate(np.array([3.0, 0.0]), np.array([3.0, 1.0]), np.arange(2))
    assert (found.value, found.n) == (0.75, 4)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.array([[1.0, 1], [2.0, 1], [3.0, 1], [6.0, 1]])
    found = jackknife(values, np.arange(4), lambda sums: sums[..., 0] / sums[..., 1], 4)
    half = 1.959964 * (14 / 3) ** 0.5 / 2
    assert (found.value, found.high - found.value) == pytest.approx((3.0, half))


def test_alpha_is_undefined_where_one_label_was_given():
    counts = np.array([[2.0, 0, 0], [3.0, 0, 0]])
    assert jackknife(alpha_sums(counts), np.arange(2), alpha, 5).value is None
