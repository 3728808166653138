"""Products in bfloat16 under weights in float32: what is rounded, and what is not."""

import math

import pytest
import torch
from tiny import encoded_groups, tiny_llama

from prefsmith.errors import ConfigError
from prefsmith.losses import resolve
from prefsmith.model import adapters, attention
from prefsmith.model.head import Head
from prefsmith.model.ladder import choose_path
from prefsmith.model.score import PATHS, Asked, Frozen, Scorer
from prefsmith.train.objective import Objective
from prefsmith.train.step import accumulate_step
from prefsmith.types import TokenSlopes

ARCHITECTURES = ("llama", "qwen2", "gemma3", "gpt2", "cohere", "opt", "phi", "llama_lora")


def reference_of(policy):
    if adapters.has_adapter(policy.model):
        return Frozen(policy, lambda: adapters.adapter_off(policy.model))
    return Frozen(policy.frozen_copy())


def gradient(scorer, batch):
    seen = []

    def weigh(tokens, *_):
        seen.append(tokens.policy)
        return TokenSlopes(torch.ones(len(tokens.policy), dtype=torch.float64))

    scorer.model.zero_grad()
    scorer.accumulate(batch, weigh)
    grads = [each.grad for each in scorer.model.parameters() if each.requires_grad and each.grad is not None]
    assert all(each.dtype == torch.float32 for each in grads)
    return torch.cat(seen), torch.cat([each.flatten() for each in grads]).double()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["llama", "cohere", "gpt2"])
def test_the_first_loss_is_log_2(build, name, path):
    policy = Scorer(build(name), path, precision="bf16")
    found = accumulate_step(
        policy, reference_of(policy), Objective((resolve("dpo", {}),)), encoded_groups(9), token_budget=60
    )
    assert found.loss == pytest.approx(math.log(2), abs=1e-12)
    assert torch.equal(found.scores.policy, found.scores.reference)


def test_the_first_loss_is_log_2_with_the_adapter_off():
    adapted = adapters.attach(tiny_llama(), adapters.AdapterConfig(kind="lora"), seed=0).eval()
    policy = Scorer(adapted, "shared", precision="bf16")
    found = accumulate_step(
        policy, reference_of(policy), Objective((resolve("dpo", {}),)), encoded_groups(9), token_budget=60
    )
    assert torch.equal(found.scores.policy, found.scores.reference)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_values_and_gradients_are_rounded_and_no_more(build, probe, name, path):
    values, whole = gradient(Scorer(build(name), path), probe)
    rounded, low = gradient(Scorer(build(name), path, precision="bf16"), probe)
    assert 1e-6 < (rounded - values).abs().max() < 0.1
    assert 1e-5 < (low - whole).norm() / whole.norm() < 0.05


def test_layers_that_run_again_are_rounded_alike(build, probe):
    values, whole = gradient(Scorer(build("llama"), "shared", precision="bf16"), probe)
    again, low = gradient(Scorer(build("llama"), "shared", precision="bf16", recompute=True), probe)
    assert torch.equal(values, again)
    torch.testing.assert_close(low, whole, rtol=1e-5, atol=1e-6)


def test_the_sums_of_the_head_are_not_rounded():
    """Rounded to bfloat16, logits of 60 would be off by up to a quarter."""
    model = tiny_llama()
    with torch.no_grad():
        model.lm_head.weight.mul_(60)
    rows = torch.randn(50, 32, generator=torch.Generator().manual_seed(1))
    targets = torch.arange(50) % 40
    low_rows, low_weight = (each.detach().bfloat16().double() for each in (rows, model.lm_head.weight))
    logits = low_rows @ low_weight.T
    assert logits.abs().max() > 60
    wanted = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
    head = Head(model, "bf16")
    torch.testing.assert_close(head.logprobs(rows, targets).double(), wanted, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(head.logits(rows).double(), logits, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["llama", "cohere"])
def test_equals_do_not_diverge(build, probe, name):
    policy = Scorer(build(name), "shared", precision="bf16")
    found = policy.token_scores(probe, Asked(kl=True), Frozen(policy.frozen_copy()))
    assert torch.equal(found.kl, torch.zeros_like(found.kl))
    assert torch.equal(found.reference, found.policy)


@pytest.mark.parametrize("name", ["llama", "gpt2", "cohere", "llama_lora", "gemma3"])
def test_the_shared_path_stands_the_check(build, probe, name):
    scorer, choice = choose_path(build(name), [probe], precision="bf16")
    assert (scorer.path, scorer.precision) == ("shared", "bf16")
    assert choice.low[0] > choice.value_gap
    assert "in bf16 within" in choice.describe()
    assert "products in bf16" in scorer.describe()


def test_what_is_wrong_in_bf16_alone_is_not_taken(build, probe, monkeypatch):
    def halved(exact):
        def wrong(query, *arguments):
            return [each * 0.5 if query.dtype == torch.bfloat16 else each for each in exact(query, *arguments)]

        return wrong

    monkeypatch.setattr(attention, "takes", lambda *given: False)  # by PyTorch's own attention, tree by tree
    for name in ("_tree", "_thicket"):
        monkeypatch.setattr(attention, name, halved(getattr(attention, name)))
    scorer, choice = choose_path(build("gpt2"), [probe], precision="bf16")
    assert scorer.path == "padded"
    assert "shared differs in bf16" in choice.why


def test_weights_of_float64_are_refused():
    with pytest.raises(ConfigError, match="float64") as caught:
        Scorer(tiny_llama().double(), "shared", precision="bf16")
    assert caught.value.code == "train.precision"
