"""The transport between two weighted samples of numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.worlds import column

from prefsmith.losses.transport import couple

NUMBER = st.floats(-5, 5)
WEIGHT = st.one_of(st.just(0.0), st.floats(0.01, 100))
SAMPLE = st.lists(st.tuples(NUMBER, WEIGHT), min_size=1, max_size=8).filter(lambda each: any(w for _, w in each))


def moved(mass, index, size):
    return torch.zeros(size, dtype=torch.float64).index_add(0, index, mass)


@given(SAMPLE, SAMPLE)
def test_every_entry_gives_and_takes_its_share_and_large_goes_to_large(one, two):
    left, left_weight, right, right_weight = (column(*each) for each in (*zip(*one), *zip(*two)))  # noqa: B905
    from_, to, mass = couple(left, left_weight, right, right_weight)
    assert (mass > 0).all() and mass.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(moved(mass, from_, len(one)), left_weight / left_weight.sum(), rtol=0, atol=1e-12)
    torch.testing.assert_close(moved(mass, to, len(two)), right_weight / right_weight.sum(), rtol=0, atol=1e-12)
    assert (left[from_].diff() >= 0).all() and (right[to].diff() >= 0).all()  # no two paths cross
    assert len(mass) <= len(one) + len(two)


@given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=9))
def test_equal_weights_are_the_plain_sort(both):
    left, right = (column(*each) for each in zip(*both, strict=True))
    same = torch.full_like(left, 3.7)
    from_, to, mass = couple(left, same, right, same)
    assert torch.equal(left[from_], left.sort().values) and torch.equal(right[to], right.sort().values)
    torch.testing.assert_close(mass, torch.full_like(left, 1 / len(left)), rtol=1e-12, atol=0)


def test_it_is_the_cheapest_plan():
    """Three against two, worked out by hand: 0.5 is cut, a third of all goes to 0 and a sixth to 2."""
    from_, to, mass = couple(column(1.0, 0.5, -1.0), column(2, 3, 1), column(2.0, 0.0), column(5, 7))
    assert from_.tolist() == [2, 1, 1, 0] and to.tolist() == [1, 1, 0, 0]
    assert mass.tolist() == pytest.approx([1 / 6, 5 / 12, 1 / 12, 1 / 3])


def test_a_weight_of_zero_moves_nothing_wherever_it_stands():
    from_, to, mass = couple(column(-9, 1.0, 9), column(0, 2, 0), column(-7, 3.0, 8), column(0, 5, 0))
    assert (from_.tolist(), to.tolist(), mass.tolist()) == ([1], [1], [1.0])
