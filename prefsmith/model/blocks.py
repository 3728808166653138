"""A layer's attention over a forest on a CPU: rows in blocks, and one way back for all of them.

PyTorch's kernel for CPUs computes whole squares of sequences shorter than 512 tokens, and throws the later half of each
row away. Here a few rows at a time go against the keys that they may see. On the way back every block writes into one
tensor for queries, one for keys and one for values; autograd would fill a whole one with zeros for every slice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from prefsmith.model.numberless import of_numbers
from prefsmith.model.thicket import Thicket, Tree

ROWS = 64  # most of a block; fewer compute less in vain, more are larger products

Heads = Float[Tensor, "1 _ _ _"]  # head (fewer for keys), token, width

_attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_way_back = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def takes(query: Heads, key: Heads, value: Heads, dropout: float) -> bool:
    """Whether the kernel computes this: on a CPU, no dropout, heads of one width."""
    three = (query, key, value)
    alike = len({each.shape[-1] for each in three}) == 1 and len({_dtype(each) for each in three}) == 1
    return alike and dropout == 0 and all(each.device.type == "cpu" and each.stride(-1) == 1 for each in three)


def in_blocks(
    query: Heads,
    key: Heads,
    value: Heads,
    trees: Sequence[Tree | Thicket],
    window: int | None,
    scaling: float | None,
) -> Float[Tensor, "1 token head width"]:
    """Attention of every token to its prompt and to what stands before it in its completion.

    Args:
        query: `(1, head, token, width)`.
        key: `(1, key head, token, width)`, fewer heads where queries share them.
        value: as key.
        trees: fill the row, in its order.
        window: a token sees this many tokens, itself included, counted along its own sequence; None for all.
        scaling: factor of the products before the softmax; None for one over the root of the width.
    """
    three = [each.to(_dtype(each)) for each in (query, key, value)]
    return _InBlocks.apply(*three, trees, window, scaling)


def _dtype(each: Tensor) -> torch.dtype:
    """In which it is computed with: autocast knows the operation that the kernel stands behind, not the kernel."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else each.dtype


class _InBlocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,  # noqa: ANN001
        query: Tensor,
        key: Tensor,
        value: Tensor,
        trees: Sequence[Tree | Thicket],
        window: int | None,
        scaling: float | None,
    ) -> Tensor:
        out = query.new_empty(1, query.shape[2], query.shape[1], query.shape[3])
        normalisers = []
        for part in _parts(trees):
            if isinstance(part, Thicket):
                sides = [_side_by_side(each, part) for each in (query, key, value)]
                found, normaliser = _attend(*sides, attn_mask=_bias(part, window, query), scale=scaling)
                out[0, part.row] = _kept(found, part)
                normalisers.append(normaliser)
                continue
            keys, values = part.of(key), part.of(value)
            for block in part.blocks(window):
                found, normaliser = _attend(
                    query[:, :, block.rows],
                    keys[:, :, block.seen],
                    values[:, :, block.seen],
                    attn_mask=block.mask(window, query),
                    scale=scaling,
                )
                out[:, block.rows] = found.transpose(1, 2)
                normalisers.append(normaliser)
        ctx.trees, ctx.window, ctx.scaling = trees, window, scaling
        ctx.save_for_backward(query, key, value, out, *normalisers)
        return out

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        (by_out,) = gradients
        query, key, value, out, *normalisers = ctx.saved_tensors
        back = _WayBack(query, key, value, out.transpose(1, 2), by_out.transpose(1, 2), ctx.window, ctx.scaling)
        known = iter(normalisers)
        for part in _parts(ctx.trees):
            if isinstance(part, Thicket):
                back.thicket(part, next(known))
            else:
                back.line(part, known)
        return back.by_query, back.by_key.to(key.dtype), back.by_value.to(value.dtype), None, None, None


class _WayBack:
    """Gradients by queries, keys and values, which parts of the row add to in turns."""

    def __init__(
        self,
        query: Heads,
        key: Heads,
        value: Heads,
        out: Heads,
        by_out: Heads,
        window: int | None,
        scaling: float | None,
    ) -> None:
        self.query, self.key, self.value, self.out, self.by_out = query, key, value, out, by_out
        self.window, self.scaling = window, scaling
        self.by_query = torch.empty_like(query)
        # Several blocks add to the same key: in float32 also where keys are bfloat16.
        wide = torch.promote_types(key.dtype, torch.float32)
        self.by_key, self.by_value = torch.zeros_like(key, dtype=wide), torch.zeros_like(value, dtype=wide)

    def line(self, line: "_Line", normalisers: Iterator[Tensor]) -> None:
        """All blocks of a line."""
        keys, values = line.of(self.key), line.of(self.value)
        by_keys, by_values = line.of(self.by_key), line.of(self.by_value)
        if line.trunk is not None:  # copies of what other branches have added: only what comes here is added later
            by_keys, by_values = by_keys.zero_(), by_values.zero_()
        for block in line.blocks(self.window):
            rows, seen = block.rows, block.seen
            self.by_query[:, :, rows], by_seen_keys, by_seen_values = _way_back(
                self.by_out[:, :, rows],
                self.query[:, :, rows],
                keys[:, :, seen],
                values[:, :, seen],
                self.out[:, :, rows],
                next(normalisers),
                0.0,
                False,
                attn_mask=block.mask(self.window, self.query),
                scale=self.scaling,
            )
            by_keys[:, :, seen] += by_seen_keys
            by_values[:, :, seen] += by_seen_values
        if line.trunk is not None:
            line.add(self.by_key, by_keys)
            line.add(self.by_value, by_values)

    def thicket(self, thicket: Thicket, normaliser: Tensor) -> None:
        """Trees side by side; what stands in for tokens where a tree is shorter has no gradient."""
        sides = [_side_by_side(each, thicket) for each in (self.query, self.key, self.value, self.out)]
        by_out = _spread(self.by_out, thicket)
        *three, out = sides
        bias = _bias(thicket, self.window, self.query)
        found = _way_back(by_out, *three, out, normaliser, 0.0, False, attn_mask=bias, scale=self.scaling)
        for total, each in zip((self.by_query, self.by_key, self.by_value), found, strict=True):
            total[0, :, thicket.row] = _kept(each, thicket).transpose(0, 1)


@dataclass(frozen=True, slots=True)
class _Block:
    """Some rows, and the keys of their line that they may see."""

    rows: slice
    seen: slice

    def mask(self, window: int | None, like: Tensor) -> Tensor:
        """Zero where a row sees a key, `(row, key)`."""
        rows, keys = self.rows.stop - self.rows.start, self.seen.stop - self.seen.start
        band = _band(max(ROWS, rows), 1 << (keys - 1).bit_length(), window, like.dtype)
        end = band.shape[1] - band.shape[0] + rows
        return band[:rows, end - keys : end]


@lru_cache(maxsize=8)
@of_numbers
def _band(rows: int, before: int, window: int | None, dtype: torch.dtype) -> Tensor:
    """A mask of rows whose first sees `before` keys and itself; every smaller mask is a part of it."""
    seen = torch.ones(rows, before + rows, dtype=torch.bool).tril(before)
    if window is not None:
        seen = seen.triu(before - window + 1)
    return _additive(seen, dtype)


def _additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, float("-inf"))


@dataclass(frozen=True, slots=True)
class _Line:
    """A stretch of the row whose tokens see what stands before them in it, and all of the trunk where there is one."""

    trunk: slice | None
    own: slice

    def of(self, each: Heads) -> Heads:
        """Keys or values of the trunk and its own: in their place, or copied where the trunk stands elsewhere."""
        own = each[:, :, self.own]
        return own if self.trunk is None else torch.cat([each[:, :, self.trunk], own], dim=2)

    def add(self, total: Heads, found: Heads) -> None:
        """To the places that `of` took them from."""
        assert self.trunk is not None
        trunk = self.trunk.stop - self.trunk.start
        total[:, :, self.trunk] += found[:, :, :trunk]
        total[:, :, self.own] += found[:, :, trunk:]

    def blocks(self, window: int | None) -> Iterator[_Block]:
        """Of about the same size, at most `ROWS`."""
        length = self.own.stop - self.own.start
        before = 0 if self.trunk is None else self.trunk.stop - self.trunk.start
        count = -(-length // ROWS)
        for number in range(count):
            start, end = number * length // count, (number + 1) * length // count
            first = 0 if window is None else max(0, before + start - window + 1)
            yield _Block(slice(self.own.start + start, self.own.start + end), slice(first, before + end))


def _parts(trees: Sequence[Tree | Thicket]) -> Iterator[_Line | Thicket]:
    for tree in trees:
        if isinstance(tree, Thicket):
            yield tree
            continue
        yield _Line(None, slice(tree.start, tree.branches[0][1]))
        for start, end in tree.branches[1:]:
            yield _Line(slice(tree.start, tree.trunk_end), slice(start, end))


def _side_by_side(each: Heads, thicket: Thicket) -> Float[Tensor, "tree _ width _"]:
    return each[0].transpose(0, 1)[thicket.places].transpose(1, 2)


def _kept(each: Float[Tensor, "tree head width _"], thicket: Thicket) -> Float[Tensor, "token head _"]:
    return each.transpose(1, 2).flatten(0, 1)[thicket.kept]


def _spread(each: Heads, thicket: Thicket) -> Float[Tensor, "tree head width _"]:
    """The other way round, with zeros where there is no token."""
    own = each[0, :, thicket.row].transpose(0, 1)
    spread = own.new_zeros(thicket.places.numel(), *own.shape[1:]).index_copy_(0, thicket.kept, own)
    return spread.unflatten(0, thicket.places.shape).transpose(1, 2)


def _bias(thicket: Thicket, window: int | None, like: Tensor) -> Tensor:
    return _additive(thicket.mask(window), like.dtype)
