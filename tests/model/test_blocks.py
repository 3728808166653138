"""Attention in blocks of rows, and one tree after another, beside a dense mask written down token by token."""

import math

import pytest
import torch
from tiny import encoded_groups

from prefsmith.data.pack import pack
from prefsmith.model import attention, blocks, thicket
from prefsmith.model.attention import forest_attention
from prefsmith.model.forest import forest
from prefsmith.model.numberless import numberless
from prefsmith.model.thicket import Thicket, Tree

WAYS = ("blocks", "trees")


def seen_by_hand(batch, window):
    """Who sees whom, `(token, token)`, from the sequences of the batch."""
    seen = torch.zeros(len(batch.ids), len(batch.ids), dtype=torch.bool)
    for group, start, end in batch.completions.tolist():
        line = [*range(*batch.prompts[group].tolist()), *range(start, end)]
        for later, token in enumerate(line):
            first = 0 if window is None else max(0, later - window + 1)
            seen[token, line[first : later + 1]] = True
    return seen


def dense(query, key, value, seen, scaling=None):
    shared = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(shared, dim=1) for each in (key, value))
    products = query @ key.transpose(2, 3) * (scaling or query.shape[-1] ** -0.5)
    return (products.masked_fill(~seen, -math.inf).softmax(-1) @ value).transpose(1, 2)


def drawn(batch, *, heads=4, key_heads=2, width=8, value_width=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def rows(count, width):
        made = torch.randn(1, len(batch.ids), count, width, generator=generator, dtype=torch.float64)
        return made.to(dtype).transpose(1, 2).requires_grad_()

    return rows(heads, width), rows(key_heads, width), rows(key_heads, value_width)


def with_gradients(out, inputs):
    slopes = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return out, *torch.autograd.grad((out * slopes.to(out.dtype)).sum(), inputs)


def attended(batch, inputs, monkeypatch, way, **given):
    if way == "trees":
        monkeypatch.setattr(attention, "takes", lambda *_: False)
    out, _ = forest_attention(torch.nn.Identity(), *inputs, None, trees=forest(batch).trees, **given)
    return with_gradients(out, inputs)


def is_same(got, want, tolerance=1e-12):
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("window", [None, 3, 11])
@pytest.mark.parametrize("completions", [1, 2, 4])
def test_trees_are_what_a_dense_mask_says(monkeypatch, way, window, completions):
    """Blocks of at most five rows, so that they end everywhere: in the prompt, at its end, in each completion."""
    monkeypatch.setattr(thicket, "SMALL", 0)
    monkeypatch.setattr(blocks, "ROWS", 5)
    batch = pack(encoded_groups(5, completions=completions, prompt=(1, 14), answer=(1, 17)))
    inputs = drawn(batch)
    want = with_gradients(dense(*inputs, seen_by_hand(batch, window)), inputs)
    is_same(attended(batch, inputs, monkeypatch, way, sliding_window=window), want)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("window", [None, 40])
def test_thickets_and_trees_are_what_a_dense_mask_says(monkeypatch, way, window):
    groups = [
        *encoded_groups(5, seed=1),
        *encoded_groups(2, completions=3, prompt=(70, 140), answer=(40, 150), seed=2),
        *encoded_groups(3, completions=3, seed=3),
        *encoded_groups(1, prompt=(64, 64), answer=(64, 64), seed=4),
        *encoded_groups(1, seed=5),
    ]
    batch = pack(groups)
    inputs = drawn(batch)
    assert [type(part) for part in forest(batch).trees] == [Thicket, Tree, Tree, Thicket, Tree, Tree]
    want = with_gradients(dense(*inputs, seen_by_hand(batch, window)), inputs)
    is_same(attended(batch, inputs, monkeypatch, way, sliding_window=window), want)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("heads", [(4, 4), (6, 1)])
def test_heads_and_scale(monkeypatch, way, heads):
    batch = pack(encoded_groups(4, prompt=(30, 60), answer=(20, 40)))
    inputs = drawn(batch, heads=heads[0], key_heads=heads[1])
    want = with_gradients(dense(*inputs, seen_by_hand(batch, None), scaling=0.7), inputs)
    is_same(attended(batch, inputs, monkeypatch, way, scaling=0.7), want)


def test_values_of_another_width_go_tree_by_tree(monkeypatch):
    batch = pack(encoded_groups(4, prompt=(30, 60), answer=(20, 40)))
    inputs = drawn(batch, value_width=6)
    assert not blocks.takes(*inputs, 0.0)
    want = with_gradients(dense(*inputs, seen_by_hand(batch, None)), inputs)
    is_same(attended(batch, inputs, monkeypatch, "blocks"), want)


def test_dropout_goes_tree_by_tree():
    batch = pack(encoded_groups(2))
    inputs = drawn(batch)
    assert blocks.takes(*inputs, 0.0) and not blocks.takes(*inputs, 0.1)
    trees = forest(batch).trees
    dropped, _ = forest_attention(torch.nn.Identity(), *inputs, None, trees=trees, dropout=0.9)
    kept, _ = forest_attention(torch.nn.Identity(), *inputs, None, trees=trees)
    assert not torch.allclose(dropped, kept)


def test_autocast_computes_in_its_type_whatever_comes(monkeypatch):
    """Rotary positions leave queries and keys in float32 beside values in bfloat16."""
    batch = pack(encoded_groups(3, prompt=(30, 60), answer=(20, 40)))
    query, key, value = drawn(batch, dtype=torch.float32)
    inputs = query, key, value.detach().to(torch.bfloat16).requires_grad_()
    low = [each.detach().to(torch.bfloat16).double().requires_grad_() for each in inputs]
    want = with_gradients(dense(*low, seen_by_hand(batch, None)), low)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert blocks.takes(*inputs, 0.0)
        got = attended(batch, inputs, monkeypatch, "blocks")
    assert [each.dtype for each in got] == [torch.bfloat16, torch.float32, torch.float32, torch.bfloat16]
    for one, other in zip(got, want, strict=True):
        assert (one.double() - other).norm() <= 0.01 * other.norm()


def test_what_many_completions_ask_of_a_prompt_is_added_in_float32():
    """In bfloat16 a sum of four hundred would stand still long before its end."""
    batch = pack(encoded_groups(1, completions=400, prompt=(70, 70), answer=(1, 1)))
    inputs = drawn(batch, dtype=torch.bfloat16)
    low = [each.detach().double().requires_grad_() for each in inputs]
    trees, seen = forest(batch).trees, seen_by_hand(batch, None)
    out, _ = forest_attention(torch.nn.Identity(), *inputs, None, trees=trees)
    for one, other in zip(
        torch.autograd.grad(out.double().sum(), inputs), torch.autograd.grad(dense(*low, seen).sum(), low), strict=True
    ):
        trunk = slice(0, 70)
        assert (one.double() - other)[:, :, trunk].norm() <= 0.02 * other[:, :, trunk].norm()


def test_a_forecast_leaves_nothing_behind(monkeypatch):
    """Masks are kept from call to call: they have numbers also where the first call was on a model without."""
    blocks._band.cache_clear()
    batch = pack([*encoded_groups(3), *encoded_groups(1, prompt=(70, 140), answer=(40, 150), seed=2)])
    inputs, trees = drawn(batch), forest(batch).trees
    with numberless(as_on_a_gpu=False):
        empty = [torch.empty(each.shape, dtype=each.dtype).requires_grad_() for each in inputs]
        out, _ = forest_attention(torch.nn.Identity(), *empty, None, trees=trees)
        assert [each.shape for each in torch.autograd.grad(out.sum(), empty)] == [each.shape for each in inputs]
    assert out.shape == (1, len(batch.ids), 4, 8)
    want = with_gradients(dense(*inputs, seen_by_hand(batch, None)), inputs)
    is_same(attended(batch, inputs, monkeypatch, "blocks"), want)
