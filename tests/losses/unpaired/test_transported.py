"""Unpaired optimal transport: any numbers of both classes, weighted, and a step of one class."""

import math

import pytest
import torch
from losses.slopes import at
from losses.worlds import column

from prefsmith.types import Ratings


def thumbs(ups, downs, weight=None):
    many = ups + downs
    value = torch.cat([torch.ones(ups), torch.zeros(downs)]).double()
    weight = torch.ones(many).double() if weight is None else column(*weight)
    return Ratings(torch.arange(many), value, weight, torch.tensor([0]))


def drawn(many, seed=0):
    return 3 * torch.randn(many, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mean(values, labels):
    return ((labels.weight * values).sum() / labels.weight.sum()).item()


def paired_off(ups, downs, beta):
    """As many of both: the smallest with the smallest."""
    gap = ups.sort().values - downs.sort().values
    return torch.nn.functional.softplus(-beta * gap).mean().item()


def test_as_many_of_both_are_sorted_and_laid_side_by_side():
    ratios, labels = drawn(8), thumbs(4, 4)
    values, _ = at("aot_unpaired", ratios, labels, beta=0.5)
    assert mean(values, labels) == pytest.approx(paired_off(ratios[:4], ratios[4:], 0.5))
    order = torch.argsort(ratios[:4])
    torch.testing.assert_close(values[:4][order], values[4:][torch.argsort(ratios[4:])])


@pytest.mark.parametrize(
    ("ups", "downs", "weight"),
    [(2, 3, (1, 1, 1, 1, 1)), (1, 4, (1, 1, 1, 1, 1)), (3, 2, (1, 2, 3, 4, 2)), (2, 2, (3, 1, 1, 1))],
)
def test_the_weighted_mean_is_the_transport_cost_whatever_the_numbers_of_both(ups, downs, weight):
    """Against the same problem with every rating repeated until both sides have as many."""
    ratios, labels = drawn(ups + downs, seed=ups), thumbs(ups, downs, weight)
    sides, shares = (ratios[:ups], ratios[ups:]), (labels.weight[:ups].long(), labels.weight[ups:].long())
    whole = math.lcm(*(int(share.sum()) for share in shares))
    spread = [
        side.repeat_interleave(share * (whole // int(share.sum()))) for side, share in zip(sides, shares, strict=True)
    ]
    values, gradient = at("aot_unpaired", ratios, labels, beta=0.5)
    assert mean(values, labels) == pytest.approx(paired_off(*spread, 0.5))
    assert (gradient[:ups] < 0).all() and (gradient[ups:] > 0).all()


@pytest.mark.parametrize(
    ("ups", "downs", "weight"), [(3, 0, None), (0, 2, None), (2, 2, (1.0, 1.0, 0.0, 0.0)), (1, 1, (0.0, 0.0))]
)
def test_a_step_of_one_class_is_worth_nothing_and_moves_nothing(ups, downs, weight):
    values, gradient = at("aot_unpaired", drawn(ups + downs), thumbs(ups, downs, weight))
    assert values.count_nonzero() == 0 and gradient.count_nonzero() == 0


def test_a_rating_without_weight_is_coupled_with_nothing():
    ratios = drawn(5, seed=2)
    values, gradient = at("aot_unpaired", ratios, thumbs(2, 3, (1.0, 1.0, 0.0, 1.0, 1.0)), beta=0.5)
    alone, _ = at("aot_unpaired", ratios[[0, 1, 3, 4]], thumbs(2, 2), beta=0.5)
    assert values[2].item() == 0 and gradient[2].item() == 0
    torch.testing.assert_close(values[[0, 1, 3, 4]], alone)
