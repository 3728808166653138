"""Merged models: what they compute, how far that is from base and adapter, and that nothing half is written."""

import json

import peft
import pytest
import torch
from tiny import tiny_llama, word_tokenizer

from prefsmith.config import AdapterConfig, ModelConfig
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.model import adapters, merge
from prefsmith.model.load import load_model, stored_dtype

TEXTS = [[5, 9, 17, 33, 4, 21], [3, 8, 2], [11]]


def moved(model, seed=1):
    """The model with an adapter that does something."""
    adapted = adapters.attach(model, AdapterConfig(kind="lora", rank=2, target_modules="all-linear"), seed=0).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.05)
    return adapted


@torch.no_grad()
def logits(model):
    return [model(input_ids=torch.tensor([text])).logits[0] for text in TEXTS]


def test_a_merged_model_is_the_two_without_the_adapter():
    before = logits(moved(tiny_llama()))
    assert (before[0] - logits(tiny_llama())[0]).abs().max() > 0.1
    merged, drift = merge.merge(moved(tiny_llama()), TEXTS, torch.float32)
    assert not any("lora" in name for name in merged.state_dict())
    assert merged.state_dict().keys() == tiny_llama().state_dict().keys()
    assert all(torch.allclose(new, old, rtol=0, atol=1e-5) for new, old in zip(logits(merged), before, strict=True))
    assert drift.largest < 1e-5 and (drift.tokens, drift.texts, drift.other_likeliest) == (10, 3, 0)


def test_the_drift_is_that_of_the_weights_as_they_will_be_stored():
    before = logits(moved(tiny_llama()))
    merged, drift = merge.merge(moved(tiny_llama()), TEXTS, torch.bfloat16)
    after = logits(merged)
    pairs = list(zip(after, before, strict=True))
    assert drift.logits == max(float((new - old).abs().max()) for new, old in pairs) > 1e-4
    nats = [(new.double().log_softmax(-1) - old.double().log_softmax(-1)).abs().max() for new, old in pairs]
    assert drift.nats == pytest.approx(float(max(nats)), abs=1e-9)
    other = sum(int((new.argmax(-1) != old.argmax(-1)).sum()) for new, old in pairs)
    assert drift.other_likeliest == other
    assert all(torch.equal(each, each.bfloat16().float()) for each in merged.state_dict().values())


def test_logits_are_kept_as_far_as_there_is_room(monkeypatch):
    monkeypatch.setattr(merge, "KEPT_LOGITS", 40 * 8)
    _, drift = merge.merge(moved(tiny_llama()), TEXTS, torch.float32)
    assert (drift.tokens, drift.texts) == (8, 2)


def test_a_head_that_shares_its_weight_with_the_embedding_drifts_and_is_refused():
    """peft adds the update to the one weight, and the embedding moves with it."""
    model = tiny_llama(tie_word_embeddings=True)
    with pytest.warns(UserWarning, match="tie_word_embeddings"):
        adapted = adapters.attach(model, AdapterConfig(kind="lora", target_modules=["lm_head"]), seed=0).eval()
    with torch.no_grad():
        next(each for name, each in adapted.named_parameters() if "lora_B" in name).fill_(0.05)
    _, drift = merge.merge(adapted, TEXTS, torch.float32)
    with pytest.raises(TrainingError, match=r"merge\.drift") as caught:
        merge.refuse_drift(drift, merge.TOLERANCE[torch.float32], where="here")
    assert (caught.value.exit_code, caught.value.where) == (4, "here")


@pytest.mark.parametrize("drift", [(0.2, 0.0), (0.0, 0.2), (float("nan"), 0.0), (0.0, float("inf"))])
def test_either_number_beyond_the_tolerance_is_refused(drift):
    with pytest.raises(TrainingError, match="nothing was written"):
        merge.refuse_drift(merge.Drift(*drift, 1, 1, 0), 0.1, where="")
    merge.refuse_drift(merge.Drift(0.1, 0.1, 1, 1, 0), 0.1, where="")


def test_weights_that_are_not_finite_are_no_model():
    adapted = moved(tiny_llama())
    with torch.no_grad():
        next(each for name, each in adapted.named_parameters() if "lora_A" in name)[0, 0] = float("nan")
    with pytest.raises(ConfigError, match="peft cannot merge an adapter of the kind lora, rank 2, alpha 32") as caught:
        merge.merge(adapted, TEXTS, torch.float32)
    assert caught.value.code == "merge.adapter"


def test_an_adapter_that_changes_no_weights_is_refused():
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    model = peft.get_peft_model(tiny_llama(), config).eval()
    with pytest.raises(ConfigError, match="prompt_tuning changes no weights") as caught:
        adapters.merge_into_base(model)
    assert caught.value.code == "merge.adapter"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_written_is_what_was_compared(tmp_path, dtype):
    merged, _ = merge.merge(moved(tiny_llama()), TEXTS, dtype)
    expected = logits(merged)
    merge.write_merged(merged, word_tokenizer([]), tmp_path / "new" / "out", dtype=dtype, card="# card\n")
    out = tmp_path / "new" / "out"
    names = {each.name for each in out.iterdir()}
    assert {"README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert [each.name for each in out.parent.iterdir()] == ["out"]
    assert stored_dtype(str(out), trust_remote_code=False) is dtype
    again = load_model(str(out), device="cpu", trust_remote_code=False)
    assert all(torch.equal(new, old) for new, old in zip(logits(again), expected, strict=True))


def test_a_failing_disk_leaves_nothing(tmp_path, monkeypatch):
    tokenizer = word_tokenizer([])
    merged, _ = merge.merge(moved(tiny_llama()), TEXTS, torch.float32)

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokenizer, "save_pretrained", fail)
    with pytest.raises(ConfigError, match="No space left") as caught:
        merge.write_merged(merged, tokenizer, tmp_path / "out", dtype=torch.float32, card="")
    assert caught.value.code == "merge.out" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", [None, "", 3])
def test_an_adapter_whose_base_is_not_named_is_refused(tmp_path, named):
    """A model in memory has no name; its text form must not become a name to look up."""
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": named}))
    with pytest.raises(ConfigError, match="does not say which model"):
        adapters.load_adapted(ModelConfig(path=str(tmp_path)))
