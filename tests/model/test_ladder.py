"""Which rung a model gets, and what happens where a rung is not exact."""

from dataclasses import replace

import pytest
import torch
from tiny import encoded_groups

from prefsmith.data.pack import pack
from prefsmith.errors import ConfigError
from prefsmith.model import blocks, thicket
from prefsmith.model.attention import FOREST
from prefsmith.model.ladder import choose_path
from prefsmith.model.score import PATHS, Scorer


@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma3", "gpt2", "cohere", "opt", "llama_lora"])
def test_unmodified_models_share_prompts(build, probe, name):
    scorer, choice = choose_path(build(name), [probe])
    assert (choice.path, scorer.path, choice.why) == ("shared", "shared", "")
    assert choice.value_gap < 1e-5
    assert choice.gradient_gap < 1e-5
    assert choice.describe().startswith("shared (against its own forward: values within ")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mamba", "its state runs along the row"),
        ("qwen3_next", "its state runs along the row"),
        ("gemma2", "shared: its attention uses softcap; packed: its attention uses softcap"),
        ("bloom", "its attention cannot be replaced"),
    ],
)
def test_what_cannot_be_packed_is_padded_and_says_why(build, probe, name, why):
    model = build(name)
    own = model.config._attn_implementation
    scorer, choice = choose_path(model, [probe])
    assert (choice.path, scorer.path) == ("padded", "padded")
    assert choice.why.startswith(why)
    assert why in choice.describe()
    assert model.config._attn_implementation == own


def test_layers_that_are_no_attention_are_named(build, probe, monkeypatch):
    model = build("qwen3_next")
    monkeypatch.setattr(type(model), "_is_stateful", False)
    _, choice = choose_path(model, [probe])
    assert (choice.path, choice.why) == ("padded", "it has layers of the kind linear_attention")


@pytest.mark.parametrize(("longest", "path", "rows"), [(12, "shared", None), (13, "padded", 1), (None, "padded", 1)])
def test_dynamic_positions_beyond_the_trained_length_run_one_row_at_a_time(build, longest, path, rows):
    batch = pack(encoded_groups(1, prompt=(4, 4), answer=(3, 8)))
    scorer, choice = choose_path(build("dynamic_rope"), [batch], max_length=longest)
    assert (choice.path, scorer.rows_at_once) == (path, rows)
    assert ("positions depend on the length" in choice.why) == (rows == 1)


def test_dynamic_positions_do_not_remember_a_longer_sequence(build):
    """transformers keeps the frequencies of the longest sequence it has met, so a result would depend on history."""
    short, long = (pack(encoded_groups(1, prompt=(p, p), answer=(6, 7))) for p in (10, 24))
    scorer, choice = choose_path(build("dynamic_rope"), [long, short], max_length=40)
    assert choice.path == "padded"
    before = Scorer(build("dynamic_rope"), "padded", rows_at_once=1).token_nats(short)
    scorer.token_nats(long)
    torch.testing.assert_close(scorer.token_nats(short), before, rtol=0, atol=1e-6)


def test_rows_beside_a_longer_one_would_be_wrong(build):
    """Without rows_at_once=1 the fault that it prevents is there."""
    groups = [*encoded_groups(1, prompt=(6, 6)), *encoded_groups(1, seed=1, prompt=(24, 24), answer=(6, 7))]
    short = encoded_groups(1, prompt=(6, 6), answer=(8, 9), seed=2)
    together = pack([*short, *groups])
    alone = Scorer(build("dynamic_rope"), "padded", rows_at_once=1).token_nats(together)
    beside = Scorer(build("dynamic_rope"), "padded").token_nats(together)
    assert float((alone - beside).abs().max()) > 1e-3


def leaking(monkeypatch):
    """Branches behind the first see one token too few of their prompt: only `shared` has such branches."""
    right = blocks._parts

    def one_too_narrow(trees):
        for line in right(trees):
            trunk = getattr(line, "trunk", None)
            yield replace(line, trunk=slice(trunk.start + 1, trunk.stop)) if trunk else line

    monkeypatch.setattr(blocks, "_parts", one_too_narrow)


def scaled(monkeypatch):
    """The forest computes something else everywhere."""
    right = blocks._attend
    monkeypatch.setattr(blocks, "_attend", lambda *each, attn_mask, scale: right(*each, scale=scale))


def not_a_number(monkeypatch):
    right = blocks._attend

    def broken(*args, **kwargs):
        found, normaliser = right(*args, **kwargs)
        return found * float("nan"), normaliser

    monkeypatch.setattr(blocks, "_attend", broken)


FAULTS = [
    pytest.param(leaking, "packed", id="shared-wrong"),
    pytest.param(scaled, "padded", id="forest-wrong"),
    pytest.param(not_a_number, "padded", id="forest-nan"),
]


@pytest.mark.parametrize(("fault", "path"), FAULTS)
def test_auto_falls_to_the_first_rung_that_is_exact(build, probe, monkeypatch, fault, path):
    model = build("llama")
    own = model.config._attn_implementation
    monkeypatch.setattr(thicket, "SMALL", 0)  # the faults are in how a tree is run by itself
    fault(monkeypatch)
    scorer, choice = choose_path(model, [probe])
    assert (choice.path, scorer.path) == (path, path)
    assert choice.why.startswith("shared differs by ")
    assert model.config._attn_implementation == (FOREST if path == "packed" else own)


@pytest.mark.parametrize(("fault", "_path"), FAULTS)
def test_a_wanted_rung_that_is_not_exact_is_refused(build, probe, monkeypatch, fault, _path):
    model = build("llama")
    own = model.config._attn_implementation
    monkeypatch.setattr(thicket, "SMALL", 0)  # the faults are in how a tree is run by itself
    fault(monkeypatch)
    with pytest.raises(ConfigError, match="shared differs by") as caught:
        choose_path(model, [probe], wanted="shared")
    assert (caught.value.code, caught.value.where) == ("model.path_parity", "model.attention")
    assert caught.value.fix == "model.attention=auto tries every way"
    assert model.config._attn_implementation == own


def test_a_wanted_rung_that_is_barred_is_refused_with_the_reason(build, probe):
    with pytest.raises(ConfigError, match="its state runs along the row") as caught:
        choose_path(build("mamba"), [probe], wanted="packed")
    assert caught.value.code == "model.path_parity"


@pytest.mark.parametrize("path", PATHS)
def test_a_wanted_rung_is_taken(build, probe, path):
    scorer, choice = choose_path(build("llama"), [probe], wanted=path)
    assert (choice.path, scorer.path) == (path, path)


def test_a_gap_in_one_probe_of_several_counts(build, monkeypatch):
    """Only the second probe has a second branch, where the fault lies."""
    single, double = pack(encoded_groups(1, completions=1)), pack(encoded_groups(1, completions=2))
    leaking(monkeypatch)
    assert choose_path(build("llama"), [single])[1].path == "shared"
    assert choose_path(build("llama"), [single, double])[1].path == "packed"
    assert choose_path(build("llama"), [double, single])[1].path == "packed"


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3"])
def test_generation_is_what_it_was_before_the_forest(build, probe, name):
    """A left-padded batch, through the model's own generate."""
    model = build(name)
    ids = torch.tensor([[0, 0, 0, 5, 9], [7, 8, 30, 11, 12], [0, 3, 4, 21, 6]])
    asked = {
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "max_new_tokens": 8,
        "do_sample": False,
        "pad_token_id": 0,
    }
    before = model.generate(**asked)
    Scorer(model, "shared").token_nats(probe)
    assert model.config._attn_implementation == FOREST
    assert torch.equal(model.generate(**asked), before)
