"""Preference files with biases that were put in on purpose, and one without any."""

import json
import random
from pathlib import Path

from prefsmith.audit.check import Check
from prefsmith.audit.finding import Finding
from prefsmith.audit.reading import HowToRead
from prefsmith.audit.run import Result, audit

WORDS = (
    "river", "stone", "lamp", "green", "table", "window", "paper", "cloud", "bread", "salt", "music", "garden",
    "engine", "letter", "winter", "silver",
)  # fmt: skip


def text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def rows(count: int, seed: int, make) -> list[dict[str, object]]:
    """Rows of prompt, chosen and rejected; `make(rng, number)` gives both sides."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        chosen, rejected = make(rng, number)
        found.append({"prompt": f"{text(rng, 8)} {number}", "chosen": chosen, "rejected": rejected})
    return found


def balanced(rng: random.Random, number: int) -> tuple[str, str]:
    """Two sides drawn in one way."""
    sides = [text(rng, rng.randint(5, 40)) + f" {number} {side}" for side in "xy"]
    for mark in ("\n- one\n- two", " **bold**", " `code`", "!", "?", "\n# head", " https://a.b", " I can't do that."):
        for side in range(2):
            if rng.random() < 0.3:
                sides[side] += mark
    return sides[0], sides[1]


def write(path: Path, found: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return str(path)


def looked_at(check: Check, *files: tuple[str, str], how: HowToRead | None = None) -> Result:
    """What one check finds, in this process."""
    return audit(list(files), [check], how=how, workers=0)


def finding(result: Result, code: str) -> Finding:
    (found,) = [each for each in result.findings if each.code == code]
    return found
