"""Adapters of every kind: what they change, and what they must not."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import tiny_llama, word_tokenizer

from prefsmith.config import AdapterConfig, ModelConfig, OptimConfig, RunConfig
from prefsmith.errors import ConfigError
from prefsmith.evaluate.reader import open_reader
from prefsmith.evaluate.side_by_side import reference_of
from prefsmith.model import adapters, merge
from prefsmith.model.score import Frozen, Scorer
from prefsmith.train.optim import Optimizer

IDS = torch.tensor([[5, 9, 17, 33, 4, 21]])
KINDS = ("lora", "dora", "ia3")
every_kind = pytest.mark.parametrize("kind", KINDS)


def attached(seed=0, model=None, kind="lora", **settings):
    return adapters.attach(model or tiny_llama(), AdapterConfig(kind=kind, **settings), seed=seed)


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
    theirs = ("lora_", "ia3_l")
    return {
        name.removeprefix("base_model.model."): each for name, each in named if not any(mark in name for mark in theirs)
    }


@every_kind
def test_a_new_adapter_changes_no_bit(kind):
    assert torch.equal(logits(attached(kind=kind)), logits(tiny_llama()))


@every_kind
def test_off_is_the_base_model_bit_for_bit(kind):
    before = logits(tiny_llama())
    model = trained(attached(kind=kind))
    assert not torch.equal(logits(model), before)
    with adapters.adapter_off(model):
        assert torch.equal(logits(model), before)
    assert not torch.equal(logits(model), before)


@every_kind
def test_the_log_ratio_before_the_first_step_is_zero_exactly(probe, kind):
    scorer = Scorer(attached(kind=kind), "shared")
    reference = Frozen(scorer, lambda: adapters.adapter_off(scorer.model))
    assert torch.equal(scorer.token_nats(probe), reference.token_nats(probe))
    trained(scorer.model)
    assert not torch.equal(scorer.token_nats(probe), reference.token_nats(probe))


@every_kind
def test_training_moves_the_adapter_and_nothing_else(kind):
    plain = dict(tiny_llama().named_parameters())
    started = {name: each.clone() for name, each in attached(kind=kind).named_parameters()}
    model = trained(attached(kind=kind))
    kept = base_weights(model)
    assert kept.keys() == plain.keys()
    assert all(torch.equal(kept[name], plain[name]) for name in plain)
    trainable = [name for name, each in model.named_parameters() if each.requires_grad]
    assert trainable
    assert all("ia3_l" in name if kind == "ia3" else "lora_" in name for name in trainable)
    moved = dict(model.named_parameters())
    assert all(not torch.equal(moved[name], started[name]) for name in trainable)


def test_what_is_trained_is_counted_by_hand():
    """Two layers of width 32, keys and values 16 wide, a feed-forward of 48."""
    count = {
        kind: sum(each.numel() for each in attached(kind=kind).parameters() if each.requires_grad) for kind in KINDS
    }
    low_rank = 2 * 8 * ((32 + 32) + (32 + 16))
    assert count == {"lora": low_rank, "dora": low_rank + 2 * (32 + 16), "ia3": 2 * (16 + 16 + 48)}


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
@every_kind
def test_what_is_saved_comes_back(tmp_path, kind):
    model = trained(attached(kind=kind))
    adapters.save(model, tmp_path)
    assert (tmp_path / "adapter_model.safetensors").is_file()
    assert torch.equal(logits(PeftModel.from_pretrained(tiny_llama(), tmp_path).eval()), logits(model))


@every_kind
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_every_kind_merges_on_either_layout_of_weights(build, kind, family):
    model = trained(attached(model=build(family), kind=kind))
    before = logits(model)
    assert (before - logits(build(family))).abs().max() > 0.01
    merged, drift = merge.merge(model, [IDS[0].tolist()], torch.float32)
    assert drift.largest < 1e-4
    torch.testing.assert_close(logits(merged), before, rtol=0, atol=1e-4)


def test_dora_learns_the_length_of_each_row_apart_from_its_direction():
    model = trained(attached(kind="dora", rank=2), steps=5)
    layer = adapters.unwrapped(model).model.layers[0].self_attn.q_proj
    length = layer.lora_magnitude_vector["default"].weight.detach().clone()
    assert not torch.allclose(length, layer.base_layer.weight.norm(dim=1), atol=1e-3)
    update = layer.get_delta_weight("default").detach()
    summed = layer.base_layer.weight + update
    by_hand = length[:, None] * summed / summed.norm(dim=1, keepdim=True)
    merged = adapters.merge_into_base(model).model.layers[0].self_attn.q_proj.weight
    torch.testing.assert_close(merged, by_hand, rtol=1e-5, atol=1e-6)


def test_ia3_scales_keys_values_and_what_goes_into_the_last_of_the_feed_forward():
    model = trained(attached(kind="ia3"))
    first = adapters.unwrapped(model).model.layers[0]
    names = {
        name.rpartition(".ia3_l")[0].rpartition(".")[2] for name, each in model.named_parameters() if "ia3" in name
    }
    assert names == {"k_proj", "v_proj", "down_proj"}
    x, wide = torch.randn(3, 32), torch.randn(3, 48)
    keys, down = first.self_attn.k_proj, first.mlp.down_proj
    with torch.no_grad():
        torch.testing.assert_close(keys(x), keys.base_layer(x) * keys.ia3_l["default"].flatten())
        torch.testing.assert_close(down(wide), down.base_layer(wide * down.ia3_l["default"].flatten()))


def test_ia3_takes_the_modules_that_are_named():
    model = attached(kind="ia3", target_modules=["q_proj", "up_proj"], feedforward_modules=["up_proj"])
    shapes = {name.split(".")[-3]: tuple(each.shape) for name, each in model.named_parameters() if "ia3_l" in name}
    assert shapes == {"q_proj": (32, 1), "up_proj": (1, 32)}


def test_ia3_asks_for_modules_where_peft_knows_none(build):
    with pytest.raises(ConfigError, match="a model of the kind cohere") as caught:
        attached(model=build("cohere"), kind="ia3")
    assert caught.value.code == caught.value.where == "adapter.target_modules" and "k_proj" in caught.value.fix
    with pytest.raises(ConfigError, match="feed-forward in a model of the kind cohere") as caught:
        attached(model=build("cohere"), kind="ia3", target_modules=["k_proj", "v_proj"])
    assert caught.value.code == caught.value.where == "adapter.feedforward_modules"
    model = attached(model=build("cohere"), kind="ia3", target_modules=["k_proj", "v_proj"], feedforward_modules=[])
    assert sum(each.requires_grad for each in model.parameters()) == 4


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"kind": "ia3", "rank": 4}, "rank is set, and ia3 does not read it"),
        ({"kind": "ia3", "alpha": 4}, "alpha is set, and ia3 does not read it"),
        ({"kind": "ia3", "dropout": 0.1}, "dropout is set, and ia3 does not read it"),
        ({"kind": "lora", "feedforward_modules": []}, "feedforward_modules is set, and lora does not read it"),
        ({"kind": "dora", "feedforward_modules": ["o"]}, "feedforward_modules is set, and dora does not read it"),
        ({"kind": "dora", "init": "pissa"}, "init is set, and dora does not read it"),
        ({"kind": "ia3", "init": "gaussian"}, "init is set, and ia3 does not read it"),
        ({"kind": "ia3", "target_modules": ["k_proj"], "feedforward_modules": ["down_proj"]}, "names down_proj"),
    ],
)  # fmt: skip
def test_settings_that_a_kind_does_not_read_are_refused(settings, what):
    with pytest.raises(ValueError, match=what):
        AdapterConfig(**settings)


@pytest.mark.parametrize("kind", ["dora", "ia3"])
def test_what_scales_weights_is_no_average_of_sums(kind):
    with pytest.raises(ValueError, match=f"averages what an adapter adds to weights, and {kind} scales them"):
        RunConfig.model_validate({"adapter": {"kind": kind}, "reference": {"kind": "ema"}})
    with pytest.raises(ConfigError, match=kind) as caught:
        adapters.require_merged_weights(attached(kind=kind))
    assert caught.value.code == "reference.moving"


def test_decay_pulls_no_factor_to_zero():
    """AdamW's decay is towards zero, and factors that do nothing are one."""
    model = attached(kind="ia3")
    optimizer = Optimizer(model, OptimConfig(weight_decay=0.5), peak=0.1, steps=1)
    for weight in optimizer.weights.values():
        weight.grad = torch.zeros_like(weight)
    optimizer.step(1)
    assert all(bool((weight == 1).all()) for weight in optimizer.weights.values())


def saved_with(folder, init, **settings):
    """An adapter of peft's own making, trained a little; gives its logits."""
    names = {"target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", "r": 4}
    model = get_peft_model(tiny_llama(), LoraConfig(init_lora_weights=init, **names, **settings))
    model.save_pretrained(folder / "initial")
    with torch.no_grad():
        for name, each in model.named_parameters():
            if "lora_" in name:
                each.add_(0.02)
    model.peft_config["default"].base_model_name_or_path = str(folder / "base")
    model.save_pretrained(folder / "adapter")
    after = logits(model)
    if settings or init in adapters.KEEP_THE_BASE:
        return after
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(folder / "plain", path_initial_model_for_weight_conversion=str(folder / "initial"))
    return after


@pytest.fixture
def base(tmp_path):
    tiny_llama().save_pretrained(tmp_path / "base")
    word_tokenizer([]).save_pretrained(tmp_path / "base")
    return tmp_path


def loaded(folder):
    return adapters.load_adapted(ModelConfig(path=str(folder), device="cpu"))[1]


@pytest.mark.parametrize("init", [True, "gaussian", "orthogonal", "mica"])
def test_adapters_that_leave_their_base_alone_are_loaded(base, init):
    after = saved_with(base, init)
    model = loaded(base / "adapter")
    assert torch.equal(logits(model), after) and adapters.is_separate(model)
    with adapters.adapter_off(model):
        assert torch.equal(logits(model), logits(tiny_llama()))


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4", "olora"])
def test_adapters_that_rewrote_their_base_are_refused(base, init):
    """With pissa_niter_4 the model that peft loads is another one; with all of them the base is, adapter off."""
    saved_with(base, init)
    with pytest.raises(ConfigError, match=f"initialised by {init}, which rewrites the base") as caught:
        loaded(base / "adapter")
    assert (caught.value.code, caught.value.where) == ("adapter.init", str(base / "adapter"))


@pytest.mark.parametrize(
    "settings",
    [{"kasa_config": {"r": 4}}, *({"init_lora_weights": name} for name in ("corda", "loftq", "lora_ga", "new", 1))],
)  # fmt: skip
def test_what_is_not_known_to_leave_the_base_alone_is_refused(base, settings):
    saved_with(base, True)
    path = base / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    with pytest.raises(ConfigError, match="rewrites the base"):
        loaded(base / "adapter")


def test_the_mend_that_is_named_makes_a_plain_adapter(base):
    after = saved_with(base, "pissa")
    model = loaded(base / "plain")
    torch.testing.assert_close(logits(model), after, rtol=0, atol=1e-5)
    with adapters.adapter_off(model):
        assert torch.equal(logits(model), logits(tiny_llama()))


def test_biases_that_were_trained_in_place_do_not_come_off(base):
    saved_with(base, True, bias="lora_only")
    assert not adapters.is_separate(loaded(base / "adapter"))
    assert open_reader(base / "adapter", device="cpu").base is None
    with pytest.raises(ConfigError, match="no adapter can be taken off"):
        reference_of(str(base / "adapter"), open_reader(base / "adapter"), device="cpu", template="auto")


@pytest.mark.parametrize(("init", "same"), [("default", True), ("gaussian", True), ("pissa", False)])
def test_how_an_adapter_begins(init, same):
    """Only what leaves the base alone begins at its very bits."""
    model = attached(init=init)
    assert torch.equal(logits(model), logits(tiny_llama())) is same
    torch.testing.assert_close(logits(model), logits(tiny_llama()), rtol=0, atol=1e-5)
    with adapters.adapter_off(model):
        assert torch.equal(logits(model), logits(tiny_llama())) is same
    kept = base_weights(model)["model.layers.0.self_attn.q_proj.weight"]
    sizes = torch.linalg.svdvals(tiny_llama().model.layers[0].self_attn.q_proj.weight.detach())
    expected = sizes if same else torch.cat([sizes[8:], torch.zeros(8)])
    torch.testing.assert_close(torch.linalg.svdvals(kept.detach()), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_what_rewrote_its_base_is_saved_as_what_it_adds_to_it(tmp_path, build, family):
    model = trained(attached(init="pissa", rank=3, model=build(family)))
    before = logits(model)
    adapters.save(model, tmp_path)
    assert torch.equal(logits(model), before)
    again = PeftModel.from_pretrained(build(family), tmp_path).eval()
    assert adapters.describe(again) == "lora, rank 6, alpha 64"
    torch.testing.assert_close(logits(again), before, rtol=0, atol=2e-5)
    with adapters.adapter_off(again):
        assert torch.equal(logits(again), logits(build(family)))


@pytest.mark.parametrize("kind", ["auto", "adapter_off", "cached", "ema"])
def test_a_rewritten_base_is_no_reference(kind):
    settings = {"adapter": {"kind": "lora", "init": "pissa"}, "reference": {"kind": kind}}
    with pytest.raises(ValueError, match=f"reference.kind is {kind}: the base with the adapter off is not the policy"):
        RunConfig.model_validate(settings)
    for reference in ({"kind": "frozen"}, {"path": "base"}, {"kind": "none"}):
        RunConfig.model_validate({**settings, "reference": reference})
    RunConfig.model_validate({**settings, "adapter": {"kind": "lora", "init": "gaussian"}})
