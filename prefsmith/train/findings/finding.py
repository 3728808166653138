"""What a finding is, and how rows of metrics are read for one."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["warning", "note", "good"]
Row = Mapping[str, object]
"""A row of metrics.jsonl."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a reader of a run should know, in plain words.

    Args:
        name: stable, for programs.
        severity: `warning`: the result is in doubt; `note`: worth knowing; `good`: shown, with its interval.
        what: the finding, a sentence.
        amount: how much, a sentence with its numbers.
        cause: what it comes from, as a rule. Empty where `what` says it.
        fix: what helps. Empty where nothing has to be done.
    """

    name: str
    severity: Severity
    what: str
    amount: str = ""
    cause: str = ""
    fix: str = ""


def number(row: Mapping[str, object], key: str) -> float | None:
    """The finite number under a key; None where there is none."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON has whole numbers of any length
        return None


def numbers(rows: Iterable[Row], key: str) -> list[float]:
    """The finite numbers under a key, in order."""
    found = (number(row, key) for row in rows)
    return [each for each in found if each is not None]


def percent(share: float) -> str:
    """A share as a percentage, with a digit where it is small."""
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.1 else f"{100 * share:.1f} %"


def written(value: float, form: str = ".2f") -> str:
    """A number in a sentence: with a real minus, and none in front of zero."""
    text = f"{value:{form}}"
    if not any(digit in text for digit in "123456789"):
        text = f"{0.0:{form}}"
    return text.replace("-", "\u2212")
