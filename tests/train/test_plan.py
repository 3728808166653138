"""The forecast of a run: against the model at full depth, against tensors of a run on numbers, against hand counts."""

import gc
import json
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from planted import config_for, pairs
from tiny import encoded_groups, tiny_llama
from transformers import Gemma3TextConfig, GPT2Config, LlamaConfig, T5Config

from prefsmith.assembly import objective_of, resolved
from prefsmith.config import RunConfig
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack
from prefsmith.errors import ConfigError
from prefsmith.model import adapters
from prefsmith.model.score import NOTHING_MORE, Scorer
from prefsmith.model.shape import Shape, read_shape
from prefsmith.preflight.forecast import Job, forecast
from prefsmith.preflight.workload import Lengths, Workload, workload_of
from prefsmith.train.peak import ones, peak_bytes

LAYERS = 6
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
CONFIG = LlamaConfig(vocab_size=300, **SIZES)
CASES = {
    "all weights": {},
    "recomputed in bf16": {"train": {"activation_checkpointing": True, "precision": "bf16"}},
    "lora in bf16": {"adapter": {"kind": "lora"}, "train": {"precision": "bf16"}},
    "another copy of an adapter": {"adapter": {"kind": "dora"}, "reference": {"kind": "frozen"}},
    "divergence": {"loss": {"name": "tdpo2"}},
}


def job_of(settings=None, *, config=CONFIG, gpus=1, parallel="fsdp", lengths=(40, 30), on_gpu=True, **changes) -> Job:
    given = {key: dict(value) for key, value in (settings or {}).items()}
    given["train"] = {"pairs_per_step": 6, "token_budget": 200, "parallel": parallel, **given.get("train", {})}
    run = RunConfig.model_validate(given)
    objective = objective_of(run)
    run = resolved(run, objective)
    shape = Shape(config, "a configuration")
    load = workload_of(run, objective, shape, Lengths(*lengths), None)
    return replace(Job(run, objective, shape, None, load, gpus, on_gpu), **changes)


@pytest.fixture(autouse=True)
def no_process_group_is_left():
    yield
    assert not dist.is_initialized()


@pytest.mark.parametrize(("name", "gpus"), list(zip(CASES, (4, 4, 4, 1, 1), strict=True)))
def test_two_shallow_models_tell_what_the_deep_one_takes(name, gpus):
    job = job_of(CASES[name], gpus=gpus)
    drawn, whole = forecast(job), forecast(job, full_depth=True)
    assert len(drawn.depths) == 2 and max(drawn.depths) < LAYERS and whole.depths == (LAYERS,)
    assert drawn.total == pytest.approx(whole.total, rel=0.02)
    assert drawn.parts == pytest.approx(whole.parts, rel=0.05, abs=0.01 * whole.total)
    assert drawn.operations.all() == pytest.approx(whole.operations.all(), rel=1e-9)


def test_when_python_looks_for_garbage_changes_nothing():
    """Weights that DoRA multiplies out without a gradient stayed in rings of the tracker's hooks until then."""
    job, found = job_of(CASES["another copy of an adapter"]), []
    before = gc.get_threshold()
    try:
        for often in (0, 200, 5000):  # 0: never
            gc.collect()
            gc.set_threshold(often, *before[1:])
            found.append(forecast(job, full_depth=True).parts)
    finally:
        gc.set_threshold(*before)
    assert found[0] == found[1] == found[2]


def test_layers_of_unlike_kinds_are_drawn_out_by_whole_patterns():
    kinds = ["sliding_attention", "full_attention"] * 4
    sizes = {**SIZES, "num_hidden_layers": len(kinds), "head_dim": 16}
    job = job_of(config=Gemma3TextConfig(vocab_size=300, sliding_window=16, layer_types=kinds, **sizes))
    assert job.shape.depths == (4, 6)
    assert forecast(job).total == pytest.approx(forecast(job, full_depth=True).total, rel=0.02)


def test_a_shallow_model_is_followed_as_it_is():
    config = LlamaConfig(vocab_size=300, **{**SIZES, "num_hidden_layers": 2})
    assert forecast(job_of(config=config)).depths == (2,)


@pytest.mark.parametrize("name", ["all weights", "recomputed in bf16", "lora in bf16"])
def test_tensors_of_a_run_on_numbers_are_as_large(name):
    """The same pass on a real model, on a processor, where every tensor that an operation returns is counted."""
    job = job_of(CASES[name], on_gpu=False, config=LlamaConfig(vocab_size=300, **{**SIZES, "num_hidden_layers": 4}))
    found = forecast(job)
    model = tiny_llama(300, **{**SIZES, "num_hidden_layers": 4})
    config = job.config
    trained = model.requires_grad_(True)
    if config.adapter.kind != "none":
        trained = adapters.attach(model, config.adapter, seed=0).eval()
    again = config.train.activation_checkpointing
    policy = Scorer(trained, "shared", recompute=again, precision=config.train.precision)
    batch = pack(found.spread.largest)
    for weight in trained.parameters():
        weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
    taken = peak_bytes(lambda: policy.accumulate(batch, ones, NOTHING_MORE), torch.device("cpu"))
    standing = sum(found.parts[part] for part in ("parameters", "gradients", "optimizer"))
    if config.adapter.kind == "none":  # the copy that the policy is compared with
        standing += sum(each.nbytes for each in (*model.parameters(), *model.buffers()))
    forecast_of_pass = max(found.peaks[phase] for phase in ("body", "head", "backward")) - standing
    assert forecast_of_pass == pytest.approx(taken, rel=0.05)


def test_weights_gradients_and_averages_are_those_of_the_model():
    model = tiny_llama(300, **SIZES)
    weights = 4 * sum(each.numel() for each in model.parameters())
    parts = forecast(job_of({"reference": {"kind": "cached"}})).parts
    assert parts["gradients"] == weights
    assert weights <= parts["parameters"] <= weights * 1.01  # buffers
    assert 2 * weights <= parts["optimizer"] <= 3.01 * weights  # and, in its step, one more on a GPU


def test_a_copy_to_compare_with_is_there_unless_it_is_cached_or_the_base_of_an_adapter():
    def reference(settings):
        return forecast(job_of(settings)).parts["reference"]

    weights = 4 * sum(each.numel() for each in tiny_llama(300, **SIZES).parameters())
    assert reference({}) == pytest.approx(weights, rel=0.01)
    assert reference({"reference": {"kind": "cached"}}) == 0
    assert reference({"adapter": {"kind": "lora"}}) < 0.2 * weights
    assert reference({"adapter": {"kind": "lora"}, "reference": {"kind": "frozen"}}) >= weights


def test_each_process_has_its_part():
    many = {"train": {"pairs_per_step": 24}, "reference": {"kind": "cached"}}  # several micro-batches for each
    whole = forecast(job_of(many, gpus=4, parallel="ddp")).parts
    part = forecast(job_of(many, gpus=4, parallel="fsdp")).parts
    assert whole["gathered"] == 0 < part["gathered"]
    for name in ("parameters", "gradients"):
        assert part[name] == pytest.approx(whole[name] / 4, rel=0.05)


def test_another_model_to_compare_with_has_a_depth_of_its_own():
    other = Shape(LlamaConfig(vocab_size=300, **{**SIZES, "num_hidden_layers": 15}), "another")
    job = job_of(reference=other)
    drawn, whole = forecast(job), forecast(job, full_depth=True)
    assert drawn.total == pytest.approx(whole.total, rel=0.02)
    assert drawn.parts["reference"] > 1.4 * drawn.parts["parameters"]


def test_an_adapter_that_is_off_first_takes_gradients_in_parts_and_bf16():
    found = forecast(job_of({"adapter": {"kind": "lora"}, "train": {"precision": "bf16"}}, gpus=8))
    assert found.spread.first and found.parts["gathered"] > 0


def test_operations_are_those_that_the_weights_ask_for():
    found = forecast(job_of({"reference": {"kind": "cached"}}))
    hidden, wide, width = SIZES["hidden_size"], SIZES["intermediate_size"], SIZES["hidden_size"] // 4
    body = LAYERS * (2 * hidden * hidden + 2 * hidden * 2 * width + 3 * hidden * wide)
    turn, operations = found.turn, found.operations
    assert operations.forward["body"] == 2 * body * turn.tokens
    assert operations.backward["body"] == 4 * body * turn.tokens
    assert operations.all()["head"] == 3 * 2 * hidden * 300 * turn.scored
    assert operations.all()["attention"] >= 3.5 * 4 * LAYERS * hidden * turn.seen * 0.9


def test_rows_are_divided_over_processes_as_training_divides_them():
    groups = encoded_groups(6, prompt=(10, 10), answer=(5, 5))
    load = Workload("rows", [groups], "pairs", 6, 1, 1)
    alone, four, eight = (load.spread(40, processes, "shared") for processes in (1, 4, 8))
    assert [len(turns) for turns in alone.turns[0]] == [1] * 3 and not alone.first
    assert alone.turns[0][0][0].tokens == 40 and four.turns[0][0][0].tokens in (20, 40)
    assert eight.idle == 2 and eight.first
    assert sum(turn.tokens for turns in four.turns[0] for turn in turns) == 6 * 20


def live_groups():
    gc.collect()
    return sum(type(each) is EncodedGroup for each in gc.get_objects())


def test_rows_are_read_step_by_step_and_not_kept(tmp_path):
    """The ids of a large file, as Python's numbers, would fill the memory."""
    run = config_for(tmp_path, pairs(60), data={"eval_fraction": 0}, train={"pairs_per_step": 5, "epochs": 3})
    objective = objective_of(run)
    shape = read_shape(run.model.path, trust_remote_code=False)
    before = live_groups()
    load = workload_of(run, objective, shape, None, None)
    read = []
    for step in load.steps:
        read += [group.tokens for group in step]
    assert len(load.steps) == load.count == 3 * load.epoch == 36
    assert load.longest == max(read)
    spread = load.spread(10**6, 1, "packed")
    assert [len(turns) for turns in spread.turns] == [1] * 36
    assert load.spread(10**6, 1, "packed") is spread and load.spread(10**6, 1, "shared") is not spread
    assert sum(turn.tokens for step in load.spread(10**6, 1, "shared").turns for (turn,) in step) == sum(read)
    assert live_groups() - before <= 2 * 5  # the largest micro-batches of the last two answers


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "cannot be read"),
        ('{"hidden_size": 8}', "model_type"),
        ('{"model_type": "nobody_has_heard_of_it"}', "nobody_has_heard_of_it"),
        ('{"model_type": "llama", "hidden_size": "wide"}', "hidden_size"),
        ('{"model_type": "llama", "num_hidden_layers": 0}', "layers"),
        ("\x00\xff", ""),
    ],
)
def test_a_configuration_that_is_none_is_refused(tmp_path, text, what):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as error:
        read_shape(str(tmp_path), trust_remote_code=False)
    assert error.value.code == "plan.model" and what in error.value.what


def test_a_model_that_reads_before_it_writes_is_refused(tmp_path):
    T5Config().save_pretrained(tmp_path)
    with pytest.raises(ConfigError) as error:
        read_shape(str(tmp_path), trust_remote_code=False)
    assert error.value.code == "model.kind"


def test_what_cannot_be_built_is_refused(tmp_path):
    LlamaConfig(vocab_size=300, **SIZES).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "hidden_act": "no_such_thing"}))
    shape = read_shape(str(tmp_path), trust_remote_code=False)
    with pytest.raises(ConfigError) as error:
        shape.depths  # noqa: B018
    assert error.value.code == "plan.model" and "no_such_thing" in error.value.what


@pytest.mark.parametrize(
    "settings",
    [
        {"reference": {"kind": "ema"}},
        {"train": {"token_budget": "auto"}},
        {"adapter": {"kind": "lora"}, "model": {"quantize": "nf4"}},
    ],
)
def test_what_is_not_forecast_is_said(settings):
    plain = job_of()
    run = RunConfig.model_validate(settings)
    with pytest.raises(ConfigError) as error:
        forecast(replace(plain, config=run))
    assert error.value.code == "plan.setting"


def test_a_way_of_running_that_reads_numbers_is_not_forecast():
    with pytest.raises(ConfigError) as error:
        forecast(job_of({"model": {"attention": "padded"}}))
    assert error.value.code == "plan.model" and "padded" in error.value.what


def test_a_process_of_a_run_makes_no_forecast(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError) as error:
        forecast(job_of(gpus=2))
    assert error.value.code == "plan.processes"


def test_a_fault_on_the_way_leaves_no_process_group(monkeypatch):
    monkeypatch.setattr(Scorer, "accumulate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        forecast(job_of(gpus=2))
    assert not dist.is_initialized()


def test_layers_of_a_configuration_with_other_names():
    shape = Shape(GPT2Config(n_layer=7, n_embd=32, n_head=4, vocab_size=90), "gpt2")
    assert shape.depth == 7 and shape.depths == (3, 4)
    assert forecast(job_of(config=shape.config)).path == "shared"
