"""Shares beside each other: numbers worked out by hand, a published pair, and tables' sample sizes."""

import math
import random

import pytest

from prefsmith.evaluate.proportions import (
    compare_shares,
    pairs_to_tell,
    standard_error,
    trials_to_leave,
    trials_to_tell,
)
from prefsmith.stats import wilson


def test_two_published_win_rates_are_not_told_apart():
    """158 and 146 of 256: 61.7 +- 3.0 and 57.0 +- 3.1, where the plus-minus is one standard error."""
    assert (round(100 * 158 / 256, 1), round(100 * standard_error(158, 256), 1)) == (61.7, 3.0)
    assert (round(100 * 146 / 256, 1), round(100 * standard_error(146, 256), 1)) == (57.0, 3.1)
    found = compare_shares(158, 256, 146, 256)
    # q = 304/512 = 19/32; z = (12/256) / sqrt(19/32 * 13/32 * 2/256)
    assert found.z == pytest.approx(0.046875 / math.sqrt(19 * 13 / 1024 / 128))
    assert found.z == pytest.approx(1.07, abs=0.015)
    assert found.p == pytest.approx(0.28, abs=0.005)
    assert found.low < 0 < found.high


def test_a_standard_error_by_hand():
    assert standard_error(50, 100) == 0.05
    assert standard_error(0, 100) == 0


def test_the_interval_of_a_difference_by_the_published_example():
    """Newcombe's example: 56/70 and 48/80, a difference of 0.2 with 0.0524 to 0.3339."""
    found = compare_shares(56, 70, 48, 80)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_turned_round_it_is_its_own_opposite():
    there, back = compare_shares(30, 40, 11, 60), compare_shares(11, 60, 30, 40)
    assert (back.value, back.z, back.p) == (-there.value, -there.z, there.p)
    assert (back.low, back.high) == (pytest.approx(-there.high), pytest.approx(-there.low))


@pytest.mark.parametrize("successes", [0, 20])
def test_two_shares_at_one_end_differ_by_nothing_but_are_not_sure(successes):
    found = compare_shares(successes, 20, successes, 20)
    assert (found.value, found.z, found.p) == (0, 0, 1)
    assert found.low < -0.1 and found.high > 0.1


def test_sample_sizes_of_tables():
    """Of two shares without correction: 0.5 and 0.6 take 388 each, 0.1 and 0.2 take 199."""
    assert trials_to_tell(0.5, 0.6) == trials_to_tell(0.6, 0.5) == 388
    assert trials_to_tell(0.1, 0.2) == 199
    assert trials_to_leave(0.55) == 783
    assert pairs_to_tell(0.5, 1.0) == 32  # (1.96 + 0.84)^2 * 4 = 31.4
    assert trials_to_tell(0.5, 0.5) is trials_to_leave(0.5) is pairs_to_tell(0.0, 1.0) is None


def test_so_many_trials_see_it_four_times_of_five():
    rng = random.Random(1)
    n = trials_to_tell(0.5, 0.7)
    assert n is not None
    seen = 0
    for _ in range(1000):
        first, second = (sum(rng.random() < share for _ in range(n)) for share in (0.5, 0.7))
        seen += compare_shares(first, n, second, n).p < 0.05
    assert 0.76 <= seen / 1000 <= 0.85


def test_a_share_that_is_sure_takes_few_trials():
    assert trials_to_leave(1.0) == 4  # (1.96 / 2 / 0.5)^2 = 3.84
    assert wilson(4, 4).low > 0.5


@pytest.mark.parametrize("n", range(1, 200))
def test_a_share_lies_in_its_interval_where_all_or_none_succeed(n):
    """Rounding would put the upper end of 1 just below it."""
    all_of_them, none = wilson(n, n), wilson(0, n)
    assert all_of_them.low < all_of_them.value == all_of_them.high == 1
    assert none.high > none.value == none.low == 0
