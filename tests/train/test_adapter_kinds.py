"""Whole runs of DoRA and IA3: they learn, go on to the bit, and every record says what was trained."""

import math

import pytest
import torch
from planted import config_for, pairs, train
from safetensors.torch import load_file

from prefsmith import report
from prefsmith.methods.merge import merge_adapter
from prefsmith.model import adapters
from prefsmith.preflight.parts import put_together
from prefsmith.preflight.survey import preflight
from prefsmith.report import read_run
from prefsmith.report.facts import facts

SIZES = {"dora": 2 * (8 * (64 + 48) + 48), "ia3": 2 * (16 + 16 + 48)}
WORDS = {"dora": "dora, rank 8, alpha 32", "ia3": "ia3"}
STEADY = {"schedule": "constant", "warmup_steps": 0}
both = pytest.mark.parametrize("kind", ["dora", "ia3"])


def config(folder, kind, steps=12, rate=0.02, **sections):
    settings = {
        "adapter": {"kind": kind},
        "optim": {**STEADY, "learning_rate": rate},
        "train": {"pairs_per_step": 16, "max_steps": steps},
        "evaluate": {"samples": 2, "sample_tokens": 6},
    }
    return config_for(folder, pairs(240), **settings | sections)


@both
def test_a_run_learns_from_log_two_and_says_what_it_trained(tmp_path, kind):
    run = train(config(tmp_path, kind, rate=0.02 if kind == "dora" else 0.1))
    steps = [row for row in run.metrics if row.get("split") != "eval"]
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-9) and steps[0]["margin"] == 0.0
    assert sum(row["loss"] for row in steps[-3:]) / 3 < 0.68
    recorded = read_run(run.folder)
    assert recorded.model["trained"] == SIZES[kind] and recorded.model["reference"] == "the base model, adapter off"
    card = (run.folder / "model" / "README.md").read_text()
    assert f"- {kind}\n" in card and {"dora": "(DoRA)", "ia3": "(IA3)"}[kind] in card
    assert f"| adapter | `{WORDS[kind]}` |" in card
    assert facts(recorded)["settings"]["adapter.kind"] == kind
    assert WORDS[kind] in report.write(run.folder).read_text()


@both
def test_a_run_that_stopped_goes_on_to_the_same_bits(tmp_path, kind):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = train(config(tmp_path / "whole", kind, steps=4)).folder
    train(config(tmp_path / "parts", kind, steps=2))
    again = train(config(tmp_path / "parts", kind, steps=4), resume=True)
    assert again.steps == 4
    one, other = (load_file(each / "model" / "adapter_model.safetensors") for each in (whole, again.folder))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@both
def test_the_check_counts_what_is_trained(tmp_path, kind):
    seen = preflight(config(tmp_path, kind))
    assert seen.problems == () and seen.model is not None and seen.memory is not None
    assert (seen.model.trained, seen.model.adapter) == (SIZES[kind], WORDS[kind])
    assert seen.memory.gradients == 4 * SIZES[kind] and seen.memory.optimizer == 8 * SIZES[kind]
    assert seen.memory.reference == 0


def test_matrices_that_dora_makes_and_gives_back_do_not_grow_with_the_tokens(tmp_path):
    """Of an update that is made from an identity autograd keeps nothing."""
    estimates = {}
    for kind in ("lora", "dora"):
        (tmp_path / kind).mkdir()
        sections = {"adapter": {"kind": kind, "target_modules": ["down_proj"]}}
        parts = put_together(config(tmp_path / kind, kind, **sections), lambda words: None)
        estimates[kind] = parts.memory
        assert parts.models is not None
        made = (48 * 48 + 3 * 48 * 32) * 4 if kind == "dora" else 0
        assert adapters.scratch_bytes(parts.models.policy.model) == made
    assert parts.load is not None
    # Beside what LoRA keeps: the base's result, the product with its length, and their factors, in two layers.
    per_token = (estimates["dora"].activations - estimates["lora"].activations) / parts.load.work.largest
    assert 0 < per_token < 2 * 4 * 32 * 4


@pytest.mark.parametrize("reference", ["frozen", "path"])
def test_an_adapter_that_rewrites_its_base_trains_beside_another_reference(tmp_path, reference):
    """Interrupted, it goes on to the same bits, and what it leaves loads on the base as it was."""
    named = {"kind": "frozen"} if reference == "frozen" else {"path": str(tmp_path / "base")}
    sections = {"adapter": {"kind": "lora", "init": "pissa"}, "reference": named}
    first = train(config(tmp_path, "lora", steps=2, **sections))
    assert first.metrics[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    (tmp_path / "run").rename(tmp_path / "parts")
    train(config(tmp_path, "lora", steps=4, **sections))
    train(
        config(tmp_path, "lora", steps=4, **sections).model_copy(update={"out": str(tmp_path / "parts")}), resume=True
    )
    one, other = (load_file(tmp_path / name / "model" / "adapter_model.safetensors") for name in ("run", "parts"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    merged = merge_adapter(str(tmp_path / "run"), tmp_path / "merged", device="cpu")
    assert merged.adapter == "lora, rank 16, alpha 64" and merged.drift.largest < 1e-4
