"""Attention over a packed forest in one call of a GPU's kernel for sequences of many lengths.

The queries of prompt + first completion, of the second, the third ... stand in the row as they are. The keys and values
of each are its prompt's and its own, gathered end to end, so that the causal mask, whose lower right corners meet, is
the forest's, and a window counts along a sequence. The layout is made once for a batch and serves every layer.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from prefsmith.model.numberless import takes_gpu_ways
from prefsmith.model.precision import Precision
from prefsmith.model.thicket import Tree

WIDEST = 256
"""Numbers of a head that the kernel takes at most; they are a multiple of 8."""

Kernel = Callable[..., Tensor]
"""`torch.nn.attention.varlen.varlen_attn`, or what stands for it."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """Sequences of queries, each with the keys that it may see, as the kernel wants them.

    Args:
        queries: where each sequence of queries begins in the row, and its end.
        keys: where each begins among the gathered keys, and their end.
        gathered: places in the row of the keys, sequence by sequence.
        most_queries: of a sequence.
        most_keys: of a sequence.
    """

    queries: Int[Tensor, " border"]
    keys: Int[Tensor, " border"]
    gathered: Int[Tensor, " key"]
    most_queries: int
    most_keys: int


def ragged(trees: Sequence[Tree], device: torch.device) -> Ragged:
    """The layout of trees that fill a row, one behind the other."""
    queries, keys, gathered = [], [], []
    for tree in trees:
        trunk = torch.arange(tree.start, tree.trunk_end)
        for number, (start, end) in enumerate(tree.branches):
            queries.append(end - (start if number else tree.start))
            keys.append(len(trunk) + end - start)
            gathered += [trunk, torch.arange(start, end)]
    return Ragged(
        queries=_borders(queries).to(device),
        keys=_borders(keys).to(device),
        gathered=torch.cat(gathered).to(device),
        most_queries=max(queries),
        most_keys=max(keys),
    )


def may_take(device: torch.device, precision: Precision) -> bool:
    """Whether there are batches that the kernel computes."""
    return device.type == "cuda" and precision == "bf16"


def takes(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> bool:
    """Whether the kernel computes this: on a GPU, in 16 bits, no dropout, heads of one width that it knows."""
    width = query.shape[-1]
    return (
        takes_gpu_ways(query)
        and all(
            _rounded_to(each) in (torch.bfloat16, torch.float16) and each.shape[-1] == width
            for each in (query, key, value)
        )
        and width % 8 == 0
        and width <= WIDEST
        and dropout == 0
    )


def _rounded_to(tensor: Tensor) -> torch.dtype:
    """What a product takes of it. Many models turn queries and keys by their positions in float32; autocast rounds
    them for attention as for any product."""
    kind = tensor.device.type
    low = tensor.dtype == torch.float32 and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if low else tensor.dtype


def attend(
    query: Float[Tensor, "1 head token width"],
    key: Float[Tensor, "1 keyhead token width"],
    value: Float[Tensor, "1 keyhead token width"],
    layout: Ragged,
    window: int | None,
    scaling: float | None,
) -> Float[Tensor, "1 token head width"]:
    """Attention of every token to its prompt and to what stands before it in its completion.

    Args:
        query: of every token of the row.
        key: likewise; of fewer heads where queries share them.
        value: as key.
        layout: of the row.
        window: a token sees so many tokens, itself included; None for all.
        scaling: factor of the products before the softmax; None for one over the root of the width.
    """
    queries, keys, values = (each[0].transpose(0, 1).to(_rounded_to(each)) for each in (query, key, value))
    # The kernel counts the tokens beside a token; where it is to see all, it has a faster way.
    left = -1 if window is None or window >= layout.most_keys else window - 1
    out = _kernel()(
        queries,
        keys.index_select(0, layout.gathered),
        values.index_select(0, layout.gathered),
        layout.queries,
        layout.keys,
        layout.most_queries,
        layout.most_keys,
        scale=scaling,
        window_size=(left, 0),
    )
    return out[None]


def _kernel() -> Kernel:
    from torch.nn.attention.varlen import varlen_attn  # it registers operations, which nobody needs without a GPU

    return cast(Kernel, partial(varlen_attn, enable_gqa=True))


def _borders(lengths: Sequence[int]) -> Int[Tensor, " border"]:
    return torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32)
