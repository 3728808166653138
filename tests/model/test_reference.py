"""What the policy is compared with stays what it was."""

from functools import partial

import pytest
import torch
from tiny import save_model, tiny_llama, word_tokenizer

from prefsmith.config import AdapterConfig, ModelConfig, ReferenceConfig
from prefsmith.errors import ConfigError
from prefsmith.model import adapters, cached
from prefsmith.model.attention import FOREST
from prefsmith.model.reference import make_reference
from prefsmith.model.score import Frozen, Scorer

CPU = ModelConfig(device="cpu")


WORDS = [f"w{number}" for number in range(37)]
TOKENIZER = word_tokenizer(WORDS)


def make(policy, probe, **settings):
    return make_reference(policy, ReferenceConfig(**settings), CPU, [probe], TOKENIZER, max_length=None)


def moved(model):
    """Every trainable weight, pushed."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.01)


@pytest.mark.parametrize("path", ["shared", "packed", "padded"])
def test_a_frozen_copy_stays_where_the_policy_started(probe, path):
    policy = Scorer(tiny_llama(), path)
    before = policy.token_nats(probe)
    reference, line = make(policy, probe)
    assert line == "a frozen copy of the starting policy"
    assert torch.equal(reference.token_nats(probe), before)
    moved(policy.model)
    assert not torch.equal(policy.token_nats(probe), before)
    assert torch.equal(reference.token_nats(probe), before)
    assert reference.scorer.path == path
    assert not any(each.requires_grad for each in reference.scorer.model.parameters())


def test_under_an_adapter_the_base_model_is_the_reference(probe, build):
    policy = Scorer(build("llama_lora"), "shared")
    reference, line = make(policy, probe)
    assert line == "the base model, adapter off"
    assert torch.equal(reference.token_nats(probe), Scorer(tiny_llama(), "shared").token_nats(probe))
    assert reference.scorer.model is policy.model


def test_a_frozen_copy_of_an_adapted_policy_keeps_the_adapter(probe, build):
    policy = Scorer(build("llama_lora"), "shared")
    before = policy.token_nats(probe)
    reference, _ = make(policy, probe, kind="frozen")
    assert torch.equal(reference.token_nats(probe), before)
    moved(policy.model)
    assert torch.equal(reference.token_nats(probe), before)


def test_another_model_with_fewer_tokens_is_refused(probe, tmp_path):
    folder = save_model(tmp_path, ["a", "b"])
    with pytest.raises(ConfigError, match="embeds 5 tokens and the policy 40") as caught:
        make(Scorer(tiny_llama(), "shared"), probe, path=str(folder))
    assert (caught.value.code, caught.value.where) == ("reference.vocabulary", str(folder))
    assert caught.value.fix == "the reference shares the policy's tokenizer"


def test_another_model_that_gives_tokens_other_ids_is_refused(probe, tmp_path):
    folder = save_model(tmp_path, WORDS[::-1])
    with pytest.raises(ConfigError, match="gives 36 of the policy's tokens another id") as caught:
        make(Scorer(tiny_llama(), "shared"), probe, path=str(folder))
    assert (caught.value.code, caught.value.where) == ("reference.vocabulary", str(folder)) and caught.value.fix


def test_another_model_is_run_along_its_own_path(probe, tmp_path):
    folder = save_model(tmp_path, WORDS, seed=7)
    reference, line = make(Scorer(tiny_llama(), "padded"), probe, path=str(folder))
    assert line.startswith(f"{folder}, shared path, sha256 ")
    other = tiny_llama(seed=7)
    torch.testing.assert_close(reference.token_nats(probe), Scorer(other, "shared").token_nats(probe))
    assert not any(each.requires_grad for each in reference.scorer.model.parameters())


def noisy():
    """A policy whose adapter drops half of its inputs while training."""
    model = adapters.attach(tiny_llama(), AdapterConfig(kind="lora", dropout=0.5), seed=0)
    moved(model)
    model.eval()
    for module in adapters.dropout_modules(model):
        module.train()
    return Scorer(model, "shared")


def training(model):
    return [name for name, module in model.named_modules() if module.training]


def test_looking_takes_dropout_off_and_puts_it_back(probe):
    policy = noisy()
    active = training(policy.model)
    assert len(active) == 4
    frozen = Frozen(policy)
    assert torch.equal(frozen.token_nats(probe), frozen.token_nats(probe))
    assert training(policy.model) == active
    assert not torch.equal(policy.token_nats(probe), policy.token_nats(probe))


def test_dropout_is_back_after_a_failure(probe, monkeypatch):
    policy = noisy()
    active = training(policy.model)
    monkeypatch.setattr(policy, "token_nats", lambda _batch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Frozen(policy, partial(adapters.adapter_off, policy.model)).token_nats(probe)
    assert training(policy.model) == active


def test_the_reference_of_a_forest_policy_runs_the_forest(probe):
    reference, _ = make(Scorer(tiny_llama(), "shared"), probe)
    assert reference.scorer.causal.config._attn_implementation == FOREST


def test_what_a_version_of_prefsmith_computed_is_not_the_next_ones(build, monkeypatch):
    """A mended kernel or layout gives other numbers of the same weights."""
    reference = cached.CachedReference(Frozen(Scorer(build("llama"), "shared")), lambda: None)
    before = reference.facts("abc")
    assert before["prefsmith"] and "bitsandbytes" not in before
    monkeypatch.setattr(cached, "NUMBERS", cached.NUMBERS + 1)
    assert reference.facts("abc") != before
    numbered = reference.facts("abc")
    monkeypatch.setattr(cached, "version", lambda name: "9.9")
    assert reference.facts("abc")["prefsmith"] == "9.9" != numbered["prefsmith"]
