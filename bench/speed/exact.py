"""The loss and its gradient's norm in float64, which every arm is to reach as nearly as its own numbers allow."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .model import Ids
from .padded import Padded


def exact(policy: nn.Module, reference: nn.Module, pairs: Sequence[Ids]) -> tuple[float, float]:
    """Of the pairs as one batch.

    Args:
        policy: its weights are the float32 numbers that the arms have, its trainable ones those that require gradients.
        reference: likewise; with its adapter off where it has one.
        pairs: token ids.
    """
    known = Padded(_wide(reference), pairs, [(0.0, 0.0)] * len(pairs)).sums(range(len(pairs))).detach()
    made = Padded(_wide(policy), pairs, list(zip(*known.chunk(2), strict=True)))
    loss = made.accumulate(range(len(pairs)))
    return loss, norm(list(made.model.parameters()))


def norm(weights: Sequence[Tensor]) -> float:
    """Of the gradients, summed in float64: float32 loses some 1e-5 of it over a million numbers."""
    squares = [each.grad.double().square().sum() for each in weights if each.grad is not None]
    return float(torch.stack(squares).sum().sqrt())


def _wide(model: nn.Module) -> nn.Module:
    """A copy in float64, its norms too, which transformers computes in float32 whatever the model's type."""
    wide = copy.deepcopy(model).double()
    for module in wide.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _Norm(cast(Tensor, module.weight), cast(float, module.variance_epsilon))
    return wide


class _Norm:
    """Root mean square norm in the type of its input."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        self.weight, self.epsilon = weight, epsilon

    def __call__(self, hidden_states: Tensor) -> Tensor:
        squares = hidden_states.pow(2).mean(-1, keepdim=True)
        return self.weight * hidden_states * torch.rsqrt(squares + self.epsilon)
