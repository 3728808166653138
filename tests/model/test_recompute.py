"""Layers that are run again in backward: the same numbers, and no more kept than their inputs."""

import pytest
import torch
from tiny import encoded_groups, tiny_llama
from torch import nn

from prefsmith.config import AdapterConfig
from prefsmith.data.pack import pack
from prefsmith.errors import ConfigError
from prefsmith.model import adapters
from prefsmith.model.recompute import layers_of, recomputed
from prefsmith.model.score import PATHS, Frozen, Scorer
from prefsmith.types import TokenSlopes

ARCHITECTURES = ("llama", "qwen2", "gemma3", "gpt2", "cohere", "opt", "phi", "llama_lora")


def gradient(scorer, batch):
    """Scores and the gradient of a sum of them, every weight's own."""
    seen = []

    def weigh(tokens, _groups):
        seen.append(tokens.policy)
        return TokenSlopes(torch.linspace(-1.0, 1.3, len(tokens.policy), dtype=torch.float64))

    scorer.model.zero_grad()
    scorer.accumulate(batch, weigh)
    return seen[0], {name: each.grad.clone() for name, each in scorer.model.named_parameters() if each.grad is not None}


def runs_of(scorer, action):
    """How often the first layer runs during the action."""
    runs = []
    first = layers_of(scorer.causal.base_model)[0]
    inside = next(each for each in first.modules() if isinstance(each, nn.Linear) or type(each).__name__ == "Conv1D")
    handle = inside.register_forward_hook(lambda *_: runs.append(1))
    action()
    handle.remove()
    return len(runs)


def kept_bytes(scorer, batch):
    """What autograd keeps of a forward, the storage of a tensor once."""
    weights = {each.untyped_storage().data_ptr() for each in scorer.model.parameters()}
    seen = {}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held = scorer.token_logprobs(batch)
    del held
    return sum(seen.values())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_values_and_gradients_are_those_without(build, probe, name, path):
    values, wanted = gradient(Scorer(build(name), path), probe)
    again, found = gradient(Scorer(build(name), path, recompute=True), probe)
    assert torch.equal(again, values)
    assert found.keys() == wanted.keys()
    for weight, slope in wanted.items():
        torch.testing.assert_close(found[weight], slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["mamba", "bloom", "dynamic_rope", "gemma2", "qwen3_next"])
def test_models_that_only_the_padded_path_fits_have_the_same_gradient(build, probe, name):
    model = build(name)
    _, wanted = gradient(Scorer(model, "padded", rows_at_once=1), probe)
    _, found = gradient(Scorer(model, "padded", rows_at_once=1, recompute=True), probe)
    assert found.keys() == wanted.keys()
    for weight, slope in wanted.items():
        torch.testing.assert_close(found[weight], slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_layers_run_twice_for_a_gradient_and_once_for_a_look(build, probe, path):
    scorer = Scorer(build("llama_lora"), path, recompute=True)
    assert runs_of(scorer, lambda: gradient(scorer, probe)) == 2
    assert runs_of(scorer, lambda: scorer.token_nats(probe)) == 1
    assert runs_of(scorer, lambda: Frozen(scorer).token_nats(probe)) == 1
    plain = Scorer(build("llama_lora"), path)
    assert runs_of(plain, lambda: gradient(plain, probe)) == 1


@pytest.mark.parametrize("path", PATHS)
def test_of_a_layer_only_the_input_is_kept(path):
    batch = pack(encoded_groups(3, prompt=(20, 30), answer=(20, 30)))
    deep = tiny_llama(num_hidden_layers=8)
    whole, inputs = (kept_bytes(Scorer(deep, path, recompute=each), batch) for each in (False, True))
    assert inputs < 0.2 * whole


def test_nothing_stays_on_the_model(build, probe):
    model = build("llama")
    scorer = Scorer(model, "shared", recompute=True)
    gradient(scorer, probe)
    copy = scorer.frozen_copy()
    assert not any("forward" in vars(module) for module in model.modules())
    assert not any(module.training for module in model.modules())
    # A copy that ran the original's layers would follow its weights.
    before = copy.token_nats(probe)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    assert torch.equal(copy.token_nats(probe), before)


def test_a_failing_forward_leaves_the_layers_as_they_were(build):
    layers = layers_of(build("llama").model)
    layers[0].__dict__["forward"] = kept = layers[0].forward
    with pytest.raises(RuntimeError, match="in the middle"), recomputed(layers):
        raise RuntimeError("in the middle")
    assert vars(layers[0])["forward"] is kept
    assert "forward" not in vars(layers[1])


def test_the_second_run_draws_the_dropout_of_the_first(probe):
    def with_dropout(recompute):
        model = adapters.attach(tiny_llama(), AdapterConfig(kind="lora", dropout=0.5), seed=3).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.fill_(0.03)
        for module in adapters.dropout_modules(model):
            module.train()
        torch.manual_seed(7)
        return gradient(Scorer(model, "shared", recompute=recompute), probe)

    values, wanted = with_dropout(False)
    again, found = with_dropout(True)
    assert torch.equal(values, again)
    for weight, slope in wanted.items():
        torch.testing.assert_close(found[weight], slope, rtol=1e-5, atol=1e-6)


def test_a_model_without_known_layers_is_refused():
    with pytest.raises(ConfigError, match="layers that can be run twice") as caught:
        layers_of(nn.Sequential(nn.Linear(2, 2)))
    assert caught.value.code == "model.layers"
