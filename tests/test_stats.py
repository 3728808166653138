"""A mean and its interval, worked out by hand, and that it covers what it promises."""

import random

import pytest

from prefsmith.stats import mean


def test_by_hand():
    found = mean([1.0, 2.0, 3.0, 6.0])  # deviations -2, -1, 0, 3: s^2 = 14 / 3
    assert found.value == 3.0 and found.n == 4
    half = 1.959964 * (14 / 3) ** 0.5 / 2
    assert (found.low, found.high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert str(mean([0.0, 0.0])) == "+0.000 [+0.000, +0.000], n=2"


def test_it_covers_the_truth_nineteen_times_of_twenty():
    rng = random.Random(0)
    hits = 0
    for _ in range(600):
        found = mean([rng.expovariate(1.0) for _ in range(100)])
        hits += found.low <= 1.0 <= found.high
    assert 0.91 <= hits / 600 <= 0.97
