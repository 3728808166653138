"""InfoNCA and NCA: optima and what they are for two items."""

import math

import pytest
import torch
from losses.slopes import at
from losses.worlds import column, lists, pairs

SCORES = (2.0, 1.0, 0.4)


def shares(scores, temperature):
    return (column(*scores) / temperature).softmax(0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("beta", [0.01, 1.0])
def test_infonca_fits_the_softmax_of_the_rewards_to_that_of_the_scores(beta, temperature):
    """The least value is the entropy of the shares, at margins of score / temperature and any level."""
    wanted = shares(SCORES, temperature)
    ratios = wanted.log() / beta + 7.0
    values, gradient = at("infonca", ratios, lists((0, 1, 2)), beta=beta, temperature=temperature)
    assert values.item() == pytest.approx(-(wanted * wanted.log()).sum().item())
    assert gradient.abs().max() < 1e-12
    margins = beta * (ratios[:-1] - ratios[1:])
    torch.testing.assert_close(margins, column(1.0, 0.6) / temperature)
    _, off = at("infonca", ratios + column(0.1, 0, 0), lists((0, 1, 2)), beta=beta, temperature=temperature)
    assert off[0] > 0 > off[1]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("beta", [0.01, 1.0])
def test_nca_has_an_optimum_for_each_item_by_itself(beta, temperature):
    """Caught: 1 / K lost, or taken over all items of the step: the second list is of another size."""
    labels = lists((0, 1, 2), (3, 4))
    pair = shares(SCORES[:2], temperature)
    ratios = torch.cat([(3 * shares(SCORES, temperature)).log(), (2 * pair).log()]) / beta
    _, gradient = at("nca_list", ratios, labels, beta=beta, temperature=temperature)
    assert gradient.abs().max() < 1e-12
    _, off = at("nca_list", ratios + 0.1, labels, beta=beta, temperature=temperature)
    assert (off > 0).all()  # the level counts


def test_infonca_of_two_with_one_far_better_is_dpo():
    ratios = [0.4, -1.1]
    found = at("infonca", ratios, lists((0, 1), scores=(60.0, 0.0)), beta=0.3)
    for own, known in zip(found, at("dpo", ratios, pairs((0, 1)), beta=0.3), strict=True):
        torch.testing.assert_close(own, known)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_of_two_items_both_are_losses_of_a_pair_with_the_share_as_probability(share):
    ratios, labels = [0.4, -1.1], lists((0, 1), scores=(math.log(share), math.log(1 - share)))
    info, soft = (
        at(*each, beta=0.3) for each in (("infonca", ratios, labels), ("dpo", ratios, pairs((0, 1), prob=share)))
    )
    list_of_two, pair = (
        at(*each, beta=0.3) for each in (("nca_list", ratios, labels), ("nca", ratios, pairs((0, 1), prob=share)))
    )
    for own, known in zip((*info, *list_of_two), (*soft, *pair), strict=True):
        torch.testing.assert_close(own, known)


def test_shares_are_of_each_list_alone():
    """Caught: a softmax over the step. One list must not change the other's target or reward."""
    both, _ = at("infonca", [1.0, 2.0, -1.0, 0.5, 3.0], lists((0, 1, 2), (3, 4)), beta=0.5)
    one, _ = at("infonca", [1.0, 2.0, -1.0], lists((0, 1, 2)), beta=0.5)
    two, _ = at("infonca", [0.5, 3.0], lists((0, 1)), beta=0.5)
    torch.testing.assert_close(both, torch.cat([one, two]))
