"""Every loss trains a real small model on real answers: it starts where it says, stays finite and resumes exactly."""

import gzip
import json
import math

import pytest
import torch
from tiny import write_rows

from prefsmith import report
from prefsmith.config import RunConfig
from prefsmith.files import file_digest
from prefsmith.losses import LOSSES
from prefsmith.run import fit
from prefsmith.train import loop

STEPS, STOPPED_AFTER = 10, 7
PER_STEP = 3
# So that what a loss remembers has a say, and a bound is crossed.
SETTINGS = {"dpo_shift": {"f_end": 1.0, "steps": 8}, "length": {"most": 1}, "constraint": {"least": 5}}


class Stop(Exception):
    """The machine is switched off."""


@pytest.fixture(scope="module")
def dialogues(shared_data):
    """Short turns of the file, as (prompt, chosen, rejected)."""
    with gzip.open(shared_data / "hh_harmless.jsonl.gz", "rt") as file:
        rows = [json.loads(next(file)) for _ in range(400)]
    found = []
    for row in rows:
        prompt, mark, chosen = row["chosen"].rpartition("\n\nAssistant:")
        rejected = row["rejected"].rpartition("\n\nAssistant:")[2]
        if len(prompt) < 120 and max(len(chosen), len(rejected)) < 100 and chosen.strip() and rejected.strip():
            found.append((prompt + mark, chosen, rejected))
    return found


@pytest.fixture(scope="module")
def files(dialogues, tmp_path_factory):
    """The same answers in the form that each kind of loss reads."""
    folder = tmp_path_factory.mktemp("rows")
    count = STEPS * PER_STEP + 4
    rows = [dialogues[index % len(dialogues)] for index in range(count)]
    others = [dialogues[(index + 5) % len(dialogues)][1] for index in range(count)]
    pairs = [
        {"prompt": prompt, "chosen": chosen, "rejected": rejected, "score_chosen": 2 + n % 3, "score_rejected": 1}
        for n, (prompt, chosen, rejected) in enumerate(rows)
    ]
    ratings = [
        {"prompt": row["prompt"], "completion": row["chosen" if n % 2 else "rejected"], "label": bool(n % 2)}
        for n, row in enumerate(pairs)
    ]
    ranked = [
        {"prompt": row["prompt"], "completions": [other, row["chosen"], row["rejected"]], "scores": [n % 4, 3.5, 1.5]}
        for n, (row, other) in enumerate(zip(pairs, others, strict=True))
    ]
    return {
        "pairwise": write_rows(folder / "pairs.jsonl", pairs),
        "unpaired": write_rows(folder / "ratings.jsonl", ratings),
        "listwise": write_rows(folder / "ranked.jsonl", ranked),
    }


def file_for(entry, files):
    scored = entry.kind == "unpaired" and "scores" in entry.needs
    return files["listwise" if scored else entry.kind]


def config_for(entry, files, shared_data, out):
    per_step = PER_STEP * (3 if entry.kind == "unpaired" and "scores" in entry.needs else 1)
    return RunConfig.model_validate(
        {
            "model": {"path": str(shared_data / "weights" / "stories260K")},
            "data": {"train": str(file_for(entry, files)), "eval_fraction": 0.08},
            "loss": {"name": entry.name, **SETTINGS.get(entry.name, {})},
            "optim": {"learning_rate": 1e-3, "warmup_steps": 2},
            "train": {"pairs_per_step": per_step, "max_steps": STEPS, "epochs": 3, "token_budget": 400},
            "checkpoint": {"every": 4},
            "evaluate": {"samples": 0},
            "out": str(out),
        }
    )


def rows_of(folder):
    moving = ("seconds", "peak_memory_bytes")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in moving} for line in lines]


def silent(_line):
    pass


@pytest.mark.parametrize("entry", LOSSES.values(), ids=LOSSES)
def test_ten_steps_start_as_declared_stay_finite_and_resume_to_the_bit(
    entry, files, shared_data, tmp_path, monkeypatch
):
    steps = []

    def watched(*arguments, **named):
        steps.append((arguments[2], named["states"], loop_step(*arguments, **named)))
        return steps[-1][2]

    loop_step = loop.accumulate_step
    monkeypatch.setattr(loop, "accumulate_step", watched)
    monkeypatch.setattr(report, "write", lambda folder: folder)  # the page has its own tests
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    fit(config_for(entry, files, shared_data, whole), say=silent)
    objective, _, first = steps[0]
    declared = objective.terms[0].start(first.scores, first.labels[0])
    if declared is not None:
        weight = first.labels[0].weight
        assert first.loss == pytest.approx(((weight * declared).sum() / weight.sum()).item(), rel=1e-6)
    rows = rows_of(whole)
    assert [row["step"] for row in rows if "split" not in row] == list(range(1, STEPS + 1))
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    assert any(row["grad_norm"] > 0 for row in rows if "split" not in row)
    remembered = steps[-1][1]

    def switch_off(row, _steps):
        if row["step"] == STOPPED_AFTER:
            raise Stop

    steps.clear()
    with pytest.raises(Stop):
        fit(config_for(entry, files, shared_data, stopped), say=silent, watch=switch_off)
    fit(config_for(entry, files, shared_data, stopped), say=silent, resume=True)
    assert rows_of(stopped) == rows
    assert file_digest(stopped / "model" / "model.safetensors") == file_digest(whole / "model" / "model.safetensors")
    assert steps[-1][1] == remembered
    assert torch.is_grad_enabled()
