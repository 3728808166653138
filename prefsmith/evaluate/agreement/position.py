"""Whether a judge looks at the answers or at their places: the same pair shown both ways round."""

import math
from dataclasses import dataclass

import numpy as np

from prefsmith.evaluate.agreement.ballots import FIRST, INVALID, NO_MAJORITY, NO_ORDER, SECOND, Ballots
from prefsmith.evaluate.agreement.figure import Figure, Gauge


@dataclass(frozen=True, slots=True)
class Position:
    """What a judge said of pairs whose presentation is known.

    Args:
        first_place: votes for the answer that was shown first.
        second_place: votes for the other one.
        rate: share of the first place among these two; one half is no bias, where pairs were shown both ways.
        in_order: right by the majority of people, of presentations with the first answer first.
        swapped: the same of presentations with the second answer first.
        both_right: right both ways, of pairs that were shown both ways.
        consistent: the same answer, or a tie, both ways.
        always_first: pairs shown both ways of which the first place won both times.
        always_second: of which the second place did.
        p_value: of the swap test: how probable a difference of these two counts, or a larger one, is without bias.
    """

    first_place: int
    second_place: int
    rate: Figure
    in_order: Figure
    swapped: Figure
    both_right: Figure
    consistent: Figure
    always_first: int
    always_second: int
    p_value: float | None


def position(ballots: Ballots, annotator: int, labels: np.ndarray, gauge: Gauge) -> Position | None:
    """The part that places play for a judge; None where no presentation of its votes is known.

    Args:
        ballots: of the file.
        annotator: the judge.
        labels: what most people said of each pair.
        gauge: makes the figures.
    """
    own = (ballots.annotator == annotator) & (ballots.order != NO_ORDER)
    if not own.any():
        return None
    pair, verdict, order = ballots.pair[own], ballots.verdict[own], ballots.order[own]
    decided = (verdict == FIRST) | (verdict == SECOND)
    place_one = (verdict == FIRST) == (order == 0)
    both, one, other = _both_ways(ballots.pairs, pair, verdict, order)
    same = (one == other) & (one != INVALID)
    known = labels[both] != NO_MAJORITY
    first, second = (one == FIRST) & (other == SECOND), (one == SECOND) & (other == FIRST)
    prompt = ballots.prompt
    nobody = "people have no majority on these pairs"

    def right(which: int) -> Figure:
        cases = (order == which) & (labels[pair] != NO_MAJORITY)
        return gauge.share(verdict[cases] == labels[pair[cases]], prompt[pair[cases]], none=nobody)

    return Position(
        first_place=int((decided & place_one).sum()),
        second_place=int((decided & ~place_one).sum()),
        rate=gauge.share(place_one[decided], prompt[pair[decided]], none="no vote names an answer"),
        in_order=right(0),
        swapped=right(1),
        both_right=gauge.share((same & (one == labels[both]))[known], prompt[both[known]], none=nobody),
        consistent=gauge.share(same, prompt[both], none="no pair was shown both ways"),
        always_first=int(first.sum()),
        always_second=int(second.sum()),
        p_value=sign_test(int(first.sum()), int(second.sum())),
    )


def sign_test(one: int, other: int) -> float | None:
    """Two-sided exact probability of counts at least as far apart where either is as likely; None without counts.

    Source:
        Dixon and Mood 1946, Journal of the American Statistical Association 41(236).
    """
    n = one + other
    if n == 0:
        return None
    below = sum(math.comb(n, k) for k in range(min(one, other) + 1))
    return min(1.0, 2 * below / 2**n)


def _both_ways(
    pairs: int, pair: np.ndarray, verdict: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs that were shown both ways, and what was said of each way."""
    said = np.full((2, pairs), -1)
    said[order, pair] = verdict
    both = np.flatnonzero((said >= 0).all(axis=0))
    return both, said[0, both], said[1, both]
