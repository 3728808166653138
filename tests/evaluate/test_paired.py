"""The sign test, against sums by hand and against counting every outcome."""

from itertools import product
from math import comb

import pytest

from prefsmith.evaluate.paired import sign_test, sign_test_of


def test_by_hand():
    """1 of 10: 2 (C(10, 0) + C(10, 1)) / 2^10 = 22 / 1024."""
    found = sign_test(9, 1)
    assert (found.better, found.worse) == (9, 1)
    assert found.p == pytest.approx(22 / 1024)
    assert sign_test(1, 9).p == pytest.approx(22 / 1024)


def test_against_every_outcome_of_seven_prompts():
    outcomes = [sum(each) for each in product((0, 1), repeat=7)]
    for better in range(8):
        as_uneven = sum(abs(wins - 3.5) >= abs(better - 3.5) for wins in outcomes) / len(outcomes)
        assert sign_test(better, 7 - better).p == pytest.approx(as_uneven)


def test_equals_and_nothing_are_no_evidence():
    assert sign_test(5, 5).p == 1.0  # the middle outcome is in both tails
    assert sign_test(0, 0).p == 1.0


def test_many_prompts_neither_overflow_nor_lose_digits():
    exact = 2 * sum(comb(1200, k) for k in range(551)) / 2**1200
    assert sign_test(650, 550).p == pytest.approx(exact, rel=1e-9)
    assert sign_test(60_000, 60_000).p == 1.0


def test_differences_of_zero_are_left_out():
    assert sign_test_of([0.5, 0.0, -1.0, 1.0, 0.0]) == sign_test(2, 1)
