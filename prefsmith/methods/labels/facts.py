"""What votes and labels are worth, as numbers with intervals."""

from collections.abc import Mapping
from typing import cast

import numpy as np

from prefsmith.data.votes.judgements import Role
from prefsmith.feedback.aggregate.aggregate import Aggregate
from prefsmith.feedback.aggregate.cycles import triples
from prefsmith.feedback.aggregate.methods import METHODS
from prefsmith.feedback.aggregate.panel import FIRST, SECOND, TIE, Panel
from prefsmith.feedback.aggregate.reliability import Reliability
from prefsmith.feedback.aggregate.smoothed_dawid_skene import smoothed_dawid_skene
from prefsmith.methods.labels.rows import EVEN
from prefsmith.stats import mean

MOST_NOISE = 0.49
"""robust_dpo takes less than one half, and near it divides by next to nothing."""


def facts(panel: Panel, found: Aggregate, roles: Mapping[str, Role], method: str, *, named: bool) -> dict[str, object]:
    """Everything beside the rows, JSON-ready.

    Args:
        panel: the votes that count.
        found: what the method made of them.
        roles: of the annotators.
        method: its name.
        named: whether a name is one annotator throughout.
    """
    voted = panel.voted
    prob = found.prob[voted]
    sure = np.maximum(prob, 1 - prob)
    circles = triples(panel, found.prob)
    said = np.bincount(panel.said, minlength=3)
    return {
        "says": METHODS[method].says,
        "a_tie_is": METHODS[method].ties,
        "votes": {
            "first": int(said[FIRST]),
            "second": int(said[SECOND]),
            "tie": int(said[TIE]),
            "invalid": int(panel.invalid.sum()),
            "ties_left_out": panel.dropped_ties,
        },
        "labels": {
            "first": int((prob > 0.5 + EVEN).sum()),
            "second": int((prob < 0.5 - EVEN).sum()),
            "tie": int((np.abs(prob - 0.5) <= EVEN).sum()),
            "none": int((~voted).sum()),
            "mean_of_the_likelier": float(sure.mean()),
        },
        "rounds": found.rounds,
        "converged": found.converged,
        "found": found.facts,
        "flip_rate": flip_rate(panel, found, method) if named else None,
        "triples": {"cyclic": circles.cyclic, "transitive": circles.transitive, "unseen": circles.unseen},
        "reliability": _reliability(panel, found.reliability, roles) if named else None,
    }


def flip_rate(panel: Panel, found: Aggregate, method: str) -> dict[str, object] | None:
    """How many of the hard labels are wrong, by what is believed of the truth; a tie makes half a label wrong.

    Methods that only count votes believe nothing of the truth: theirs are held against smoothed-dawid-skene. None where
    nothing is known of it, since no annotator can be held against another.
    """
    by, truth = method, found
    if found.posterior is None:
        if not panel.compared():
            return None
        by, truth = "smoothed-dawid-skene", smoothed_dawid_skene(panel)
    hard = panel.voted & (np.abs(np.nan_to_num(found.prob, nan=0.5) - 0.5) > EVEN)
    if hard.sum() < 2:
        return None
    wrong = np.where(found.prob > 0.5, 1 - truth.prob, truth.prob)[hard]
    share = mean(wrong.tolist())
    return {
        "value": share.value,
        "low": max(0.0, share.low),
        "high": min(1.0, share.high),
        "n": share.n,
        "by": by,
        "settings": None if share.value >= MOST_NOISE else f"loss.name=robust_dpo loss.noise={share.value:.3g}",
    }


def _reliability(panel: Panel, found: Reliability, roles: Mapping[str, Role]) -> dict[str, object]:
    annotators = [
        {
            "annotator": name,
            "role": roles.get(name, "person"),
            "votes": int(found.votes[place]),
            "invalid": int(panel.invalid[place]),
            "value": _number(found.value[place]),
            "low": _number(found.low[place]),
            "high": _number(found.high[place]),
        }
        for place, name in enumerate(panel.names)
    ]
    return {"is": found.meaning, "chance": found.chance, "annotators": annotators}


def _number(value: object) -> float | None:
    number = float(cast("float", value))
    return None if np.isnan(number) else number
