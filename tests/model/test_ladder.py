"""Which rung a model gets, and what happens where a rung is not exact."""

from dataclasses import replace

import pytest
import torch
from tiny import encoded_groups, tiny_llama
from transformers import AutoConfig, AutoModelForCausalLM

from prefsmith.data.pack import pack
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.model import blocks, thicket
from prefsmith.model import logprobs as logprobs_module
from prefsmith.model.attention import FOREST
from prefsmith.model.body import body_of
from prefsmith.model.forest import unshare
from prefsmith.model.ladder import choose_path
from prefsmith.model.own_forward import own_numbers
from prefsmith.model.score import PATHS, Scorer
from prefsmith.train.peak import ones, peak_bytes


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


STUMBLES = [RuntimeError("mat1 and mat2"), ValueError("not so many"), IndexError("beyond"), AttributeError("no part")]


@pytest.mark.parametrize("error", STUMBLES, ids=lambda each: type(each).__name__)
def test_a_path_on_which_the_model_stumbles_is_passed_by_with_the_reason(build, probe, monkeypatch, error):
    def stumble(*_args):
        raise error

    monkeypatch.setattr(Scorer, "_packed", stumble)
    scorer, choice = choose_path(build("llama"), [probe])
    assert scorer.path == "padded"
    assert choice.why == f"shared: {error}; packed: {error}"


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("path", ["_packed", "_padded"])
def test_memory_that_runs_out_in_the_check_is_told_as_such(build, probe, monkeypatch, path, recompute):
    """No other path takes less, and no token budget makes the longest row shorter."""

    def full(*_args):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(Scorer, path, full)
    with pytest.raises(TrainingError, match="while paths were compared on the longest row") as caught:
        choose_path(build("llama"), [probe], wanted="auto" if path == "_packed" else "padded", recompute=recompute)
    assert caught.value.code == "train.memory"
    assert ("train.activation_checkpointing=true" in caught.value.fix) == (not recompute)
    assert "train.token_budget changes nothing" in caught.value.fix
    assert probe.sources[0] in caught.value.where


@pytest.mark.parametrize("recompute", [False, True])
def test_the_check_takes_about_the_memory_of_the_longest_row_in_training(recompute):
    """Many answers to a long prompt, many layers: what the model's own forward keeps of one is no more than that."""
    model = tiny_llama(num_hidden_layers=12)
    row = pack(encoded_groups(1, completions=6, prompt=(80, 80), answer=(10, 11)))
    Scorer(model, "shared").accumulate(row, ones)  # what is kept of a layout is made here, on neither side's account
    chosen = []
    check = peak_bytes(lambda: chosen.append(choose_path(model, [row], recompute=recompute)[0]), torch.device("cpu"))
    policy = chosen[0]
    policy.accumulate(row, ones)
    training = peak_bytes(lambda: policy.accumulate(row, ones), torch.device("cpu"))
    assert (policy.path, bool(policy.recomputed)) == ("shared", recompute)
    assert check < 2 * training


@pytest.mark.parametrize("name", ["llama", "llama_lora", "gpt2", "mamba"])
def test_in_pieces_and_run_twice_the_models_own_numbers_are_the_same(build, probe, name, monkeypatch):
    """Against one graph of everything, written down plainly."""
    model = build(name)
    alone = unshare(probe)
    values = []
    for (start, _), (_, _, end) in zip(alone.prompts.tolist(), alone.completions.tolist(), strict=True):
        ids, scored = alone.ids[start:end], alone.scored[start:end]
        logprobs = model(input_ids=ids[None], use_cache=False).logits[0, :-1].log_softmax(-1)
        values.append(logprobs.gather(1, ids[1:, None])[:, 0][scored[1:]])
    whole = torch.cat(values)
    weights = torch.linspace(-1.0, 1.3, len(whole)).cos()
    inputs = [each for each in model.parameters() if each.requires_grad]
    expected = torch.autograd.grad((whole * weights).sum(), inputs)
    monkeypatch.setattr(logprobs_module, "CHUNK_ELEMENTS", 2 * 40)  # two rows of logits at a time
    for recompute in (False, True):
        found, gradient = own_numbers(model, probe, recompute=recompute)
        torch.testing.assert_close(found, whole.detach(), rtol=0, atol=1e-5)
        for one, other in zip(gradient, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


ODD = {
    "llama4_text": {"num_local_experts": 2, "intermediate_size_mlp": 48, "head_dim": 8},
    "electra": {"is_decoder": True, "embedding_size": 16},
}


@pytest.mark.parametrize(("kind", "head"), [("llama4_text", "plain head"), ("electra", "the model's own head")])
def test_a_prefix_that_names_nothing_and_a_head_behind_a_projection_are_run(probe, kind, head):
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 64, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **sizes, **ODD[kind])
    scorer, _ = choose_path(AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval(), [probe])
    assert scorer.head.describe() == head


def test_a_model_without_a_body_is_refused():
    with pytest.raises(ConfigError, match="does not say which of its parts") as caught:
        body_of(torch.nn.Linear(2, 2))
    assert caught.value.code == "model.kind"
