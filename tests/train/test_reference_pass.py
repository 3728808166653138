"""A reference that is asked once: the same training with less to hold, and numbers that are never another model's."""

import json
import math
import os
import signal
from pathlib import Path

import pytest
import torch
from planted import config_for, pairs, scored, train
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefsmith.config import ReferenceConfig
from prefsmith.errors import ConfigError, Interrupted, TrainingError
from prefsmith.model.cached import CachedReference
from prefsmith.model.score import Scorer
from prefsmith.run import fit
from prefsmith.train import reference_pass

CACHED = {"reference": {"kind": "cached"}}
LORA = {"adapter": {"kind": "lora", "rank": 4}}
MOVING = ("seconds", "peak_memory_bytes")


def config(folder, rows=None, **sections):
    folder.mkdir(exist_ok=True)
    steps = {"train": {"pairs_per_step": 16, "epochs": 2}, "evaluate": {"every": 4, "samples": 0}}
    return config_for(folder, pairs(70) if rows is None else rows, **{**steps, **CACHED, **sections})


def rows_of(run):
    return [{key: value for key, value in row.items() if key not in MOVING} for row in run.metrics]


def told(settings, **arguments):
    lines = []
    return fit(settings, say=lines.append, **arguments), lines


def shards(tmp_path, pattern="*.safetensors"):
    return sorted((tmp_path / "cache" / "prefsmith" / "reference").rglob(pattern))


def assert_close(rows, others):
    for one, two in zip(rows, others, strict=True):
        assert one.keys() == two.keys()
        numbers = [name for name, value in one.items() if not isinstance(value, str)]
        assert [one[name] for name in numbers] == pytest.approx([two[name] for name in numbers], rel=2e-4, abs=2e-5)


@pytest.mark.parametrize("sections", [{}, LORA, {"loss": {"name": "ipo"}}, {"loss": {"name": "dr_dpo"}}])
def test_training_is_that_with_the_reference_at_hand(tmp_path, sections):
    """Evaluations included. The numbers come from other micro-batches, so that they differ by rounding."""
    cached, kept = (
        rows_of(train(config(tmp_path / name, reference=reference, **sections)))
        for name, reference in (("cached", {"kind": "cached"}), ("kept", {}))
    )
    assert len(cached) == len(kept) > 8
    assert_close(cached, kept)
    if "loss" not in sections:
        assert cached[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_another_model_is_asked_and_let_go(tmp_path):
    again = save_other(tmp_path, config(tmp_path / "kept", reference={}))
    cached, kept = (
        rows_of(train(config(tmp_path / name, reference={"path": str(again), **kind})))
        for name, kind in (("cached", {"kind": "cached"}), ("kept", {}))
    )
    assert_close(cached, kept)
    assert abs(cached[0]["loss"] - math.log(2)) > 1e-3  # it is another model


def save_other(tmp_path, settings):
    model = AutoModelForCausalLM.from_pretrained(settings.model.path)
    with torch.no_grad():
        model.lm_head.weight.mul_(1.5)
    model.save_pretrained(tmp_path / "other")
    AutoTokenizer.from_pretrained(settings.model.path).save_pretrained(tmp_path / "other")
    return tmp_path / "other"


def asked(monkeypatch):
    """How many completions the model was asked for, run by run."""
    counts, remember = [], CachedReference.remember

    def counted(self, batch):
        counts.append(len(batch.completions))
        return remember(self, batch)

    monkeypatch.setattr(CachedReference, "remember", counted)
    return counts


def test_runs_share_what_they_computed_and_add_what_is_new(tmp_path, monkeypatch):
    counts = asked(monkeypatch)
    first = pairs(40)
    one, lines = told(config(tmp_path / "one", first))
    assert sum(counts) == 80 and any("80 completions are known, 80 of them computed now" in line for line in lines)
    counts.clear()
    two, lines = told(config(tmp_path / "two", first, loss={"name": "ipo"}))
    assert counts == [] and any(line.endswith("log-probabilities of 80 completions are known") for line in lines)
    assert two.metrics[0]["chosen_logratio"] == one.metrics[0]["chosen_logratio"]
    grown = [*first, *(row for row in pairs(60, seed=9) if row not in first)]
    train(config(tmp_path / "three", grown))
    assert 0 < sum(counts) < 2 * len(grown) and len(shards(tmp_path)) == 2


def test_another_model_shares_nothing(tmp_path, monkeypatch):
    counts = asked(monkeypatch)
    train(config(tmp_path / "one", pairs(20)))
    settings = config(tmp_path / "two", pairs(20))
    other = save_other(tmp_path, settings)
    counts.clear()
    train(config(tmp_path / "two", pairs(20), model={"path": str(other)}))
    assert sum(counts) == 40
    assert len({path.parent for path in shards(tmp_path)}) == 2


@pytest.mark.parametrize("harm", ["cut", "foreign"])
def test_a_shared_file_that_was_harmed_is_told_and_computed_again(tmp_path, monkeypatch, harm):
    straight = rows_of(train(config(tmp_path / "one", pairs(20))))
    (path,) = shards(tmp_path)
    path.write_bytes(path.read_bytes()[:-5] if harm == "cut" else b"something else")
    counts = asked(monkeypatch)
    run, lines = told(config(tmp_path / "two", pairs(20)))
    assert any(line.startswith("warning") and path.name in line and "is not used" in line for line in lines)
    assert sum(counts) == 40 and rows_of(run) == straight
    assert len(shards(tmp_path, "*.damaged")) == 1 and len(shards(tmp_path)) == 1


def raise_after(step):
    def say(line):
        if line.startswith(f"step {step}/"):
            os.kill(os.getpid(), signal.SIGTERM)

    return say


def weights(settings):
    return load_file(next((Path(settings.out) / "model").glob("*.safetensors")))


@pytest.mark.parametrize("left", ["everything", "the folder", "its own file", "nothing", "a harmed file"])
def test_resuming_is_exact_whatever_is_left_of_the_cache(tmp_path, left):
    straight = config(tmp_path / "straight", reference={"kind": "cached", "cache": str(tmp_path / "other cache")})
    expected = rows_of(train(straight))
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted):
        fit(settings, say=raise_after(3))
    own = Path(settings.out) / "reference.safetensors"
    assert own.is_file() and len(shards(tmp_path)) == 1
    if left in ("its own file", "nothing"):
        shards(tmp_path)[0].unlink()
    if left in ("the folder", "nothing"):
        own.unlink()
    if left == "a harmed file":
        own.write_bytes(own.read_bytes()[:-1])
    run, lines = told(settings, resume=True)
    assert rows_of(run) == expected
    assert all(torch.equal(each, weights(straight)[name]) for name, each in weights(settings).items())
    assert any("reference.safetensors is not used" in line for line in lines) is (left == "a harmed file")


def test_other_numbers_than_the_run_began_with_are_refused(tmp_path):
    settings = config(tmp_path / "run")
    with pytest.raises(Interrupted):
        fit(settings, say=raise_after(3))
    state = next((Path(settings.out) / "checkpoints").glob("*/state.json"))
    known = json.loads(state.read_text())
    assert len(known["reference's log-probabilities"]) == 64
    table = reference_pass.read_table(Path(settings.out) / "reference.safetensors", facts_of(settings))
    other = reference_pass.NatsTable()
    keys = list(table._places)
    other.put(keys, table.lengths(keys), table.get(keys) - 0.125)
    reference_pass.write_table(Path(settings.out) / "reference.safetensors", other, facts_of(settings))
    with pytest.raises(ConfigError, match="log-probabilities is not what this run began with") as caught:
        train(settings, resume=True)
    assert caught.value.code == "run.changed"


def facts_of(settings):
    with safe_open(Path(settings.out) / "reference.safetensors", framework="pt") as file:
        return json.loads(file.metadata()["facts"])


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_number_that_is_not_finite_stops_the_run_that_made_it_and_no_other(tmp_path, monkeypatch, value):
    """One card fails once; with all sound again, a run in another folder reads nothing of it."""
    rows, ask = pairs(20), Scorer.token_nats

    def spoiled(self, batch):
        nats = ask(self, batch).clone()
        nats[-1] = value
        return nats

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "token_nats", spoiled)
        with pytest.raises(TrainingError, match="the reference's log-probability is not finite before") as caught:
            train(config(tmp_path / "one", rows))
    assert caught.value.code == "train.nonfinite" and caught.value.where.count("rows.jsonl:") == 1
    assert shards(tmp_path) == []
    train(config(tmp_path / "two", rows))


def test_a_pass_that_is_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(reference_pass, "FILE_TOKENS", 200)
    remember, seen = CachedReference.remember, []

    def stopped(self, batch):
        seen.append(len(batch.completions))
        if len(seen) == 4:
            raise RuntimeError("pulled the plug")
        return remember(self, batch)

    monkeypatch.setattr(CachedReference, "remember", stopped)
    steps = {"train": {"pairs_per_step": 16, "token_budget": 250}}
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(config(tmp_path / "run", **steps))
    assert len(shards(tmp_path)) == 3
    seen.extend([0] * 4)
    train(config(tmp_path / "run", **steps), resume=True)
    assert sum(seen) == 140 + seen[3]  # what was lost is what was being computed


def test_a_cache_that_cannot_be_written_costs_the_cache_alone(tmp_path):
    (tmp_path / "file").write_text("in the way")
    _, lines = told(config(tmp_path / "run", reference={"kind": "cached", "cache": str(tmp_path / "file")}))
    assert any(line.startswith("warning") and "not kept for other runs" in line for line in lines)
    assert shards(tmp_path) == []


@pytest.mark.parametrize("sections", [{}, LORA], ids=["full", "lora"])
def test_samples_are_still_compared_with_the_start(tmp_path, sections):
    asking = {"evaluate": {"samples": 4, "sample_tokens": 6}}
    cached, kept = (
        train(config(tmp_path / name, reference=reference, **asking, **sections)).folder / "samples.jsonl"
        for name, reference in (("cached", {"kind": "cached"}), ("kept", {}))
    )
    for one, two in zip(cached.read_text().splitlines(), kept.read_text().splitlines(), strict=True):
        one, two = json.loads(one), json.loads(two)
        assert one.keys() == two.keys() and one["completion"] == two["completion"]
        assert one["reference_logprob"] == pytest.approx(two["reference_logprob"], abs=1e-3)


def test_a_start_that_is_gone_costs_the_comparison_and_not_the_run(tmp_path):
    settings = config(tmp_path / "run", evaluate={"samples": 4, "sample_tokens": 6})

    def spoil(line):
        lines.append(line)
        if line.startswith("step 2/"):
            (Path(settings.model.path) / "config.json").unlink()

    lines: list[str] = []
    run = fit(settings, say=spoil)
    assert any(line.startswith("warning: answers are not compared with the reference") for line in lines)
    after = [json.loads(line) for line in (run.folder / "samples.jsonl").read_text().splitlines()]
    assert {row["step"] for row in after} == {0, run.steps} and (run.folder / "model").is_dir()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"loss": {"name": "kto"}}, "kto looks at answers to other prompts"),
        ({"loss": {"name": "tdpo2"}}, "tdpo2 reads the reference's whole distribution"),
        ({"loss": {"name": "simpo"}}, "no loss compares the policy with a reference"),
    ],
)
def test_losses_that_ask_more_are_refused_before_anything_is_read(tmp_path, sections, message):
    settings = config(tmp_path / "run", scored(10), **sections)
    (tmp_path / "run" / "rows.jsonl").unlink()
    with pytest.raises(ConfigError, match=message) as caught:
        train(settings)
    assert caught.value.code == "reference.cached"


def test_a_folder_for_another_kind_is_refused():
    with pytest.raises(ValueError, match="cache is set, but kind is auto"):
        ReferenceConfig(cache="x")
