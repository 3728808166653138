"""Attention over a packed forest, for unmodified models: each token sees its prompt, then its own completion.

Registered with transformers under `FOREST`, with SDPA's own masks, so that a call without trees (generation, a padded
batch) is an ordinary SDPA call. A forest call hands `trees` through the model's keyword arguments, and a mask that
stands for nothing: transformers passes a mask of four axes on untouched and builds none itself. (It would otherwise
take the jumps of the positions for borders of packed documents and cut the completions off from their prompt.)
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from prefsmith.model import varlen
from prefsmith.model.blocks import in_blocks, takes
from prefsmith.model.numberless import takes_gpu_ways
from prefsmith.model.thicket import Thicket, Tree

FOREST = "prefsmith_forest"

Heads = Float[Tensor, "1 _ _ _"]  # head (fewer for keys), token, width

# Arguments that models hand to every attention function and that change nothing of what is computed here.
_HARMLESS = {
    "position_ids",
    "use_cache",
    "cache_position",
    "output_attentions",
    "output_hidden_states",
    "cache",
}


class UnsupportedAttention(ValueError):
    """The model asks its attention for something that the forest does not do."""


def no_mask(like: Tensor) -> Tensor:
    """A mask of four axes that stands for nothing; the trees say who sees whom."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=like.device)


def forest_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    trees: tuple[Tree | Thicket, ...] | None = None,
    ragged: varlen.Ragged | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """Attention of every token to its prompt and to what stands before it in its completion.

    Args:
        module: the layer's attention module.
        query: `(1, head, token, width)`.
        key: `(1, key head, token, width)`, fewer heads where queries share them.
        value: as key.
        attention_mask: ignored for a forest.
        scaling: factor of the products before the softmax.
        dropout: share of attention weights that are dropped.
        trees: the layout; None for an ordinary SDPA call.
        ragged: the same for a GPU's own kernel, where that is to be used as far as it can.
        sliding_window: a token sees this many tokens, itself included, counted along its own sequence.
        is_causal: False is refused.
        kwargs: refused unless they are known to change nothing (soft caps, sinks and position biases do).

    Returns:
        `(1, token, head, width)`, and None in the place of the weights.
    """
    if trees is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, is_causal=is_causal,
            sliding_window=sliding_window, **kwargs,
        )  # fmt: skip
    asked = sorted(name for name, given in kwargs.items() if given is not None and name not in _HARMLESS)
    if asked or is_causal is False or not getattr(module, "is_causal", True):
        raise UnsupportedAttention(f"its attention uses {', '.join(asked) or 'tokens that come later'}")
    if ragged is not None and varlen.takes(query, key, value, dropout):
        return varlen.attend(query, key, value, ragged, sliding_window, scaling), None
    if not takes_gpu_ways(query) and takes(query, key, value, dropout):
        return in_blocks(query, key, value, trees, sliding_window, scaling), None
    pieces = []
    for part in trees:
        if isinstance(part, Tree):
            pieces += _tree(query, key, value, part, sliding_window, scaling, dropout)
        else:
            pieces += _thicket(query, key, value, part, sliding_window, scaling, dropout)
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


def _tree(
    query: Heads,
    key: Heads,
    value: Heads,
    tree: Tree,
    window: int | None,
    scaling: float | None,
    dropout: float,
) -> list[Heads]:
    """Outputs of a tree's tokens in the order in which they stand: trunk with first branch, then the others."""
    (start, first_end), trunk_end = (tree.start, tree.branches[0][1]), tree.trunk_end
    here = slice(start, first_end)
    outputs = [_attend(query[:, :, here], key[:, :, here], value[:, :, here], window, scaling, dropout)]
    for branch_start, branch_end in tree.branches[1:]:
        trunk, branch = slice(start, trunk_end), slice(branch_start, branch_end)
        keys = torch.cat([key[:, :, trunk], key[:, :, branch]], dim=2)
        values = torch.cat([value[:, :, trunk], value[:, :, branch]], dim=2)
        outputs.append(_attend(query[:, :, branch], keys, values, window, scaling, dropout))
    return outputs


def _thicket(
    query: Heads,
    key: Heads,
    value: Heads,
    thicket: Thicket,
    window: int | None,
    scaling: float | None,
    dropout: float,
) -> list[Heads]:
    """Outputs of a thicket's tokens, in the order in which they stand."""
    rows = [each[0, :, thicket.places].transpose(0, 1) for each in (query, key, value)]
    if takes_gpu_ways(query) and query.shape[1] != key.shape[1]:
        shared = query.shape[1] // key.shape[1]
        rows[1:] = [each.repeat_interleave(shared, dim=1) for each in rows[1:]]
    out = F.scaled_dot_product_attention(
        *rows,
        attn_mask=thicket.mask(window),
        dropout_p=dropout,
        scale=scaling,
        enable_gqa=rows[0].shape[1] != rows[1].shape[1],
    )
    return [out.transpose(0, 1).flatten(1, 2)[:, thicket.kept][None]]


def _attend(
    query: Tensor, key: Tensor, value: Tensor, window: int | None, scaling: float | None, dropout: float
) -> Tensor:
    """Causal attention of the last tokens of a sequence to all of it."""
    queries, keys = query.shape[2], key.shape[2]
    whole = queries == keys and (window is None or window >= keys)
    shared = query.shape[1] // key.shape[1]
    if takes_gpu_ways(query) and not whole and shared > 1:
        # With a mask, CUDA's fast kernels take no shared heads and would fall back to whole attention matrices.
        key, value = key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=None if whole else _last_rows(queries, keys, window, query.device),
        dropout_p=dropout,
        is_causal=whole,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _last_rows(queries: int, keys: int, window: int | None, device: torch.device) -> Bool[Tensor, "query key"]:
    """The last rows of a causal mask, within the window where there is one."""
    mask = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
    return mask if window is None else mask.triu(keys - queries - window + 1)


AttentionInterface.register(FOREST, forest_attention)
AttentionMaskInterface.register(FOREST, sdpa_mask)
