"""Every rung of the ladder against the model's own forward in float64, one sequence at a time."""

import copy
import math

import pytest
import torch
from tiny import encoded_groups
from torch import nn
from transformers import AttentionInterface

from prefsmith.data.pack import pack
from prefsmith.model.attention import FOREST, forest_attention
from prefsmith.model.score import PATHS, Scorer
from prefsmith.types import TokenSlopes

ARCHITECTURES = ("llama", "qwen2", "gemma3", "gpt2", "cohere", "granite", "opt", "phi", "llama_lora")


def slopes(count: int) -> torch.Tensor:
    """Weights of the scored tokens in the sum whose gradient is compared; no two are equal."""
    return torch.linspace(-1.0, 1.3, count, dtype=torch.float64)


def sequences(batch):
    """Each sequence's ids and which of them are scored, read off the batch by hand."""
    for group, start, end in batch.completions.tolist():
        first, last = batch.prompts[group].tolist()
        ids = torch.cat([batch.ids[first:last], batch.ids[start:end]])
        yield ids, torch.cat([torch.zeros(last - first, dtype=torch.bool), batch.scored[start:end]])


def truth(model, batch):
    """Log-probabilities of scored tokens and the gradient of every trainable parameter, by the model's own forward."""
    parts = []
    for ids, scored in sequences(batch):
        nats = model(input_ids=ids[None], use_cache=False).logits[0].log_softmax(-1)
        parts.append(torch.stack([nats[place - 1, ids[place]] for place in scored.nonzero()[:, 0].tolist()]))
    values = torch.cat(parts)
    model.zero_grad()
    values.backward(slopes(len(values)).to(values))
    return values.detach().double(), gradients(model)


def measured(model, path, batch):
    """The same along a path of ours."""
    seen = []

    def weigh(tokens, _groups):
        seen.append(tokens.policy)
        return TokenSlopes(slopes(len(tokens.policy)))

    model.zero_grad()
    Scorer(model, path).accumulate(batch, weigh)
    return seen[0], gradients(model)


def gradients(model):
    named = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
    return {name: torch.zeros_like(each) if each.grad is None else each.grad.clone() for name, each in named}


def gaps(got, want):
    """Largest relative gap of a value, of the whole gradient, and of a parameter's gradient beside the largest one."""
    (values, gradient), (true_values, true_gradient) = got, want
    assert gradient.keys() == true_gradient.keys()
    apart = {name: float((gradient[name].double() - true_gradient[name].double()).norm()) for name in gradient}
    sizes = {name: float(true_gradient[name].double().norm()) for name in gradient}
    largest = max(sizes.values())
    worst = max(apart[name] / max(sizes[name], 0.05 * largest) for name in apart)
    value = float(((values - true_values).abs() / true_values.abs().clamp(min=1)).max())
    return value, math.hypot(*apart.values()) / math.hypot(*sizes.values()), worst


@pytest.fixture(scope="module")
def oracle(build, probe):
    """Name -> the truth, in float64; computed once for the three paths."""
    known = {}

    def look_up(name):
        if name not in known:
            known[name] = truth(build(name).double(), probe)
        return known[name]

    return look_up


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_float32_gives_the_numbers_of_the_model_in_float64(build, probe, oracle, name, path):
    value, whole, worst = gaps(measured(build(name), path, probe), oracle(name))
    assert value <= 2e-6
    assert whole <= 2e-6
    assert worst <= 2e-6


def truly_float64(model: nn.Module) -> nn.Module:
    """In float64 without Llama's norm, which rounds to float32 on the way and would hide a gap behind its noise."""
    model = model.double()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child).__name__ in ("LlamaRMSNorm", "Qwen2RMSNorm"):
                norm = nn.RMSNorm(child.weight.shape[0], eps=child.variance_epsilon, dtype=torch.float64)
                norm.weight.data.copy_(child.weight.data)
                setattr(module, name, norm)
    return model


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2", "opt", "llama_lora"])
def test_in_float64_the_rungs_are_one(build, probe, name):
    model = truly_float64(build(name))
    model_truth = truth(model, probe)
    for path in PATHS:
        assert max(gaps(measured(model, path, probe), model_truth)) <= 1e-12, path


@pytest.mark.parametrize("path", PATHS)
def test_a_group_longer_than_the_window(build, path):
    """Gemma 3 looks back 6 tokens: prompts of 9 tokens, so that the window ends within the shared prompt."""
    batch = pack(encoded_groups(2, completions=3, seed=5, prompt=(9, 12), answer=(2, 14)))
    model = build("gemma3")
    wanted = truth(copy.deepcopy(model).double(), batch)
    assert max(gaps(measured(model, path, batch), wanted)) <= 2e-6


@pytest.mark.parametrize("path", PATHS)
def test_a_sequence_does_not_know_its_neighbours(build, path):
    """The first group's numbers stay when other groups and other completions stand beside it."""
    groups = encoded_groups(3, completions=3, seed=8)
    scorer = Scorer(build("gpt2"), path)
    alone, among = scorer.token_nats(pack(groups[:1])), scorer.token_nats(pack(groups))
    torch.testing.assert_close(among[: len(alone)], alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize("path", ["shared", "packed"])
def test_packed_paths_run_the_models_attention_through_the_forest(build, probe, path):
    scorer = Scorer(build("llama"), path)
    assert scorer.causal.config._attn_implementation == FOREST
    assert scorer.describe() == f"{path} path, plain head"


def test_token_nats_are_float64_and_carry_no_gradient(build, probe):
    nats = Scorer(build("llama"), "shared").token_nats(probe)
    assert nats.dtype is torch.float64
    assert not nats.requires_grad
    assert len(nats) == int(probe.scored.sum())


def test_the_shared_path_runs_each_prompt_once(build, monkeypatch):
    """The whole point of the rung: the body sees prompt + completions, not completions x prompt."""
    batch = pack(encoded_groups(1, completions=4))
    model, widths = build("llama"), []
    model.model.embed_tokens.register_forward_hook(lambda _module, args, _out: widths.append(args[0].numel()))
    for path in ("shared", "packed"):
        Scorer(model, path).token_nats(batch)
    prompt = int(batch.prompts[0, 1])
    assert widths[-1] - widths[0] == 3 * prompt
    assert widths[0] == len(batch.ids)


@pytest.mark.parametrize("path", ["shared", "packed"])
@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2"])
def test_no_mask_of_tokens_by_tokens_is_made(build, probe, monkeypatch, name, path):
    sizes = []

    def watched(module, query, key, value, attention_mask, **kwargs):
        sizes.append(attention_mask.numel())
        return forest_attention(module, query, key, value, attention_mask, **kwargs)

    monkeypatch.setitem(AttentionInterface._global_mapping, FOREST, watched)
    Scorer(build(name), path).token_nats(probe)
    assert sizes == [1, 1]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_rows_at_once_change_no_number(build, probe, rows):
    model = build("llama")
    whole = Scorer(model, "padded").token_nats(probe)
    parts = Scorer(model, "padded", rows_at_once=rows).token_nats(probe)
    torch.testing.assert_close(parts, whole, rtol=0, atol=2e-6)
