"""Whether the longer answer wins."""

from dataclasses import dataclass

import numpy as np

from prefsmith.evaluate.agreement.ballots import FIRST, SECOND, Ballots
from prefsmith.evaluate.agreement.figure import Figure, Gauge


@dataclass(frozen=True, slots=True)
class Longer:
    """How verdicts for an answer go with its length.

    Args:
        longer: verdicts for the longer answer.
        shorter: for the shorter one.
        equal: where both are as long.
        unknown: where a length is not known.
        rate: share of the longer among the first two.
    """

    longer: int
    shorter: int
    equal: int
    unknown: int
    rate: Figure


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths of the answers themselves, each answer of each pair once."""

    answers: int
    unknown: int
    mean: float | None
    median: float | None
    p05: float | None
    p95: float | None
    longest: float | None


def longer(ballots: Ballots, pair: np.ndarray, verdict: np.ndarray, gauge: Gauge) -> Longer:
    """Count verdicts by which answer is the longer one.

    Args:
        ballots: of the file.
        pair: of each verdict.
        verdict: those that name no answer are left out.
        gauge: makes the figure.
    """
    decided = (verdict == FIRST) | (verdict == SECOND)
    pair, verdict = pair[decided], verdict[decided]
    lengths = ballots.lengths[pair]
    gap = np.where(verdict == FIRST, 1, -1) * (lengths[:, 0] - lengths[:, 1])
    apart = ~np.isnan(gap) & (gap != 0)
    return Longer(
        longer=int((gap > 0).sum()),
        shorter=int((gap < 0).sum()),
        equal=int((gap == 0).sum()),
        unknown=int(np.isnan(gap).sum()),
        rate=gauge.share(gap[apart] > 0, ballots.prompt[pair[apart]], none="no two lengths that differ are known"),
    )


def lengths(ballots: Ballots) -> Lengths:
    """What the answers' lengths are like."""
    every = ballots.lengths.ravel()
    known = every[~np.isnan(every)]
    unknown = len(every) - len(known)
    if not len(known):
        return Lengths(0, unknown, None, None, None, None, None)
    low, high = (float(each) for each in np.quantile(known, [0.05, 0.95], method="inverted_cdf"))  # of some answer
    return Lengths(len(known), unknown, float(known.mean()), float(np.median(known)), low, high, float(known.max()))
