"""Frozen weights in 4 and 8 bits: the numbers that products take, what a run keeps, and what is refused."""

import gc
import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch
import transformers
from planted import WORDS, config_for, pairs, train
from safetensors.torch import load_file
from tiny import encoded_groups, save_model, tiny_llama, word_tokenizer

from prefsmith.config import AdapterConfig, ModelConfig, RunConfig
from prefsmith.errors import ConfigError
from prefsmith.evaluate.reader import open_reader
from prefsmith.losses import resolve
from prefsmith.methods.merge import merge_adapter
from prefsmith.model import adapters, load, quantize
from prefsmith.model.ladder import choose_path
from prefsmith.model.score import PATHS, Frozen, Scorer
from prefsmith.preflight.memory import _model_bytes
from prefsmith.run import fit
from prefsmith.train.objective import Objective
from prefsmith.train.step import accumulate_step

BITS = ("nf4", "int8")
KINDS = ("lora", "dora", "ia3")
IDS = torch.tensor([[5, 9, 17, 33, 4, 21]])
every_bits = pytest.mark.parametrize("bits", BITS)
every_kind = pytest.mark.parametrize("kind", KINDS)


def gpt2():
    sizes = {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))


WIDE = {"hidden_size": 64, "intermediate_size": 128}
"""Rows of whole blocks of 64 numbers; the others' are not."""
FAMILIES = {"llama": tiny_llama, "wide": lambda: tiny_llama(**WIDE), "gpt2": gpt2}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model's folder for each family."""
    found = {}
    for name, build in FAMILIES.items():
        found[name] = tmp_path_factory.mktemp(name)
        build().save_pretrained(found[name])
    return found


def loaded(folder, bits="none"):
    load.quiet()
    return load.load_model(str(folder), device="cpu", trust_remote_code=False, quantize=bits)


def in_float(folder, quantized):
    """The model in float32 with the numbers that the quantised weights stand for."""
    plain = loaded(folder)
    quantize.put_numbers_into(plain, quantized)
    return plain


def adapted(model, kind, *, trained=True):
    """With an adapter on every linear layer, away from where it begins."""
    made = adapters.attach(
        model, AdapterConfig(kind=kind, target_modules=None if kind == "ia3" else "all-linear"), seed=3
    )
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.requires_grad and trained:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)
    return made.eval()


def gradients(model):
    weights = [each for each in model.parameters() if each.requires_grad]
    return torch.autograd.grad(model(input_ids=IDS, labels=IDS).loss, weights)


@every_bits
@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_are_rounded_and_products_are_not(folders, family, bits):
    quantized, whole = loaded(folders[family], bits), loaded(folders[family])
    plain = in_float(folders[family], quantized)
    with torch.no_grad():
        found, wanted, before = (each(input_ids=IDS).logits for each in (quantized, plain, whole))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    assert (wanted - before).abs().max() > 100 * (found - wanted).abs().max()


@every_bits
def test_four_bits_are_an_eighth_and_a_little_and_eight_a_quarter(folders, bits):
    layer = next(iter(quantize.quantized_layers(loaded(folders["llama"], bits)).values()))
    numbers = layer.in_features * layer.out_features
    assert layer.weight.numel() * layer.weight.element_size() == numbers * {"nf4": 0.5, "int8": 1}[bits]
    assert 0 < quantize.scale_bytes(layer) < numbers / 4
    with torch.no_grad():
        whole = loaded(folders["llama"]).get_submodule("model.layers.0.self_attn.q_proj").weight
        off = (quantize.dequantized(layer) - whole).norm() / whole.norm()
    assert 0 < off < {"nf4": 0.12, "int8": 0.01}[bits]  # 0.092 for normal numbers in 4 bits


def test_dora_is_refused_where_bitsandbytes_gives_wrong_numbers(folders, tmp_path):
    base = save_model(tmp_path / "base", ["a", "b"])
    adapted(loaded(base), "dora").save_pretrained(tmp_path / "adapter")
    quantize.write_note(loaded(base, "nf4"), tmp_path / "adapter")
    for attempt in (
        lambda: adapted(loaded(folders["llama"], "nf4"), "dora"),
        lambda: adapters.load_adapted(ModelConfig(path=str(tmp_path / "adapter"), device="cpu")),
    ):
        with pytest.raises(ConfigError, match="wrong numbers on a CPU: its 32 inputs") as caught:
            attempt()
        assert caught.value.code == "model.quantize"
    adapted(loaded(folders["llama"], "int8"), "dora")


@every_bits
def test_head_embeddings_and_norms_stay_as_they_are(folders, bits):
    model, whole = loaded(folders["llama"], bits), loaded(folders["llama"])
    for name in ("lm_head", "model.embed_tokens", "model.norm"):
        assert torch.equal(model.get_submodule(name).weight, whole.get_submodule(name).weight)
    assert Scorer(model, "shared").head.describe() == "plain head"
    assert len(quantize.quantized_layers(model)) == 14  # seven a layer


@every_bits
@every_kind
def test_an_adapter_begins_as_one_that_changes_nothing(folders, kind, bits):
    base = loaded(folders["wide"], bits)
    with torch.no_grad():
        before = base(input_ids=IDS).logits
        assert torch.equal(adapted(base, kind, trained=False)(input_ids=IDS).logits, before)


@every_bits
@every_kind
def test_an_adapter_on_quantised_weights_is_that_on_their_numbers(folders, kind, bits):
    base = loaded(folders["wide"], bits)
    plain = adapted(in_float(folders["wide"], base), kind)
    model = adapted(base, kind)
    with torch.no_grad():
        found, wanted = (each(input_ids=IDS).logits for each in (model, plain))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(gradients(model), gradients(plain), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


@every_bits
def test_with_and_without_gradients_is_one_number(folders, bits):
    """bitsandbytes repacks its weights on a CPU where no gradient is wanted, and rounds what it multiplies."""
    model = adapted(loaded(folders["llama"], bits), "lora")
    with torch.no_grad():
        looked = model(input_ids=IDS).logits
    assert torch.equal(model(input_ids=IDS).logits, looked)


@every_bits
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("path", PATHS)
def test_the_first_loss_is_log_2_on_every_path(folders, path, precision, bits):
    model = adapted(loaded(folders["llama"], bits), "lora", trained=False)
    policy = Scorer(model, path, precision=precision)
    reference = Frozen(policy, lambda: adapters.adapter_off(model))
    dpo = Objective((resolve("dpo", {}),))
    found = accumulate_step(policy, reference, dpo, encoded_groups(9), token_budget=60)
    assert found.loss == pytest.approx(math.log(2), abs=1e-12)


@every_bits
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_shared_path_stands_the_check(folders, probe, precision, bits):
    scorer, choice = choose_path(adapted(loaded(folders["wide"], bits), "dora"), [probe], precision=precision)
    assert scorer.path == "shared" and choice.value_gap < 1e-5


def test_a_product_keeps_no_weight_for_backward(folders):
    model = adapted(loaded(folders["llama"], "nf4"), "lora", trained=False)
    kept = []
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each) or each, lambda each: each):
        model(input_ids=IDS)
    others = [each for each in kept if each.untyped_storage().data_ptr() not in weights]
    assert all(tuple(each.shape) != (32, 32) for each in others)


@every_bits
def test_a_copy_multiplies_with_weights_of_its_own(folders, bits):
    model = adapted(loaded(folders["llama"], bits), "lora")
    copy = Scorer(model, "shared").frozen_copy().model
    with torch.no_grad():
        before = model(input_ids=IDS).logits
        assert torch.equal(copy(input_ids=IDS).logits, before)
        for each in quantize.quantized_layers(copy).values():
            each.weight.data.zero_()
        assert torch.equal(model(input_ids=IDS).logits, before)
        assert not torch.equal(copy(input_ids=IDS).logits, before)


@every_bits
def test_a_digest_is_of_the_quantised_weights(folders, bits):
    found = load.digest(loaded(folders["llama"], bits))
    assert found == load.digest(loaded(folders["llama"], bits))
    assert found != load.digest(loaded(folders["llama"]))
    assert found != load.digest(loaded(folders["llama"], BITS[bits == "nf4"]))
    other = loaded(folders["llama"], bits)
    next(iter(quantize.quantized_layers(other).values())).weight.data[0, 0] ^= 1
    assert found != load.digest(other)


@every_bits
def test_numbers_and_bytes_are_counted(folders, bits):
    model, whole = loaded(folders["llama"], bits), loaded(folders["llama"])
    assert quantize.count_numbers(model) == quantize.count_numbers(whole) == sum(map(torch.numel, whole.parameters()))
    layers = quantize.quantized_layers(model).values()
    numbers = sum(each.in_features * each.out_features for each in layers)
    rest = _model_bytes(whole) - 4 * numbers
    assert _model_bytes(model) == rest + numbers * {"nf4": 0.5, "int8": 1}[bits] + quantize.scale_bytes(model)
    assert quantize.scratch_bytes(model, rounded=False) == 4 * 32 * 48
    assert quantize.scratch_bytes(model, rounded=True) == 6 * 32 * 48
    assert quantize.scratch_bytes(whole, rounded=True) == quantize.scale_bytes(whole) == 0
    wide = adapted(loaded(folders["wide"], bits), "dora")
    assert adapters.scratch_bytes(wide) == 4 * (128**2 + 4 * 64 * 128)


def settings(folder, bits, rows=40, **sections):
    chosen = {"adapter": {"kind": "lora", "target_modules": "all-linear"}, **sections}
    chosen["model"] = {"quantize": bits, **chosen.get("model", {})}
    if not (folder / "base").exists():
        save_model(folder / "base", WORDS, **WIDE)
    return config_for(folder, pairs(rows), **chosen)


@every_bits
@pytest.mark.parametrize("reference", ["auto", "cached", "frozen"])
def test_every_reference_of_a_run_gives_the_same_run(tmp_path, reference, bits):
    runs = []
    for kind in ("auto", reference):
        config = settings(tmp_path, bits, train={"pairs_per_step": 16}, reference={"kind": kind})
        runs.append(train(config.model_copy(update={"out": str(tmp_path / f"{len(runs)}-{kind}")})))
    first, second = ([row["loss"] for row in run.metrics] for run in runs)
    assert first == pytest.approx(second, abs=1e-6)


@every_bits
def test_a_resumed_run_is_the_run(tmp_path, bits):
    steps = {"pairs_per_step": 8, "max_steps": 4}
    plan = settings(tmp_path, bits, train=steps, checkpoint={"every": 2}, optim={"schedule": "constant"})
    straight = train(plan.model_copy(update={"out": str(tmp_path / "straight")}))
    halved = plan.model_copy(update={"train": plan.train.model_copy(update={"max_steps": 2})})
    train(halved)
    resumed = train(plan, resume=True)
    files = [each / "model" / "adapter_model.safetensors" for each in (straight.folder, resumed.folder)]
    assert files[0].read_bytes() == files[1].read_bytes()
    kept = load_file(resumed.folder / "checkpoints" / "step-000004" / "weights.safetensors")
    assert kept and all("lora_" in name for name in kept)


@every_bits
def test_another_quantisation_is_another_run(tmp_path, bits):
    train(settings(tmp_path, bits, train={"max_steps": 1}))
    with pytest.raises(ConfigError, match=r"model\.quantize"):
        train(settings(tmp_path, BITS[bits == "nf4"], train={"max_steps": 1}), resume=True)


@every_bits
@every_kind
def test_what_a_run_leaves_is_read_on_the_weights_it_was_trained_on(tmp_path, kind, bits):
    chosen = {"kind": kind, **({} if kind == "ia3" else {"target_modules": "all-linear"})}
    run = train(settings(tmp_path, bits, adapter=chosen, train={"pairs_per_step": 8}))
    ids = torch.tensor([[3, 5, 4, 7]])
    with torch.no_grad():
        for place in (run.folder, run.folder / "model"):
            reader = open_reader(place, device="cpu")
            assert quantize.quantized_layers(reader.model.scorer.model)
            own = reader.model.scorer.model(input_ids=ids).logits
        merged = merge_adapter(str(run.folder), tmp_path / "merged", device="cpu")
        again = open_reader(tmp_path / "merged", device="cpu").model.scorer.model
        assert not quantize.quantized_layers(again)
        torch.testing.assert_close(again(input_ids=ids).logits, own, rtol=1e-4, atol=1e-4)
    assert "BitsAndBytesConfig(load_in_" in (run.folder / "model" / "README.md").read_text()
    assert merged.drift.largest < 1e-4 and merged.adapter.endswith(f"on {bits} weights")
    assert not (tmp_path / "merged" / "quantized_base.json").exists()
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())


@pytest.mark.parametrize("text", ["{", '{"quantize": "fp4"}', "[]"])
def test_a_note_that_says_nothing_is_refused(tmp_path, text):
    (tmp_path / "quantized_base.json").write_text(text)
    with pytest.raises(ConfigError, match="does not say on what weights") as caught:
        quantize.read_note(tmp_path)
    assert caught.value.code == "model.quantize"


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({}, "whose weights cannot be trained: set adapter.kind=lora"),
        ({"adapter": {"kind": "lora", "init": "pissa"}, "reference": {"kind": "frozen"}}, "rewrites the base"),
        ({"adapter": {"kind": "lora"}, "reference": {"kind": "ema"}}, "round to nothing"),
    ],
)
def test_what_quantised_weights_cannot_do_is_refused(sections, words):
    with pytest.raises(ValueError, match=words):
        RunConfig.model_validate({"model": {"quantize": "nf4"}, **sections})


def test_bitsandbytes_is_asked_for_by_the_name_of_the_extra(tmp_path, monkeypatch):
    config = settings(tmp_path, "nf4")
    found = importlib.util.find_spec

    def without(name, *more):
        return None if name == "bitsandbytes" else found(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(ConfigError, match="not installed") as caught:
        train(config)
    assert caught.value.code == "model.quantize" and "prefsmith[quantize]" in caught.value.fix
    assert not (tmp_path / "run").exists()


def test_a_model_in_memory_is_not_quantised(tmp_path):
    config = settings(tmp_path, "nf4").model_copy(update={"model": ModelConfig(quantize="nf4")})
    with pytest.raises(ConfigError, match="in memory") as caught:
        fit(config, model=(tiny_llama(), word_tokenizer(["a"])), say=lambda line: None)
    assert caught.value.code == "model.quantize"


@every_bits
def test_files_that_were_quantised_before_are_refused(tmp_path, bits):
    save_model(tmp_path / "base", ["a", "b"])
    loaded(tmp_path / "base", bits).save_pretrained(tmp_path / "stored")
    for wanted in ("none", bits):
        with pytest.raises(ConfigError, match="bitsandbytes has quantised") as caught:
            loaded(tmp_path / "stored", wanted)
        assert caught.value.code == "model.quantize"


@every_bits
def test_a_product_rounds_both_of_its_sides_under_autocast_and_neither_without(folders, bits):
    layer = loaded(folders["llama"], bits).model.layers[0].mlp.down_proj
    x = torch.randn(3, 48, generator=torch.Generator().manual_seed(2), requires_grad=True)
    numbers = quantize.dequantized(layer)
    torch.testing.assert_close(layer(x), x @ numbers.T, rtol=1e-6, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = layer(x)
    assert low.dtype == torch.bfloat16
    assert torch.equal(low, x.bfloat16() @ numbers.bfloat16().T)
    low.sum().backward()
    assert x.grad.dtype == torch.float32
    assert torch.equal(x.grad, (torch.ones_like(low) @ numbers.bfloat16()).float())


@every_bits
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not say which files are mapped")
def test_no_file_is_kept_mapped_for_what_was_not_quantised(tmp_path, bits):
    tiny_llama().save_pretrained(tmp_path)
    model = loaded(tmp_path, bits)
    gc.collect()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert quantize.quantized_layers(model)
