"""Each annotator beside the majority of the others: who votes like a coin, and who the wrong way round.

Only votes for a side count, where the others' majority is a side too, so that a coin is right in one half. Whoever was
shown a pair both ways has one vote on it in total, among the others too, and is none of the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from prefsmith.audit.ballot import NONE, TIE, Ballot, Seats, majority
from prefsmith.audit.decided import PROGRAM
from prefsmith.audit.effects import Estimate
from prefsmith.audit.finding import EXAMPLES, Example, Finding
from prefsmith.stats import wilson

LEAST = 10
"""Votes beside a majority from which an annotator is judged."""
SHOWN = 60
"""Annotators in the table: the least reliable ones."""
COIN = 0.5
_DIGITS = 9
"""Of sums of thirds that are equal."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often an annotator says what most of the others say.

    Args:
        name: who.
        program: whether it is one.
        share: of votes for a side, beside a majority of the others for a side.
        told: the same, with an interval that holds for all annotators at once.
        verdict: `reversed`, `at chance` or nothing.
    """

    name: str
    program: bool
    share: Estimate
    told: Estimate
    verdict: str

    def to_json(self) -> dict[str, object]:
        """As findings have it."""
        return {"annotator": self.name, "program": self.program, "share": self.share.to_json(),
                "verdict": self.verdict}  # fmt: skip


def annotators(ballot: Ballot, seats: Seats) -> Iterator[Finding]:
    """One finding about all of them; nothing where no one can be set beside others."""
    found = reliabilities(ballot, seats)
    if not found:
        return
    coins = [each for each in found if each.verdict == "at chance"]
    turned = [each for each in found if each.verdict == "reversed"]
    bad = len(coins) + len(turned)
    title = "Annotators at chance or reversed"
    if bad:
        title = "Annotators vote the wrong way round" if turned else "Annotators vote like a coin"
        title = "Annotators vote like a coin, or the wrong way round" if turned and coins else title
    yield Finding(
        kind="unreliable", code="unreliable.annotators", severity="warning" if bad else "note", title=title,
        count=bad, of=len(found), unit="annotators with enough votes",
        effect="their votes are noise in the labels; a reversed one teaches the opposite" if bad else "",
        cure="weigh annotators by what they know (prefsmith label aggregate --method dawid-skene), or leave them out"
        if bad else "nothing has to be done",
        examples=tuple(
            Example(each.name, f"says what most others say in {each.share.value:.0%} of {each.share.n:,} votes")
            for each in [*turned, *coins][:EXAMPLES]
        ),
        numbers={
            "annotators": [each.to_json() for each in found[:SHOWN]],
            "at_chance": [each.name for each in coins],
            "reversed": [each.name for each in turned],
            "judged": len(found),
            "of": len(ballot.names),
            "least_votes": LEAST,
            "rule": f"by intervals that hold for all {len(found)} at once: reversed where it lies below one half; at "
            "chance where one half is in it and it lies below the annotator in the middle",
        },
    )  # fmt: skip


def reliabilities(ballot: Ballot, seats: Seats) -> list[Reliability]:
    """Those with enough votes, the least reliable first.

    Args:
        ballot: all votes.
        seats: what each annotator said of each pair; its own is taken out of what the pair's voices say.
    """
    others = seats.shares(ballot.pairs)[seats.pair] - seats.said * seats.voice[:, None]
    most = majority(others.round(_DIGITS))
    judged = np.flatnonzero((most != TIE) & (most != NONE))
    said, who = seats.said[judged], seats.annotator[judged]
    hits = np.bincount(who, said[np.arange(len(judged)), most[judged]], len(ballot.names))
    n = np.bincount(who, said[:, :TIE].sum(axis=1), len(ballot.names))
    enough = np.flatnonzero(n >= LEAST)
    if not len(enough):
        return []
    usual = float(np.median(hits[enough] / n[enough]))
    z = NormalDist().inv_cdf(1 - 0.025 / len(enough))
    programs = ballot.programs
    found: list[Reliability] = []
    for place in enough:
        own, told = wilson(float(hits[place]), float(n[place])), wilson(float(hits[place]), float(n[place]), z)
        verdict = "reversed" if told.high < COIN else "at chance" if told.low <= COIN and told.high < usual else ""
        found.append(
            Reliability(
                name=ballot.names[place].removeprefix(PROGRAM),
                program=bool(programs[place]),
                share=Estimate(own.value, own.low, own.high, round(n[place])),
                told=Estimate(told.value, told.low, told.high, round(n[place])),
                verdict=verdict,
            )
        )
    return sorted(found, key=lambda each: (each.share.value, each.name))
