"""The layout for a GPU's kernel, with a plain loop in the kernel's place, and the kernel's own idea of shapes."""

import pytest
import torch
from torch import nn

from prefsmith.errors import TrainingError
from prefsmith.model import forest, ladder, varlen
from prefsmith.model.attention import forest_attention
from prefsmith.model.ladder import choose_path
from prefsmith.model.score import Scorer
from prefsmith.model.thicket import Tree, with_thickets
from prefsmith.types import TokenSlopes

TREES = {
    "one branch": (Tree(0, 5, ((5, 9),)),),
    "two": (Tree(0, 5, ((5, 9), (9, 16))),),
    "three": (Tree(0, 3, ((3, 4), (4, 9), (9, 11))),),
    "four, prompt of one": (Tree(0, 1, ((1, 3), (3, 4), (4, 9), (9, 12))),),
    "no prompt": (Tree(0, 0, ((0, 4), (4, 6))), Tree(6, 8, ((8, 9),))),
    "thicket": (Tree(0, 5, ((5, 9), (9, 16))), Tree(16, 18, ((18, 20),)), Tree(20, 24, ((24, 25), (25, 31), (31, 33)))),
    "small beside large": (
        Tree(0, 5, ((5, 9), (9, 16))),
        Tree(16, 90, ((90, 95), (95, 97))),
        Tree(97, 99, ((99, 101),)),
    ),
}
CAUSAL = nn.Module()


def kernel(query, key, value, queries, keys, most_queries, most_keys, *, scale=None, window_size=(-1, -1), corner=""):
    """What the kernel is said to compute: sequence by sequence, causal with the lower right corners together."""
    assert (queries.dtype, keys.dtype) == (torch.int32, torch.int32) and window_size[1] == 0
    shared = query.shape[1] // key.shape[1]
    pieces = []
    for number in range(len(queries) - 1):
        q = query[queries[number] : queries[number + 1]]
        k, v = (each[keys[number] : keys[number + 1]].repeat_interleave(shared, dim=1) for each in (key, value))
        assert len(q) <= most_queries and len(k) <= most_keys
        logits = torch.einsum("qhw,khw->hqk", q, k) * (scale or q.shape[-1] ** -0.5)
        beside = torch.arange(len(q))[:, None] + (0 if corner else len(k) - len(q)) - torch.arange(len(k))
        seen = (beside >= 0) if window_size[0] < 0 else (beside >= 0) & (beside <= window_size[0])
        pieces.append(torch.einsum("hqk,khw->qhw", logits.masked_fill(~seen, -torch.inf).softmax(-1), v))
    return torch.cat(pieces)


def as_on_a_gpu(monkeypatch, put=kernel):
    """Every batch and every type takes the way of a GPU, where the plain loop stands for the kernel."""
    for module in (forest, varlen):
        monkeypatch.setattr(module, "takes_gpu_ways", lambda tensor: True)
    monkeypatch.setattr(varlen, "takes", lambda *given: True)
    monkeypatch.setattr(varlen, "_kernel", lambda: put)


def positions_of(trees):
    places = [
        torch.cat([torch.arange(tree.trunk_end - tree.start)] + [
            torch.arange(end - start) + tree.trunk_end - tree.start for start, end in tree.branches
        ])
        for tree in trees
    ]  # fmt: skip
    return torch.cat(places)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (4, 1)])
@pytest.mark.parametrize("window", [None, 1, 4, 8, 200])
@pytest.mark.parametrize("name", TREES)
def test_values_and_gradients_are_the_forests(monkeypatch, name, window, heads):
    trees = TREES[name]
    generator = torch.Generator().manual_seed(len(name))
    tokens = trees[-1].end

    def drawn(count):
        made = torch.randn(1, count, tokens, 8, dtype=torch.float64, generator=generator)
        return made.requires_grad_()

    given = drawn(heads[0]), drawn(heads[1]), drawn(heads[1])
    weights = torch.randn(1, tokens, heads[0], 8, dtype=torch.float64, generator=generator)
    layout = {"trees": with_thickets(trees, positions_of(trees)), "sliding_window": window, "scaling": 0.3}
    wanted, _ = forest_attention(CAUSAL, *given, None, **layout)
    wanted_gradients = torch.autograd.grad((wanted * weights).sum(), given)
    as_on_a_gpu(monkeypatch)
    ragged = varlen.ragged(trees, torch.device("cpu"))
    found, _ = forest_attention(CAUSAL, *given, None, ragged=ragged, **layout)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(torch.autograd.grad((found * weights).sum(), given), wanted_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_the_layout_of_a_tree_by_hand():
    found = varlen.ragged((Tree(0, 2, ((2, 5), (5, 6))), Tree(6, 7, ((7, 9),))), torch.device("cpu"))
    assert found.queries.tolist() == [0, 5, 6, 9]  # two and three, one, one and two
    assert found.keys.tolist() == [0, 5, 8, 11]
    assert found.gathered.tolist() == [0, 1, 2, 3, 4, 0, 1, 5, 6, 7, 8]
    assert (found.most_queries, found.most_keys) == (5, 5)


def gradient(scorer, batch):
    seen = []

    def weigh(tokens, *_):
        seen.append(tokens.policy)
        return TokenSlopes(torch.linspace(-1, 2, len(tokens.policy), dtype=torch.float64))

    scorer.model.zero_grad()
    scorer.accumulate(batch, weigh)
    return torch.cat(seen), torch.cat(
        [each.grad.flatten() for each in scorer.model.parameters() if each.grad is not None]
    )


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("path", ["shared", "packed"])
@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "qwen2", "llama_lora"])
def test_a_model_gives_what_it_gives_without(monkeypatch, build, probe, name, path, recompute):
    values, wanted = gradient(Scorer(build(name), path), probe)
    as_on_a_gpu(monkeypatch)
    found, ours = gradient(Scorer(build(name), path, recompute=recompute), probe)
    torch.testing.assert_close(found, values, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


def test_a_layout_is_made_once_for_a_batch_and_used_in_every_layer(monkeypatch, build, probe):
    calls = {"layout": 0, "kernel": 0}

    def counted(name, function):
        def count(*given, **more):
            calls[name] += 1
            return function(*given, **more)

        return count

    as_on_a_gpu(monkeypatch, counted("kernel", kernel))
    monkeypatch.setattr(forest, "ragged", counted("layout", varlen.ragged))
    Scorer(build("llama"), "shared").token_nats(probe)
    assert calls == {"layout": 1, "kernel": 2}
    Scorer(build("llama"), "shared", varlen=False).token_nats(probe)
    assert calls["kernel"] == 2


def test_without_a_gpu_nothing_is_laid_out(probe):
    assert forest.forest(probe).ragged is None


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, True),
        ({"dtype": torch.float16}, True),
        ({"dtype": torch.float32}, False),
        ({"dropout": 0.1}, False),
        ({"width": 256}, True),
        ({"width": 264}, False),
        ({"width": 20}, False),
        ({"value_width": 8}, False),
    ],
)
def test_what_the_kernel_takes(monkeypatch, changes, taken):
    given = {"dtype": torch.bfloat16, "dropout": 0.0, "width": 16, **changes}
    shapes = [(1, 4, 6, given["width"])] * 2 + [(1, 4, 6, changes.get("value_width", given["width"]))]
    tensors = [torch.empty(shape, dtype=given["dtype"]) for shape in shapes]
    assert not varlen.takes(*tensors, given["dropout"])  # on a CPU
    monkeypatch.setattr(varlen, "takes_gpu_ways", lambda tensor: True)
    assert varlen.takes(*tensors, given["dropout"]) == taken


def test_what_was_turned_in_float32_is_rounded_as_autocast_rounds_it(monkeypatch):
    """As Llama's queries and keys are under autocast: positions turn them in float32, values are bfloat16."""
    seen = []

    def put(query, key, value, *layout, **more):
        seen.extend(each.dtype for each in (query, key, value))
        return kernel(query, key, value, *layout, **more)

    monkeypatch.setattr(varlen, "_kernel", lambda: put)
    monkeypatch.setattr(varlen, "takes_gpu_ways", lambda tensor: True)
    trees = TREES["thicket"]
    query, key, value = (torch.randn(1, 4, trees[-1].end, 16) for _ in range(3))
    given = query, key, value.bfloat16()
    assert not varlen.takes(*given, 0.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert varlen.takes(*given, 0.0)
        varlen.attend(*given, varlen.ragged(trees, torch.device("cpu")), None, None)
    assert seen == [torch.bfloat16] * 3


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
def test_the_kernel_itself_agrees_about_shapes(heads, window):
    """On tensors without numbers, which run its checks and its own rule of shapes, forward and backward."""
    meta = torch.device("meta")
    trees = TREES["thicket"]
    given = [
        torch.empty(1, count, trees[-1].end, 16, dtype=torch.bfloat16, device=meta, requires_grad=True)
        for count in (heads[0], heads[1], heads[1])
    ]
    out = varlen.attend(*given, varlen.ragged(trees, meta), window, 0.25)
    assert (out.shape, out.dtype) == ((1, trees[-1].end, heads[0], 16), torch.bfloat16)
    out.sum().backward()
    assert [each.grad.shape for each in given] == [each.shape for each in given]


def choose(monkeypatch, build, probe, put):
    """The choice in bf16 where the kernel may be taken."""
    as_on_a_gpu(monkeypatch, put)
    monkeypatch.setattr(varlen, "takes", lambda query, *given: query.dtype == torch.bfloat16)
    monkeypatch.setattr(ladder, "may_take", lambda device, precision: precision == "bf16")
    return choose_path(build("gpt2"), [probe], precision="bf16")


def test_a_right_kernel_is_taken_and_said(monkeypatch, build, probe):
    scorer, choice = choose(monkeypatch, build, probe, lambda *given, **more: kernel(*given, **more))
    assert scorer.varlen and (scorer.path, choice.why) == ("shared", "")
    assert choice.describe().startswith("shared, varlen attention (against")


def raising(error):
    def put(*given, **more):
        raise error

    return put


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (lambda *given, **more: kernel(*given, **more) * 0.5, "shared with varlen attention differs in bf16 by"),
        (lambda *given, **more: kernel(*given, corner="upper left", **more), "shared with varlen attention differs in"),
        (raising(RuntimeError("no kernel image\nfor this device")), "shared with varlen attention: no kernel image"),
        (raising(NotImplementedError("FlashAttention is not built")), "shared with varlen attention: FlashAttention"),
    ],
)
def test_where_the_kernel_is_wrong_or_missing_the_path_goes_on_without_and_says_why(
    monkeypatch, build, probe, put, why
):
    scorer, choice = choose(monkeypatch, build, probe, put)
    assert not scorer.varlen and not choice.varlen
    assert scorer.path == "shared" and choice.why.startswith(why) and ";" not in choice.why


def test_memory_that_runs_out_is_no_reason_for_another_kernel(monkeypatch, build, probe):
    with pytest.raises(TrainingError, match="memory ran out while paths were compared"):
        choose(monkeypatch, build, probe, raising(torch.OutOfMemoryError("out of memory")))


def test_another_kernel_is_another_reference_in_the_cache(monkeypatch, build):
    monkeypatch.setattr("prefsmith.model.score.may_take", lambda device, precision: True)
    words = [Scorer(build("llama"), "shared", varlen=each).describe() for each in (True, False)]
    assert words[0] == "shared path, varlen attention, plain head" and words[1] == "shared path, plain head"
    assert "varlen" not in Scorer(build("llama"), "padded").describe()
