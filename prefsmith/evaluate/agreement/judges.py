"""One judge beside people: how often it says what most of them say, and what each of them says."""

from dataclasses import dataclass

import numpy as np

from prefsmith.evaluate.agreement.ballots import FIRST, INVALID, NO_MAJORITY, SECOND, TIE, Ballots
from prefsmith.evaluate.agreement.between import MOST, kappa
from prefsmith.evaluate.agreement.figure import Figure, Gauge
from prefsmith.evaluate.agreement.length import Longer, longer
from prefsmith.evaluate.agreement.people import tally
from prefsmith.evaluate.agreement.position import Position, position

NOBODY = "no pair that it judged has a majority of people"


@dataclass(frozen=True, slots=True)
class WithPerson:
    """A judge beside one person, on the pairs that both judged; an invalid verdict of the judge disagrees."""

    name: str
    agreement: Figure
    kappa: Figure


@dataclass(frozen=True, slots=True)
class Judge:
    """What a judge said, and how far people say it too.

    Each presentation of a pair is a vote of its own. A verdict that is invalid agrees with nobody; it is left out where
    ties are.

    Args:
        name: of the judge.
        votes: by verdict.
        pairs: that it judged.
        majority: share of its votes that say what most people say, of pairs that have a majority.
        majority_without_ties: the same where neither says tie and the verdict is valid.
        kappa: Cohen's, with the majority.
        single: share of agreeing twos of one of its votes and one person's.
        single_without_ties: the same where neither is a tie and the verdict is valid.
        people: each person by name, where they are few and their names mean something.
        position: the part that places play, where presentations are known.
        length: its votes and the lengths of the answers.
    """

    name: str
    votes: dict[str, int]
    pairs: int
    majority: Figure
    majority_without_ties: Figure
    kappa: Figure
    single: Figure
    single_without_ties: Figure
    people: tuple[WithPerson, ...]
    position: Position | None
    length: Longer


def judge(ballots: Ballots, annotator: int, counts: np.ndarray, labels: np.ndarray, gauge: Gauge) -> Judge:
    """Lay one judge beside people.

    Args:
        ballots: of the file.
        annotator: the judge.
        counts: what people said of each pair, by label.
        labels: what most of them said.
        gauge: makes the figures.
    """
    own = ballots.annotator == annotator
    pair, verdict = ballots.pair[own], ballots.verdict[own]
    label, prompt = labels[pair], ballots.prompt[pair]
    known = label != NO_MAJORITY
    decides = (verdict == FIRST) | (verdict == SECOND)
    plain = known & decides & (label != TIE)
    said = counts[pair].astype(np.float64)
    same = np.where(verdict == INVALID, 0.0, said[np.arange(len(pair)), np.minimum(verdict, TIE)])
    lone = "people voted on none of its pairs"
    return Judge(
        name=ballots.names[annotator],
        votes=tally(verdict),
        pairs=len(np.unique(pair)),
        majority=gauge.share(verdict[known] == label[known], prompt[known], none=NOBODY),
        majority_without_ties=gauge.share(
            verdict[plain] == label[plain], prompt[plain], none=f"{NOBODY} without a tie"
        ),
        kappa=kappa(verdict[known], label[known], prompt[known], gauge),
        single=gauge.share(same, prompt, said.sum(axis=1), none=lone),
        single_without_ties=gauge.share(
            same[decides], prompt[decides], said[decides][:, [FIRST, SECOND]].sum(axis=1), none=f"{lone} without a tie"
        ),
        people=_with_people(ballots, pair, verdict, gauge),
        position=position(ballots, annotator, labels, gauge),
        length=longer(ballots, pair, verdict, gauge),
    )


def _with_people(ballots: Ballots, pair: np.ndarray, verdict: np.ndarray, gauge: Gauge) -> tuple[WithPerson, ...]:
    persons = ballots.voters(people=True)
    if not ballots.named or not 1 < len(persons) <= MOST:
        return ()
    found = []
    for person in persons:
        theirs = (ballots.annotator == person) & (ballots.verdict != INVALID)
        label = np.full(ballots.pairs, NO_MAJORITY)
        label[ballots.pair[theirs]] = ballots.verdict[theirs]
        shared = label[pair] != NO_MAJORITY
        left, right, prompt = verdict[shared], label[pair][shared], ballots.prompt[pair[shared]]
        agreement = gauge.share(left == right, prompt, none="no pair in common")
        found.append(WithPerson(ballots.names[person], agreement, kappa(left, right, prompt, gauge)))
    return tuple(found)
