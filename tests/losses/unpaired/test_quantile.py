"""QRPO: its partition function and its optimum."""

import math

import pytest
import torch
from losses.slopes import at
from losses.worlds import column, ratings


def target(share, beta, log_z="exact"):
    """Where beta D is to be, read off the loss at D = 0 and D = 1 / beta: L0 = t^2, L1 = (t - 1)^2."""
    zero, one = (
        at("qrpo", [ratio], ratings((0, share), mismatched=(0,)), beta=beta, log_z=log_z)[0].item()
        for ratio in (0.0, 1 / beta)
    )
    return (zero - one + 1) / 2


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.0, 10.0])
def test_the_partition_function_is_the_integral_over_uniform_shares(beta):
    """Z = integral over q in [0, 1] of exp(q / beta), here by the midpoint rule."""
    middle = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    log_z = torch.logsumexp(middle / beta, 0).item() - math.log(200_000)
    assert target(0.4, beta) == pytest.approx(0.4 - beta * log_z, rel=1e-8)


@pytest.mark.parametrize("beta", [1e-4, 0.003, 0.1, 10.0])
@pytest.mark.parametrize("log_z", ["exact", "short"])
def test_every_beta_is_finite_and_smallest_at_its_target(beta, log_z):
    """Caught: exp(1 / beta), which overflows below 0.0014."""
    labels = ratings((0, 1.0), (1, 0.25), mismatched=(0,))
    there = [target(share, beta, log_z) / beta for share in (1.0, 0.25)]
    values, gradient = at("qrpo", there, labels, beta=beta, log_z=log_z)
    assert values.max() < 1e-16 and gradient.abs().max() < 1e-8
    above, slope = at("qrpo", [each + 1.0 for each in there], labels, beta=beta, log_z=log_z)
    torch.testing.assert_close(above, torch.full_like(above, beta**2), rtol=1e-5, atol=1e-14)
    assert (slope > 0).all()


def test_the_short_form_differs_as_the_page_says():
    gaps = [target(0.5, beta) - target(0.5, beta, "short") for beta in (0.1, 0.3)]
    assert gaps == pytest.approx([4.54e-6, 0.0109], rel=1e-2)


def test_the_optimum_is_the_reference_tilted_by_the_share():
    """Over many answers of the reference the policy reference exp(q / beta) / Z sums to 1."""
    beta, many = 0.2, 4000
    shares = (torch.arange(many, dtype=torch.float64) + 0.5) / many
    labels = ratings(*((index, share) for index, share in enumerate(shares.tolist())), mismatched=(0,))
    log_z = math.log(beta * math.expm1(1 / beta))
    ratios = shares / beta - log_z
    values, gradient = at("qrpo", ratios, labels, beta=beta)
    assert values.max() < 1e-24 and gradient.abs().max() < 1e-12
    assert (column(1 / many) * ratios.exp()).sum().item() == pytest.approx(1, rel=1e-6)
