"""Pairs with a label as rows of a preference file, with their votes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from prefsmith.data.votes.judgements import JudgedPair, Role
from prefsmith.errors import ConfigError
from prefsmith.feedback.aggregate.panel import Panel, PerPair
from prefsmith.files import json_row, write_durably
from prefsmith.records import Vote

EVEN = 1e-9
"""How near one half a probability is a tie."""
_DIGITS = 12
UNVOTED, TIED, ALIKE, EMPTY = "no valid vote", "ties, which a hard label cannot say", "equal answers", "an empty answer"
NAMES, DIALOGUES, NO_TEXT = (
    "answers that are only named (give their texts with --texts)",
    "dialogues, which share no prompt",
    "an answer that is no text",
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to write.

    Args:
        lines: JSON objects.
        left_out: pairs that are not among them, by reason.
    """

    lines: tuple[dict[str, object], ...]
    left_out: Counter[str]


def rows(
    pairs: Sequence[JudgedPair],
    roles: Mapping[str, Role],
    panel: Panel,
    prob: PerPair,
    *,
    hard: bool,
    weights: Literal["equal", "votes"],
) -> Rows:
    """A row for each pair that can be trained on: the more likely answer is the chosen one.

    Args:
        pairs: in the order of the panel.
        roles: of the annotators.
        panel: the votes that count.
        prob: that the first answer is better; NaN where nobody voted.
        hard: leave the probability out, and ties.
        weights: `votes` weighs a pair by its votes over their mean.
    """
    votes = np.bincount(panel.pair, minlength=panel.pairs).astype(np.float64)
    weight = votes / votes[votes > 0].mean() if weights == "votes" else np.ones(panel.pairs)
    lines, left_out = list[dict[str, object]](), Counter[str]()
    for place, pair in enumerate(pairs):
        why = _unfit(pair, float(prob[place]), hard=hard)
        if why:
            left_out[why] += 1
            continue
        lines.append(_row(pair, roles, float(prob[place]), float(weight[place]), hard=hard))
    return Rows(tuple(lines), left_out)


def _unfit(pair: JudgedPair, prob: float, *, hard: bool) -> str:
    """Why a pair cannot be trained on; empty where it can."""
    first, second = pair.group.completions
    if np.isnan(prob):
        return UNVOTED
    if first.messages or second.messages:
        return DIALOGUES
    if None in pair.lengths:
        return NAMES if pair.names else NO_TEXT
    if not first.content.strip() or not second.content.strip():
        return EMPTY
    if first.content == second.content:
        return ALIKE
    return TIED if hard and abs(prob - 0.5) < EVEN else ""


def _row(pair: JudgedPair, roles: Mapping[str, Role], prob: float, weight: float, *, hard: bool) -> dict[str, object]:
    group = pair.group
    chosen = 1 if prob < 0.5 - EVEN else 0
    sides = {"chosen": group.completions[chosen].content, "rejected": group.completions[1 - chosen].content}
    label = {} if hard else {"prob": round(1 - prob if chosen else prob, _DIGITS)}
    return {
        "id": group.id,
        "prompt": group.prompt,
        **sides,
        **label,
        "weight": round(weight, _DIGITS),
        **({"tags": list(group.tags)} if group.tags else {}),
        "votes": [_vote(vote, roles, chosen) for vote in group.votes],
    }


def _vote(vote: Vote, roles: Mapping[str, Role], chosen: int) -> dict[str, object]:
    """A vote by the sides of the row; the order is turned with them."""
    said: str | None = None
    if vote.verdict == "tie":
        said = "tie"
    elif vote.verdict != "invalid":
        said = "chosen" if (vote.left if vote.verdict == "left" else vote.right) == chosen else "rejected"
    order = {} if vote.order is None else {"order": vote.order ^ chosen}
    role = {"role": "judge"} if roles.get(vote.annotator) == "judge" else {}
    return {"annotator": vote.annotator, "vote": said, **order, **role}


def refuse_out(out: Path, read: Sequence[Path]) -> None:
    """Not over any file, and not under a name that would be read as something else.

    Raises:
        ConfigError: so it is.
    """
    fix = "name a file that ends in .jsonl with --out"
    if out.suffix != ".jsonl":
        raise ConfigError("label.out", "labels are written as .jsonl", where=str(out), fix=fix)
    if out.is_dir():
        raise ConfigError("label.out", "this is a folder", where=str(out), fix=fix)
    if out.expanduser().resolve() in [path.expanduser().resolve() for path in read]:
        raise ConfigError("label.out", "the file to write is one that is read", where=str(out), fix=fix)
    if out.exists() or out.is_symlink():
        raise ConfigError("label.out", "there is something already", where=str(out), fix="choose another --out")


def write_rows(out: Path, made: Rows) -> None:
    """A line for each row; the file is there whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_durably(out, b"".join(json_row(row) + b"\n" for row in made.lines))
    except OSError as error:
        what = f"the labels cannot be written: {error.strerror}"
        raise ConfigError("label.out", what, where=str(out), fix="name a file with --out that can be") from error
