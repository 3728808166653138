"""Activation checkpointing: a layer keeps its input alone, and is run once more on the way back.

The layer's `forward` is replaced while a batch goes through the model, and is what it was before afterwards: whoever
copies, exports or samples from the model meets an ordinary one. (transformers' own switch asks for training mode,
which a layer may also take as the wish for dropout.)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from prefsmith.errors import ConfigError


def layers_of(body: nn.Module) -> list[nn.Module]:
    """The layers whose output is the next one's input, outermost where they are nested.

    Args:
        body: a causal language model without its head.

    Raises:
        ConfigError: the model does not say which they are.
    """
    found = {name: each for name, each in body.named_modules() if isinstance(each, GradientCheckpointingLayer)}
    outer: list[nn.Module] = [
        each for name, each in found.items() if not any(name.startswith(f"{other}.") for other in found)
    ]
    if not outer:
        what = f"{type(body).__name__} does not say which of its parts are layers that can be run twice"
        fix = "train.activation_checkpointing=false, and a lower train.token_budget where memory is short"
        raise ConfigError("model.layers", what, where="train.activation_checkpointing", fix=fix)
    return outer


@contextmanager
def recomputed(layers: Sequence[nn.Module]) -> Iterator[None]:
    """What is run while the context is open keeps of each layer no more than its input.

    The second run of a layer draws the dropout of the first.
    """
    own = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        _set_forward(layer, partial(checkpoint, layer.forward, use_reentrant=False))
    try:
        yield
    finally:
        for layer, forward in zip(layers, own, strict=True):
            _set_forward(layer, forward)


def _set_forward(layer: nn.Module, forward: Callable[..., Any] | None) -> None:
    """None takes the layer's class's own back."""
    if forward is None:
        vars(layer).pop("forward", None)
    else:
        vars(layer)["forward"] = forward
