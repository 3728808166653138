"""Operations of a pass, counted where they are run: a product of m x k by k x n numbers is 2 m k n of them."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

Kind = Literal["body", "attention", "head"]
"""Products with the body's weights, products of tokens with tokens, products with the head's weights."""

_ATEN = torch.ops.aten
BACKWARD = 2.5
"""Attention's way back makes five products where its forward makes two."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Of one micro-batch.

    Args:
        forward: of the policy's forward, by kind. The head's gradient is made with its forward and counted there.
        backward: of its way back, what is run again for it included.
        reference: of the reference's forward, by kind.
    """

    forward: Mapping[Kind, float]
    backward: Mapping[Kind, float]
    reference: Mapping[Kind, float]

    def all(self) -> dict[Kind, float]:
        """Sums by kind."""
        every = (self.forward, self.backward, self.reference)
        return {kind: sum(each.get(kind, 0.0) for each in every) for kind in ("body", "attention", "head")}


class Counted:
    """Counts operations as they come, by phase and kind."""

    def __init__(self) -> None:
        self.found: defaultdict[tuple[str, Kind], float] = defaultdict(float)

    def add(self, function: Any, args: Any, kwargs: Any, result: Any, *, phase: str, in_head: bool) -> None:  # noqa: ANN401
        """Count an operation, if it is one of those that take time.

        Args:
            function: the operation as PyTorch dispatches it.
            args: its arguments.
            kwargs: its arguments by name.
            result: what came of it.
            phase: forward, backward or reference.
            in_head: whether it belongs to the head.
        """
        packet = getattr(function, "_overloadpacket", None)
        if packet in _ATTENTION:
            self.found[phase, "attention"] += _ATTENTION[packet](*args)
        elif packet in flop_registry:
            kind: Kind = "attention" if "att" in str(packet) else "head" if in_head else "body"
            self.found[phase, kind] += flop_registry[packet](*args, **kwargs, out_val=result)
        elif packet is _ATEN.addmm_:
            self.found[phase, "head" if in_head else "body"] += flop_registry[_ATEN.addmm](*args, out_val=result)

    def clear(self) -> None:
        """Begin anew."""
        self.found.clear()

    def operations(self) -> Operations:
        """What was counted."""
        by_phase: dict[str, dict[Kind, float]] = {"forward": {}, "backward": {}, "reference": {}}
        for (phase, kind), number in self.found.items():
            by_phase[phase][kind] = number
        return Operations(**by_phase)


def _forward(query: Tensor, key: Tensor, value: Tensor, _dropout: float = 0.0, causal: bool = False) -> float:
    """Queries by keys, and their weights by values; half of it where each sees what is before it alone."""
    pairs = query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2] * (0.5 if causal else 1.0)
    return 2.0 * pairs * (query.shape[3] + value.shape[3])


def _backward(_grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> float:  # noqa: ANN401
    causal = bool(rest[3]) if len(rest) > 3 else False
    return BACKWARD * _forward(query, key, value, 0.0, causal)


_ATTENTION: dict[Any, Callable[..., float]] = {
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _forward,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
}
