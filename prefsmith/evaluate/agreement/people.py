"""How far people agree with each other."""

from dataclasses import dataclass

import numpy as np

from prefsmith.evaluate.agreement.ballots import FIRST, NO_MAJORITY, SECOND, TIE, VERDICTS, Ballots, majority
from prefsmith.evaluate.agreement.figure import Figure, Gauge
from prefsmith.kappa import alpha, alpha_sums, fleiss, fleiss_sums

ALONE = "no pair has votes of two people"
ONE_LABEL = "only one label was ever given"


@dataclass(frozen=True, slots=True)
class People:
    """What people said of pairs, and how far they agree.

    Args:
        annotators: how many; votes without names are told apart by their place in a row only.
        votes: by verdict.
        votes_per_pair: number of valid votes -> pairs.
        majority: by verdict, and `none` where no label has more votes than every other.
        unanimous: pairs of two or more votes that are all alike.
        agreement: share of pairs of votes on the same answers that agree.
        without_ties: the same among votes that are no ties.
        fleiss: Fleiss' kappa.
        alpha: Krippendorff's alpha, nominal.
    """

    annotators: int
    votes: dict[str, int]
    votes_per_pair: dict[int, int]
    majority: dict[str, int]
    unanimous: int
    agreement: Figure
    without_ties: Figure
    fleiss: Figure
    alpha: Figure


def people(ballots: Ballots, gauge: Gauge) -> People:
    """Lay the votes of people beside each other; agreement counts every two votes on a pair once."""
    counts = ballots.counts()
    totals = counts.sum(axis=1)
    several = totals > 1
    some, prompt = counts[several].astype(np.float64), ballots.prompt[several]
    decided = some[:, [FIRST, SECOND]]
    labels = majority(counts)
    verdicts = ballots.verdict[ballots.is_person[ballots.annotator]]
    numbers, times = np.unique(totals, return_counts=True)
    return People(
        annotators=len(ballots.voters(people=True)),
        votes=tally(verdicts),
        votes_per_pair=dict(zip(numbers.tolist(), times.tolist(), strict=True)),
        majority=majority_tally(labels),
        unanimous=int((some.max(axis=1, initial=0) == some.sum(axis=1)).sum()),
        agreement=gauge.share(_agreeing(some), prompt, _twos(some), none=ALONE),
        without_ties=gauge.share(_agreeing(decided), prompt, _twos(decided), none=f"{ALONE} that are no ties"),
        fleiss=_fleiss(some, prompt, gauge),
        alpha=gauge.statistic(
            alpha_sums(some), prompt, alpha, n=int(some.sum()), none=ONE_LABEL if len(some) else ALONE
        ),
    )


def tally(verdicts: np.ndarray) -> dict[str, int]:
    """How often each verdict was given."""
    return {name: int((verdicts == code).sum()) for code, name in enumerate(VERDICTS)}


def majority_tally(labels: np.ndarray) -> dict[str, int]:
    """How often each label has most votes."""
    found = {VERDICTS[code]: int((labels == code).sum()) for code in (FIRST, SECOND, TIE)}
    return {**found, "none": int((labels == NO_MAJORITY).sum())}


def _agreeing(counts: np.ndarray) -> np.ndarray:
    return (counts * (counts - 1)).sum(axis=1) / 2


def _twos(counts: np.ndarray) -> np.ndarray:
    totals = counts.sum(axis=1)
    return totals * (totals - 1) / 2


def _fleiss(counts: np.ndarray, prompt: np.ndarray, gauge: Gauge) -> Figure:
    """Fleiss' kappa, which is for as many votes on every pair."""
    totals = np.unique(counts.sum(axis=1))
    if len(totals) > 1:
        numbers = ", ".join(f"{number:.0f}" for number in totals)
        why = f"pairs have different numbers of votes ({numbers}); alpha is for such"
        return Figure(None, None, None, 0, 0, why=why)
    none = ONE_LABEL if len(counts) else ALONE
    return gauge.statistic(fleiss_sums(counts), prompt, fleiss, n=int(counts.sum()), none=none)
