"""Small trees side by side see what each of them sees by itself."""

import pytest
import torch
from tiny import encoded_groups

from prefsmith.data.pack import pack
from prefsmith.model import thicket
from prefsmith.model.attention import forest_attention
from prefsmith.model.forest import forest
from prefsmith.model.thicket import Thicket, Tree


def attended(batch, monkeypatch, *, small, window=None, heads=4, key_heads=2):
    """Attention over the batch in float64 and the gradient by keys, trees of at most `small` tokens side by side."""
    monkeypatch.setattr(thicket, "SMALL", small)
    generator = torch.Generator().manual_seed(0)

    def drawn(count):
        return torch.randn(1, count, batch.ids.shape[0], 8, generator=generator, dtype=torch.float64)

    query, key, value = drawn(heads), drawn(key_heads).requires_grad_(), drawn(key_heads)
    trees = forest(batch).trees
    out, _ = forest_attention(torch.nn.Identity(), query, key, value, None, trees=trees, sliding_window=window)
    (gradient,) = torch.autograd.grad((out * torch.randn(out.shape, generator=generator, dtype=out.dtype)).sum(), key)
    return trees, out, gradient


@pytest.mark.parametrize("window", [None, 3, 6])
@pytest.mark.parametrize("completions", [1, 2, 4])
def test_a_thicket_gives_what_single_trees_give(monkeypatch, window, completions):
    batch = pack(encoded_groups(40, completions=completions))
    alone, expected, slope = attended(batch, monkeypatch, small=0, window=window)
    trees, out, gradient = attended(batch, monkeypatch, small=64, window=window)
    assert all(isinstance(each, Tree) for each in alone)
    assert len(trees) == 1 and isinstance(trees[0], Thicket) and len(trees[0].places) == 40
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient, slope, atol=1e-12, rtol=0)


def test_large_trees_between_small_ones_stay_where_they_stand(monkeypatch):
    groups = [
        *encoded_groups(5, seed=1),
        *encoded_groups(1, answer=(40, 60), seed=2),
        *encoded_groups(1, seed=3),
        *encoded_groups(2, answer=(40, 60), seed=4),
        *encoded_groups(4, seed=5),
    ]
    batch = pack(groups)
    _, expected, slope = attended(batch, monkeypatch, small=0)
    trees, out, gradient = attended(batch, monkeypatch, small=64)
    assert [type(each).__name__ for each in trees] == ["Thicket", "Tree", "Tree", "Tree", "Tree", "Thicket"]
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient, slope, atol=1e-12, rtol=0)


def test_what_is_not_finite_stays_in_its_tree(monkeypatch):
    batch = pack(encoded_groups(6))
    (only,) = forest(batch).trees
    value = torch.ones(1, 2, batch.ids.shape[0], 8)
    start, end = batch.prompts[2].tolist()[0], batch.prompts[3].tolist()[0]
    value[:, :, start] = float("nan")
    query = torch.ones(1, 4, batch.ids.shape[0], 8)
    out, _ = forest_attention(torch.nn.Identity(), query, value[:, :2] * 0 + 1, value, None, trees=(only,))
    finite = out.isfinite().all(-1).all(-1)[0]
    assert not finite[start:end].any() and finite[:start].all() and finite[end:].all()
