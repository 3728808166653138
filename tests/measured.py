"""Small evidence of every kind that `prefsmith eval` writes, from the code that computes it."""

import json
from functools import cache

import numpy as np
from judged import judgements
from planted_pairs import scored

from prefsmith.evaluate.agreement import measure
from prefsmith.evaluate.agreement.figure import Gauge
from prefsmith.evaluate.contest import between, standings
from prefsmith.evaluate.inspection import inspect, warnings
from prefsmith.records import Completion, Group, Vote

VERDICTS = {"w": "left", "l": "right", "t": "tie", "i": "invalid"}


def judged(said):
    """A pair for each letter: won, lost, tied or invalid for the method."""
    return [
        Group(
            str(number), f"r:{number}", f"p{number}", (Completion("a" * (3 + number % 7)), Completion("b" * 5)),
            votes=(Vote(0, 1, VERDICTS[letter], "judge"),),
        )
        for number, letter in enumerate(said)
    ]  # fmt: skip


@cache
def counted(names):
    """The numbers of so many methods, which take most of the time."""
    contests = {(name, 0.0): judged("wwwl" * 10) for name in names}
    return [each.as_dict() for each in standings(contests)], [each.as_dict() for each in between(contests)]


@cache
def inspected():
    """The numbers of sixty pairs, likewise."""
    random = np.random.default_rng(0)
    reference = random.normal(-30, 5, (60, 2))
    policy = reference + np.stack([random.normal(2, 4, 60), np.zeros(60)], axis=1)
    return inspect(scored(policy, reference, tokens=random.integers(2, 40, (60, 2))), 0.1, files=("pairs.jsonl",))


def win_rates(weights=(), **changes):
    """Of a method for each digest of weights; of a file of answers where there is none."""
    names = [f"method {number}" for number, _ in enumerate(weights)] or ["ours"]
    found, beside = counted(tuple(names))
    sides = {name: {"kind": "model", "sha256": digest} for name, digest in zip(names, weights, strict=False)}
    return {
        "kind": "winrate",
        "version": "0.1.0",
        "settings": {"methods": sides or {"ours": {"kind": "file", "sha256": "aa"}}, "against": {"kind": "reference"}},
        "baseline": "reference",
        "prompts": 40,
        "left_out": 0,
        "judge": {"kind": "rule", "name": "longer"},
        "standings": found,
        "between": beside,
        "answers": [{"side": names[0], "temperature": 0.0, "n": 40, "characters": 5.0, "tokens": 2.0, "cut": 1,
                     "shortened": 0}],
        "warnings": [],
        **changes,
    }  # fmt: skip


def implicit(weights=None, **changes):
    """Of sixty pairs; `weights` is the digest of the model's folder."""
    found = {
        "kind": "implicit",
        "model": {"path": "runs/first", "origin": "runs/first/model", "sha256": "ab", "folder_sha256": weights},
        "reference": {"path": "base", "origin": "base", "sha256": "cd"},
        "beta": {"value": 0.1, "from": "run.yaml"},
        "seed": 0,
        "draws": 2000,
        "data": [{"path": "pairs.jsonl", "sha256": "ef", "rows": 60, "recognised": "preference rows", "notes": {}}],
        "refused": {},
        "encoding": {},
        **inspected(),
    }
    return {**found, "warnings": warnings(found), **changes}


def agreement(**changes):
    """Of two people and a judge."""
    file = judgements(["abab" * 10, "abbb" * 10], {"judge": "abat" * 10})
    found = [measure(file, Gauge(draws=50)).as_dict()]
    return {"kind": "agreement", "version": "1", "seed": 0, "draws": 50, "files": found, **changes}


def frontier(**changes):
    """Of one arm on one seed."""

    def number(value):
        return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 3000}

    point = {"arm": "dpo, beta 1", "step": 300, "reward": number(1.1), "kl": number(0.7), "best": 1.2, "below": 0.1}
    end = {**point, "method": "dpo", "settings": {"beta": 1.0}, "below_error": 0.02, "efficiency": 0.9, "tokens": 11.0,
           "by_seed": [1.1]}  # fmt: skip
    return {
        "kind": "frontier",
        "recipe": {"task": "reviews"},
        "versions": {"prefsmith": "0.1.0"},
        "criteria": [{"name": "V1", "claim": "none above", "passed": True, "found": "-0.1"}],
        "findings": [{"severity": "note", "what": "DPO does not lie above RLOO.", "fix": ""}],
        "ends": [end],
        "seeds": [{"seed": 0, "pairs": 100, "verdicts_right": 0.7, "reward": number(0.0),
                   "frontier": [[0.0, 0.0], [0.5, 1.0], [1.3, 1.6]]}],
        "points": [{**point, "seed": 0}],
        **changes,
    }  # fmt: skip


def written(folder, evidence):
    """Evidence in a folder, beside a page."""
    folder.mkdir(parents=True, exist_ok=True)
    text = evidence if isinstance(evidence, str) else json.dumps(evidence, allow_nan=False)
    (folder / "evidence.json").write_text(text, encoding="utf-8")
    (folder / "report.html").write_text('<meta name="generator" content="prefsmith">', encoding="utf-8")
    return folder
