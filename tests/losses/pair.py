"""A loss of pairs as a function of the two log-ratios."""

import functools
import math

import torch
from losses.worlds import column

from prefsmith.losses import resolve
from prefsmith.losses.domain import evaluate
from prefsmith.types import Preferences, SequenceScores

REFERENCE = (-11.9, -14.2)
TOKENS = (7, 9)


@functools.cache
def term(name, **settings):
    return resolve(name, settings)


def as_row(value, like):
    return torch.as_tensor(value, dtype=torch.float64).expand(len(like)).clone()


def comparisons(n, prob=1.0, gap=math.nan, weight=1.0):
    """Pair i has completion 2 i as chosen and 2 i + 1 as rejected."""
    like = range(n)
    return Preferences(
        torch.arange(0, 2 * n, 2), torch.arange(1, 2 * n, 2), *(as_row(each, like) for each in (prob, weight, gap))
    )


def scores_at(chosen, rejected, tokens=TOKENS, **more):
    """Scores whose log-ratios are these, of n pairs; with gradient where those have it."""
    both = torch.stack([chosen, rejected], 1).flatten()
    reference = column(*REFERENCE).repeat(len(chosen))
    return SequenceScores(reference + both, reference, torch.tensor(tokens).repeat(len(chosen)), **more)


def value(name, chosen, rejected, *, prob=1.0, gap=math.nan, weight=1.0, state=None, draws=None, more=None, **settings):
    """The loss of one pair, or of several where the log-ratios are lists, in nats from the reference."""
    many = isinstance(chosen, (list, tuple)) or (isinstance(chosen, torch.Tensor) and chosen.dim() == 1)
    if not many:
        chosen, rejected = [chosen], [rejected]
    chosen, rejected = (torch.as_tensor(each, dtype=torch.float64) for each in (chosen, rejected))
    labels = comparisons(len(chosen), prob, gap, weight)
    values = evaluate(term(name, **settings), scores_at(chosen, rejected, **(more or {})), labels, state, draws)[0]
    return values if many else values.item()


def slopes(name, chosen, rejected, **settings):
    """The derivative of the loss of one pair by the log-ratio of chosen and by that of rejected."""
    leaves = [column(each).requires_grad_(True) for each in (chosen, rejected)]
    found = torch.autograd.grad(value(name, *leaves, **settings).sum(), leaves, allow_unused=True)
    return tuple(0.0 if each is None else each.item() for each in found)


def optimum(slope, low=-1e4, high=1e4):
    """Where an increasing slope crosses zero, by bisection."""
    assert slope(low) < 0 < slope(high)
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return (low + high) / 2


def logit(p):
    return math.log(p / (1 - p))


def best_margin(name, low=-1e4, high=1e4, **settings):
    """The margin at which the loss of one pair is smallest."""
    return optimum(lambda h: slopes(name, h / 2, -h / 2, **settings)[0], low, high)
