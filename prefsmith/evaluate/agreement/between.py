"""Annotators two by two: how often they say the same of the same presentation, and how far beyond chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from prefsmith.evaluate.agreement.ballots import INVALID, Ballots
from prefsmith.evaluate.agreement.figure import Figure, Gauge, Sums
from prefsmith.kappa import cohen

KINDS = 4
MOST = 12
"""Annotators up to which all pairs of them are compared: more make a table that nobody reads."""


@dataclass(frozen=True, slots=True)
class Between:
    """Two annotators on what both of them judged."""

    first: str
    second: str
    agreement: Figure
    kappa: Figure


def between(ballots: Ballots, annotators: Sequence[int], gauge: Gauge) -> list[Between]:
    """Every two of some annotators who share a valid vote; empty where they are more than `MOST`."""
    if len(annotators) > MOST:
        return []
    said = {each: _said(ballots, each) for each in annotators}
    return [
        compared
        for one, other in combinations(annotators, 2)
        if (compared := _compare(ballots, one, other, said[one], said[other], gauge)).agreement.n
    ]


def _said(ballots: Ballots, annotator: int) -> dict[tuple[int, int], int]:
    """The valid verdicts of an annotator, by pair and order."""
    own = (ballots.annotator == annotator) & (ballots.verdict != INVALID)
    keys = zip(ballots.pair[own].tolist(), ballots.order[own].tolist(), strict=True)
    return dict(zip(keys, ballots.verdict[own].tolist(), strict=True))


def _compare(
    ballots: Ballots,
    one: int,
    other: int,
    first: dict[tuple[int, int], int],
    second: dict[tuple[int, int], int],
    gauge: Gauge,
) -> Between:
    shared = [key for key in first if key in second]
    left = np.array([first[key] for key in shared], dtype=np.int64)
    right = np.array([second[key] for key in shared], dtype=np.int64)
    prompt = ballots.prompt[np.array([pair for pair, _ in shared], dtype=np.int64)]
    return Between(
        ballots.names[one],
        ballots.names[other],
        gauge.share(left == right, prompt),
        kappa(left, right, prompt, gauge),
    )


def kappa(left: np.ndarray, right: np.ndarray, prompt: np.ndarray, gauge: Gauge) -> Figure:
    """Cohen's kappa of two rows of verdicts, an invalid one as a label of its own."""
    cells = np.zeros((len(left), KINDS * KINDS))
    cells[np.arange(len(left)), left * KINDS + right] = 1.0

    def of_sums(sums: Sums) -> np.ndarray:
        return cohen(sums.reshape(-1, KINDS, KINDS))

    none = "both give one and the same label only" if len(left) else "no vote in common"
    return gauge.statistic(cells, prompt, of_sums, n=len(left), none=none)
