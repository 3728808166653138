"""Low-rank adapters: what they change, and what they must not."""

import pytest
import torch
from peft import PeftModel
from tiny import tiny_llama

from prefsmith.config import AdapterConfig
from prefsmith.errors import ConfigError
from prefsmith.model import adapters
from prefsmith.model.score import Frozen, Scorer

IDS = torch.tensor([[5, 9, 17, 33, 4, 21]])


def attached(seed=0, model=None, **settings):
    return adapters.attach(model or tiny_llama(), AdapterConfig(kind="lora", **settings), seed=seed)


def trained(model, steps=3, lr=0.05):
    """A few steps on the model's own likelihood."""
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
    return model


@torch.no_grad()
def logits(model):
    return model(input_ids=IDS, use_cache=False).logits


def base_weights(model):
    """Weights that are no adapter's, under the names of the plain model."""
    named = ((name.replace(".base_layer", ""), each) for name, each in model.named_parameters())
    return {name.removeprefix("base_model.model."): each for name, each in named if "lora_" not in name}


def test_off_is_the_base_model_bit_for_bit():
    before = logits(tiny_llama())
    model = trained(attached())
    assert not torch.equal(logits(model), before)
    with adapters.adapter_off(model):
        assert torch.equal(logits(model), before)
    assert not torch.equal(logits(model), before)


def test_the_log_ratio_before_the_first_step_is_zero_exactly(probe):
    scorer = Scorer(attached(), "shared")
    reference = Frozen(scorer, lambda: adapters.adapter_off(scorer.model))
    assert torch.equal(scorer.token_nats(probe), reference.token_nats(probe))
    trained(scorer.model)
    assert not torch.equal(scorer.token_nats(probe), reference.token_nats(probe))


def test_training_moves_the_adapter_and_nothing_else():
    plain = dict(tiny_llama().named_parameters())
    model = trained(attached())
    kept = base_weights(model)
    assert kept.keys() == plain.keys()
    assert all(torch.equal(kept[name], plain[name]) for name in plain)
    trainable = [name for name, each in model.named_parameters() if each.requires_grad]
    assert trainable
    assert all("lora_" in name for name in trainable)


@pytest.mark.parametrize("rank", [1, 3])
def test_the_update_has_the_rank_that_was_asked_for(rank):
    model = trained(attached(rank=rank, alpha=6.0), steps=6)
    layer = adapters.unwrapped(model).model.layers[1].self_attn.q_proj
    with torch.no_grad():
        update = layer(torch.eye(32)) - layer.base_layer(torch.eye(32))
    assert int(torch.linalg.matrix_rank(update.double(), rtol=1e-5)) == rank
    by_hand = 6.0 / rank * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(update.T, by_hand.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
def test_merged_weights_do_what_the_adapter_does():
    model = trained(attached(rank=2), steps=4)
    with_adapter = logits(model)
    merged = {name: weight.clone() for name, _, weight in adapters.merged_weights(model)}
    assert len(merged) == 4
    with adapters.adapter_off(model), adapters.other_weights(model, merged):
        torch.testing.assert_close(logits(model), with_adapter, rtol=0, atol=1e-5)
    torch.testing.assert_close(logits(model.merge_and_unload()), with_adapter, rtol=0, atol=1e-5)


@pytest.mark.parametrize("wanted", [["nowhere"], ["q_projection", "nowhere"]])
def test_unknown_modules_are_refused_and_the_known_ones_named(wanted):
    with pytest.raises(ConfigError, match=r"adapter\.target_modules") as caught:
        attached(target_modules=wanted)
    assert (caught.value.code, caught.value.where) == ("adapter.target_modules", "adapter.target_modules")
    assert "q_proj" in caught.value.fix
    assert "down_proj" in caught.value.fix
    assert "all-linear" in caught.value.fix


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, {"q_proj", "v_proj"}),
        (["o_proj"], {"o_proj"}),
        ("all-linear", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
    ],
)
def test_which_modules_are_adapted(wanted, names):
    model = attached(target_modules=wanted)
    found = {name.split(".lora_A")[0].rpartition(".")[2] for name, _ in model.named_parameters() if "lora_A" in name}
    assert found == names


def test_models_with_other_names_get_pefts_choice(build):
    model = attached(model=build("gpt2"))
    assert any("c_attn.lora_A" in name for name, _ in model.named_parameters())


def test_the_seed_alone_decides_the_adapter():
    plain = tiny_llama()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = attached(seed=5, model=plain).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    same, other = attached(seed=5).state_dict(), attached(seed=6).state_dict()
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first if "lora_A" in name)


@pytest.mark.parametrize(("dropout", "count"), [(0.0, 0), (0.1, 4)])
def test_dropouts_are_those_of_the_adapter_that_do_something(dropout, count):
    model = attached(dropout=dropout, model=tiny_llama(attention_dropout=0.3))
    assert len(adapters.dropout_modules(model)) == count


def test_wrapped_and_plain_are_told_apart():
    plain = tiny_llama()
    assert not adapters.has_adapter(plain)
    assert adapters.unwrapped(plain) is plain
    model = attached(model=plain)
    assert adapters.has_adapter(model)
    assert adapters.unwrapped(model) is plain


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
def test_what_is_saved_comes_back(tmp_path):
    model = trained(attached(rank=2))
    adapters.save(model, tmp_path)
    assert (tmp_path / "adapter_model.safetensors").is_file()
    assert torch.equal(logits(PeftModel.from_pretrained(tiny_llama(), tmp_path).eval()), logits(model))
