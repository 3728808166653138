"""Shares and paired differences of rules, against values by hand and against coverage."""

import math

import numpy as np
import pytest

from prefsmith.evaluate.accuracy import gain, hits, rate
from prefsmith.stats import wilson


def test_ties_count_one_half():
    assert hits(np.array([2.0, -2.0, 0.0, 1e-5, -1e-5]), 1e-4).tolist() == [1.0, 0.0, 0.5, 0.5, 0.5]
    assert hits(np.array([1e-5, -1e-5])).tolist() == [1.0, 0.0]


def test_one_pair_of_each_prompt_gets_wilsons_interval():
    found, expected = rate(np.array([1, 1, 0.5, 0.0]), np.ones(4), np.arange(4)), wilson(2.5, 4)
    assert (found.value, found.low, found.high) == (0.625, expected.low, expected.high)
    assert (found.n, found.prompts, found.method) == (4, 4, "wilson")


def test_pairs_of_one_prompt_are_not_independent():
    """Ten copies of every pair say no more than one."""
    hit = np.tile([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0] * 3, 1)
    once = rate(hit, np.ones(30), np.arange(30))
    copied = rate(np.repeat(hit, 10), np.ones(300), np.repeat(np.arange(30), 10))
    assert copied.method == "bootstrap" and copied.n == 300 and copied.prompts == 30
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.15)


def test_weights_count_and_pairs_without_weight_do_not():
    found = rate(np.array([1.0, 0.0, 0.0]), np.array([3.0, 1.0, 0.0]), np.array([0, 1, 2]))
    assert found.value == 0.75 and (found.n, found.prompts) == (2, 2)


def test_a_rule_that_is_always_right_is_not_surely_so():
    found = rate(np.ones(20), np.ones(20), np.repeat(np.arange(10), 2))
    assert found.value == found.high == 1.0 and found.low == wilson(10, 10).low and found.method == "wilson"


def test_nothing_to_count_is_no_number():
    found = rate(np.array([1.0]), np.array([0.0]), np.array([0]))
    assert math.isnan(found.value) and found.as_dict()["value"] is None and found.n == 0


def test_a_gain_is_that_of_the_same_pairs():
    first, second = np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.5, 1.0])
    found = gain(first, second, np.ones(4), np.arange(4))
    assert found.value == pytest.approx((0 + 1 + 0.5 - 1) / 4)
    assert (found.better, found.worse, found.p) == (2, 1, 1.0)


def test_a_prompt_has_one_vote_in_the_sign_test():
    first, second = np.ones(6), np.zeros(6)
    found = gain(first, second, np.ones(6), np.array([0, 0, 0, 0, 1, 1]))
    assert (found.better, found.worse) == (2, 0)


def test_pairing_sees_what_two_shares_do_not():
    """Two rules that agree nearly everywhere differ surely, although their own intervals overlap."""
    random = np.random.default_rng(0)
    second = (random.random(400) < 0.6).astype(float)
    first = second.copy()
    first[np.flatnonzero(second == 0)[:24]] = 1.0
    shares = [rate(each, np.ones(400), np.arange(400)) for each in (first, second)]
    found = gain(first, second, np.ones(400), np.arange(400))
    assert shares[1].high > shares[0].low and found.low > 0 and found.p < 1e-5


def test_the_interval_of_a_gain_covers():
    """Of 100 worlds in which the true difference is 0.1, about 95 intervals hold it."""
    random, inside = np.random.default_rng(1), 0
    for world in range(100):
        first, second = (random.random(80) < 0.65).astype(float), (random.random(80) < 0.55).astype(float)
        found = gain(first, second, np.ones(80), np.arange(80), seed=world)
        inside += found.low <= 0.1 <= found.high
    assert 87 <= inside <= 99
