"""Method against method: votes, win rates and agreements, as papers show them for each method beside its opponent."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from prefsmith.evaluate.agreement.ballots import FIRST, INVALID, TIE, Ballots, majority
from prefsmith.evaluate.agreement.figure import Figure, Gauge
from prefsmith.evaluate.agreement.people import ALONE, majority_tally
from prefsmith.stats import Z95

MOST = 200
"""Matchups that are listed."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a method wins in the votes of one judge, or of people.

    Args:
        name: the judge; empty for people.
        wins: votes for the method.
        losses: votes for its opponent.
        ties: neither.
        invalid: no verdict.
        win_rate: of valid votes, a tie counts one half.
        agreement: with single votes of people; for people, with each other.
        agreement_without_ties: the same among votes that are no ties.
        z_to_next: standard errors between this win rate and that of the next method with the same opponent.
    """

    name: str
    wins: int
    losses: int
    ties: int
    invalid: int
    win_rate: Figure
    agreement: Figure
    agreement_without_ties: Figure
    z_to_next: float | None = None


@dataclass(frozen=True, slots=True)
class Matchup:
    """One method beside another, on the pairs that both answered.

    Args:
        method: whose wins are counted.
        against: its opponent.
        pairs: of their answers.
        majority: pairs by what most people say: wins, losses, ties, and none where there is no majority.
        people: their votes together; None where there are none.
        judges: each of them.
    """

    method: str
    against: str
    pairs: int
    majority: dict[str, int]
    people: Rate | None
    judges: tuple[Rate, ...]


def matchups(ballots: Ballots, gauge: Gauge) -> list[Matchup]:
    """Every two methods that were compared, the best first for each opponent; empty where they are more than `MOST`."""
    sides = [None if each is None else (min(each), max(each)) for each in ballots.methods]
    found = sorted({each for each in sides if each is not None})
    if len(found) > MOST:
        return []
    opponents = Counter(name for each in found for name in set(each))
    numbers = {each: number for number, each in enumerate(found)}
    number_of = np.array([-1 if each is None else numbers[each] for each in sides])
    made = []
    for number, (one, other) in enumerate(found):
        method, against = (other, one) if opponents[one] > opponents[other] else (one, other)
        made.append(_matchup(ballots.of_pairs(number_of == number), method, against, gauge))
    made.sort(key=lambda each: (each.against, -_leading(each), each.method))
    return [*(_with_gap(each, below) for each, below in pairwise(made)), *made[-1:]]


def z_between(first: Figure, second: Figure) -> float | None:
    """Standard errors between two figures as if their prompts were different ones; None where one has no interval.

        z = (c - d) / sqrt(s^2 + t^2)

    with c and d the centres of the intervals, and s and t their halves in standard errors. With Wilson's intervals this
    does not take 0 of 10 for certain, as the plain formula does. On the same prompts it is mostly too small.
    """
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None
    error = math.hypot(first.high - first.low, second.high - second.low) / (2 * Z95)
    centres = (first.low + first.high - second.low - second.high) / 2
    return centres / error if error > 0 else None


def _leading(matchup: Matchup) -> float:
    """The win rate that orders the table: that of people, or of the first judge."""
    rates = [*([matchup.people] if matchup.people else []), *matchup.judges]
    return next((each.win_rate.value for each in rates if each.win_rate.value is not None), 0.0)


def _with_gap(matchup: Matchup, below: Matchup) -> Matchup:
    if below.against != matchup.against:
        return matchup
    others = {each.name: each for each in below.judges}
    judges = tuple(
        replace(each, z_to_next=z_between(each.win_rate, others[each.name].win_rate)) if each.name in others else each
        for each in matchup.judges
    )
    people = matchup.people
    if people is not None and below.people is not None:
        people = replace(people, z_to_next=z_between(people.win_rate, below.people.win_rate))
    return replace(matchup, people=people, judges=judges)


def _matchup(part: Ballots, method: str, against: str, gauge: Gauge) -> Matchup:
    turned = np.array([each != (method, against) for each in part.methods])
    counts = part.counts()
    counts[turned] = counts[turned][:, [1, 0, 2]]  # from first and second to the method and its opponent
    verdict = np.where(turned[part.pair] & (part.verdict < TIE), 1 - part.verdict, part.verdict)
    labels = majority_tally(majority(counts))
    names = {"first": "wins", "second": "losses", "tie": "ties", "none": "none"}
    return Matchup(
        method=method,
        against=against,
        pairs=part.pairs,
        majority={names[name]: number for name, number in labels.items()},
        people=_of_people(part, verdict, counts, gauge) if part.voters(people=True) else None,
        judges=tuple(_of_judge(part, each, verdict, counts, gauge) for each in part.voters(people=False)),
    )


def _of_judge(part: Ballots, annotator: int, verdict: np.ndarray, counts: np.ndarray, gauge: Gauge) -> Rate:
    own = part.annotator == annotator
    pair, said = part.pair[own], verdict[own]
    same = np.where(said == INVALID, 0, counts[pair, np.minimum(said, TIE)])
    decided = said < TIE
    lone = "people voted on none of its pairs"
    return _rate(
        part.names[annotator], said, part.prompt[pair], gauge,
        gauge.share(same, part.prompt[pair], counts[pair].sum(axis=1), none=lone),
        gauge.share(same[decided], part.prompt[pair[decided]], counts[pair[decided]][:, :TIE].sum(axis=1), none=lone),
    )  # fmt: skip


def _of_people(part: Ballots, verdict: np.ndarray, counts: np.ndarray, gauge: Gauge) -> Rate:
    own = part.is_person[part.annotator]
    decided = counts[:, :TIE]

    def among(counts: np.ndarray, none: str) -> Figure:
        totals = counts.sum(axis=1)
        return gauge.share((counts * (counts - 1)).sum(axis=1) / 2, part.prompt, totals * (totals - 1) / 2, none=none)

    return _rate("", verdict[own], part.prompt[part.pair[own]], gauge, among(counts, ALONE), among(decided, ALONE))


def _rate(
    name: str, said: np.ndarray, prompt: np.ndarray, gauge: Gauge, agreement: Figure, without_ties: Figure
) -> Rate:
    valid = said != INVALID
    points = np.where(said == TIE, 0.5, said == FIRST)
    wins, losses, ties, invalid = (int((said == code).sum()) for code in range(INVALID + 1))
    win_rate = gauge.share(points[valid], prompt[valid], none="no valid vote")
    return Rate(name, wins, losses, ties, invalid, win_rate, agreement, without_ties)
