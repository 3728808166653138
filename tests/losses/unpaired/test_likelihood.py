"""Raising and unlearning single completions."""

import pytest
import torch
from losses.slopes import at
from losses.worlds import column, ratings

from prefsmith.losses import resolve
from prefsmith.types import SequenceScores

UP_AND_DOWN = ratings((0, 1.0), (1, 0.0), mismatched=(0,))


@pytest.mark.parametrize("beta", [0.1, 2.0])
@pytest.mark.parametrize("ratio", [-30.0, -1.0, 0.0, 3.0])
def test_npo_pulls_by_twice_the_share_that_is_left(ratio, beta):
    """1 at the start whatever beta is: caught where the factor 2 / beta is lost."""
    values, gradient = at("npo", [ratio, ratio], UP_AND_DOWN, beta=beta)
    assert gradient[1].item() == pytest.approx(2 * torch.sigmoid(column(beta * ratio)).item())
    assert values[0].item() == gradient[0].item() == 0  # a desirable completion has no say
    assert values[1] >= 0


def test_npo_becomes_gradient_ascent_for_small_beta_and_lets_go_of_what_is_forgotten():
    small = [at("npo", [ratio, ratio], UP_AND_DOWN, beta=1e-6)[0][1].item() for ratio in (-3.0, 5.0)]
    assert small[1] - small[0] == pytest.approx(8.0, rel=1e-4)
    values, gradient = at("npo", [0.0, -1e4], UP_AND_DOWN, beta=0.1)
    assert values[1].item() == 0 and gradient[1].item() == 0


def test_sft_gives_every_completion_the_same_say_whatever_its_length():
    values, gradient = at("sft", [-6.0, -20.0], ratings((0, 1.0), (1, 1.0), mismatched=(0,)), tokens=(2, 10))
    assert values.tolist() == [3.0, 2.0] and gradient.tolist() == [-0.5, -0.1]


def test_sft_over_many_samples_gives_completions_their_share_divided_by_their_tokens():
    """A policy over three outcomes, of 2, 5 and 5 tokens: not the shares themselves."""
    shares, tokens = column(0.5, 0.3, 0.2), (2, 5, 5)
    logits = (shares / torch.tensor(tokens)).log().requires_grad_()
    scores = SequenceScores(logits.log_softmax(0), None, torch.tensor(tokens))
    (shares * resolve("sft", {})(scores, ratings((0, 1.0), (1, 1.0), (2, 1.0), mismatched=(0,)))).sum().backward()
    assert logits.grad.abs().max() < 1e-12
