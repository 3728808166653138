"""Models and tokenizers from a folder: what is refused, and that it says why."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import save_model, tiny_llama, word_tokenizer

from prefsmith.config import ModelConfig
from prefsmith.errors import ConfigError
from prefsmith.model import load

WORDS = ("red", "green", "blue")


@pytest.fixture
def folder(tmp_path):
    return save_model(tmp_path / "model", WORDS)


@pytest.fixture
def no_hub(monkeypatch):
    """A look-up on the hub would start here."""

    def asked(*args, **kwargs):
        raise AssertionError(f"the hub was asked for {args} {kwargs}")

    monkeypatch.setattr(load.AutoConfig, "from_pretrained", asked)


def refused(path, **settings):
    with pytest.raises(ConfigError) as caught:
        load.load(ModelConfig(path=str(path), device=settings.pop("device", "cpu"), **settings))
    error = caught.value
    assert error.where
    assert error.fix
    return error


def test_a_whole_folder_loads(folder):
    loaded = load.load(ModelConfig(path=str(folder), device="cpu"))
    assert loaded.origin == str(folder)
    assert not loaded.model.training
    assert loaded.model.dtype is torch.float32
    assert loaded.end_ids == {2}
    assert loaded.longest == 128
    assert len(loaded.tokenizer) == load.embedded_tokens(loaded.model) == 6


def test_weights_in_half_precision_become_float32(tmp_path):
    tiny_llama(6).half().save_pretrained(tmp_path)
    word_tokenizer(WORDS).save_pretrained(tmp_path)
    assert load.load(ModelConfig(path=str(tmp_path), device="cpu")).model.dtype is torch.float32


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    "path", ["models/missing", "./missing", "../nothing", "models/missing/", "~/no-such-model", ""]
)
def test_a_relative_path_that_is_missing_never_becomes_a_look_up(tmp_path, monkeypatch, path):
    (tmp_path / "here" / "models").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert refused(path).code == "model.path"


@pytest.mark.usefixtures("no_hub")
def test_an_absolute_path_that_is_missing_never_becomes_a_look_up(tmp_path):
    error = refused(tmp_path / "missing")
    assert (error.code, error.where, error.fix) == ("model.path", str(tmp_path / "missing"), "check model.path")
    assert "no such folder" in error.what


@pytest.mark.parametrize("name", ["gpt2", "org/model-1.5_b"])
def test_hub_ids_pass(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert load.check_origin(name) == name


def test_a_file_is_no_folder(folder):
    error = refused(folder / "config.json")
    assert error.code == "model.path"
    assert "a file" in error.what
    assert error.where.endswith("config.json")


@pytest.mark.parametrize(
    ("file", "code", "what"),
    [
        ("config.json", "model.path", "no config.json"),
        ("model.safetensors", "model.weights", "no weights"),
    ],
)
def test_a_folder_that_lacks_a_file(folder, file, code, what):
    (folder / file).unlink()
    error = refused(folder)
    assert (error.code, error.where) == (code, str(folder))
    assert what in error.what


def test_a_folder_without_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    error = refused(folder)
    assert (error.code, error.where) == ("model.tokenizer", str(folder))
    assert "no tokenizer" in error.what


def test_pickles_are_refused_unread(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    error = refused(folder)
    assert (error.code, error.where) == ("model.weights", str(folder))
    assert "pickles (pytorch_model.bin)" in error.what
    assert "save_pretrained" in error.fix


def test_a_tokenizer_with_more_tokens_than_the_model(folder):
    word_tokenizer((*WORDS, "black")).save_pretrained(folder)
    error = refused(folder)
    assert (error.code, error.where) == ("model.tokenizer", str(folder))
    assert "7 tokens" in error.what
    assert "embeds 6" in error.what


@pytest.mark.parametrize("how", ["gone", "misshapen"])
def test_weights_that_would_be_random(folder, how):
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.self_attn.q_proj.weight"
    removed = weights.pop(name)
    if how == "misshapen":
        weights[name] = removed[:5].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    error = refused(folder)
    assert error.code == ("model.weights" if how == "gone" else "model.load")
    assert error.where == str(folder)
    if how == "gone":
        assert f"1 weights are not in the files and would be random: {name}" in error.what


def test_what_is_no_language_model(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "no_such_kind"}))
    error = refused(folder)
    assert (error.code, error.where) == ("model.load", str(folder))


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there(folder, device):
    error = refused(folder, device=device)
    assert (error.code, error.where, error.fix) == ("model.device", "model.device", "auto, cpu, or a GPU that is there")
    assert repr(device) in error.what


BAD = [
    {"hidden_size": "abc"},
    {"num_attention_heads": 0},
    {"num_hidden_layers": None},
    {"pad_token_id": 99999},
    {"rope_parameters": "x"},
]


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("bad", BAD, ids=lambda each: next(iter(each)))
def test_a_configuration_over_which_transformers_stumbles_in_any_way_is_refused(folder, bad, numbers):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, **bad}))
    with pytest.raises(ConfigError) as caught:
        load.load(ModelConfig(path=str(folder), device="cpu"), numbers=numbers)
    assert (caught.value.code, caught.value.where) == ("model.load", str(folder))
    assert not caught.value.what.endswith(":")


def test_generation_settings_and_a_stored_precision_that_cannot_be_read_are_refused(folder):
    (folder / "generation_config.json").write_text("[]")
    assert refused(folder).code == "model.load"
    (folder / "config.json").write_text('{"model_type": "llama", "hidden_size": "wide"}')
    with pytest.raises(ConfigError, match="hidden_size"):
        load.stored_dtype(str(folder), trust_remote_code=False)


def test_memory_that_runs_out_is_no_fault_of_the_model(folder, monkeypatch):
    def full(*_args, **_kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(load.AutoModelForCausalLM, "from_pretrained", full)
    with pytest.raises(RuntimeError, match="can't allocate"):
        load.load(ModelConfig(path=str(folder), device="cpu"))


def test_the_digest_changes_with_one_weight_and_not_with_a_reload(folder):
    config = ModelConfig(path=str(folder), device="cpu")
    first, second = load.load(config).model, load.load(config).model
    before = load.digest(first)
    assert load.digest(second) == before
    with torch.no_grad():
        second.model.layers[1].mlp.up_proj.weight[3, 4] += 1e-6
    assert load.digest(second) != before
