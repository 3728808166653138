"""Folders of runs, written by hand: everything that a run leaves, with any part left out or other than it should be."""

import json
import math
from pathlib import Path
from random import Random

import pytest
import yaml
from markupsafe import Markup

from prefsmith.config import RunConfig

DIGEST = "ab" * 32
VERSIONS = {"prefsmith": "0.1.0", "torch": "2.13.0"}
RESULT = {
    "loss": 0.61, "accuracy": 0.585, "accuracy_low": 0.501, "accuracy_high": 0.665, "accuracy_n": 135.0, "margin": 2.0,
    "chosen_logratio": -0.5, "rejected_logratio": -2.5, "pairs": 135, "tokens": 9000, "shorter_accuracy": 0.578,
    "shorter_accuracy_low": 0.49, "shorter_accuracy_high": 0.66, "shorter_accuracy_n": 135.0,
}  # fmt: skip


def metrics(steps=30, *, every=10, seed=0):
    """Rows of a run that goes well, with evaluations."""
    random, rows = Random(seed), []
    for step in range(1, steps + 1):
        done = step / steps
        rows.append(
            {
                "step": step, "epoch": 0, "loss": math.log(2) - 0.15 * done + random.gauss(0, 0.01),
                "margin": 3 * done, "reward_margin": 0.3 * done, "accuracy": 0.5 + 0.2 * done,
                "chosen_logratio": 0.1 * done, "rejected_logratio": -2.9 * done, "pairs": 16, "tokens": 900,
                "grad_norm": 0.8 + random.gauss(0, 0.01), "learning_rate": 1e-5 * min(1, step / 5), "seconds": 0.5,
                "peak_memory_bytes": 2**30,
            }
        )  # fmt: skip
        if every and step % every == 0:
            rows.append({"step": step, "split": "eval", **RESULT})
    return rows


def samples(count=6, after=30, **changes):
    """Before and after on the same prompts."""
    return [
        {
            "step": step, "source": f"pairs.jsonl:{number}", "split": "eval", "prompt": f"Question {number}?",
            "completion": f"Answer {number} of step {step}.", "tokens": 10, "ended": True,
            "policy_logprob": -18.0 + 0.1 * number + 0.5 * bool(step), "reference_logprob": -18.0 + 0.1 * number,
            **changes,
        }
        for step in (0, after)
        for number in range(count)
    ]  # fmt: skip


EVIDENCE = {
    "frontier": {
        "reward": "mean reward",
        "points": [
            {"name": "before", "reward": -0.1, "reward_low": -0.2, "reward_high": 0.0, "kl": 0.0, "n": 500},
            {"name": "after", "reward": 1.0, "reward_low": 0.9, "reward_high": 1.1,
             "kl": 0.6, "kl_low": 0.5, "kl_high": 0.7},
        ],
        "best": [[0.0, 0.0], [0.5, 1.0], [1.0, 1.4]],
    },
    "measures": [{"name": "grammatical", "before": {"value": 0.97},
                  "after": {"value": 0.96, "low": 0.94, "high": 0.98, "n": 500},
                  "unit": "share", "note": "by the grammar"}],
    "findings": [{"severity": "good", "what": "The reward rose.", "fix": ""}],
    "samples": [{"prompt": "The film was", "before": "dull", "after": "warm"}],
}  # fmt: skip


def parts(folder: Path) -> dict[str, object]:
    """What the files of a run hold, by name; a text is written as it is, anything else as JSON."""
    config = RunConfig.model_validate(
        {
            "model": {"path": "org/base"},
            "data": {"train": "pairs.jsonl", "max_length": 256},
            "loss": {"name": "dpo", "beta": 0.2},
            "optim": {"learning_rate": 1e-5},
            "out": str(folder),
        }
    )
    return {
        "run.yaml": config.to_yaml(),
        "environment.json": {
            "versions": VERSIONS, "python": "3.11.7", "machine": "Linux x86_64", "torch_threads": 2, "cuda": None,
            "started": "2026-01-02T10:00:00+0000",
        },
        "data.json": {
            "train": {"path": "pairs.jsonl", "sha256": DIGEST, "rows": 1000, "rejected": 2,
                      "recognised": "preference rows (prompt, chosen, rejected)"},
            "train_encoded": {"groups": 863, "prompt_tokens": 9000, "completion_tokens": 17260, "with an answer cut": 7,
                              "places": {"with an answer cut": ["pairs.jsonl:3", "pairs.jsonl:9"]}, "rejected": 0,
                              "max_length": 256},
            "eval_encoded": {"groups": 135, "prompt_tokens": 1400, "completion_tokens": 2700, "places": {},
                             "rejected": 0, "max_length": 256},
        },
        "model.json": {"origin": "org/base", "sha256": DIGEST[::-1], "weights": 1000, "trained": 1000, "device": "cpu",
                       "path": "shared", "reference": "a frozen copy of the starting policy"},
        "metrics.jsonl": metrics(),
        "samples.jsonl": samples(),
        "rejected.jsonl": [
            {"where": "pairs.jsonl:17", "code": "data.empty", "reason": "chosen is empty", "row": {"prompt": "p"}},
            {"where": "pairs.jsonl:18", "code": "data.identical", "reason": "both sides are the same",
             "fix": "drop the row", "row": {}},
        ],
        "outcome.json": {"finished": "2026-01-02T10:05:00+0000", "seconds": 300.4, "steps": 30},
    }  # fmt: skip


def write_part(path: Path, value: object) -> None:
    if isinstance(value, bytes):
        path.write_bytes(value)
    elif isinstance(value, str):
        path.write_text(value, encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in value), encoding="utf-8")
    else:
        path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def record(tmp_path):
    """Writes a run's folder, for example `record("name", {"metrics.jsonl": rows})`; None leaves a file out."""

    def written(name: str = "first", changes: dict[str, object] | None = None, *, model: bool = True) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for file, value in {**parts(folder), **(changes or {})}.items():
            if value is not None:
                write_part(folder / file, value)
        if model:
            (folder / "model").mkdir()
        return folder

    return written


@pytest.fixture
def drawings():
    """For tests that look at the drawings: they are made."""


@pytest.fixture(autouse=True)
def no_drawings(request, monkeypatch):
    """Drawing takes most of the time of a page, and most tests read its words alone."""
    if "drawings" not in request.fixturenames:
        for module, name in (("curves", "curve_plot"), ("compare", "overlay_plot"), ("compare", "swatch")):
            monkeypatch.setattr(f"prefsmith.report.{module}.{name}", lambda *_, **__: Markup("<svg></svg>"))


@pytest.fixture
def rows():
    """`metrics` and `samples`, to change."""
    return metrics, samples


@pytest.fixture
def evidence():
    """What a program may add, as a copy to change."""
    return json.loads(json.dumps(EVIDENCE))


@pytest.fixture
def settings():
    """run.yaml of a run with other settings."""

    def text(**sections):
        values = yaml.safe_load(parts(Path("other"))["run.yaml"])
        for name, section in sections.items():
            values[name] = {**values[name], **section}
        return yaml.safe_dump(values)

    return text
