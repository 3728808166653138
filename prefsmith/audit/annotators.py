"""Each annotator beside the majority of the others: who votes like a coin, and who the wrong way round.

Only votes for a side count, where the others' majority is a side too, so that a coin is right in one half.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from prefsmith.audit.ballot import LABELS, NONE, TIE, Ballot, majority
from prefsmith.audit.decided import PROGRAM
from prefsmith.audit.effects import Estimate
from prefsmith.audit.finding import EXAMPLES, Example, Finding
from prefsmith.stats import wilson

LEAST = 10
"""Votes beside a majority from which an annotator is judged."""
SHOWN = 60
"""Annotators in the table: the least reliable ones."""
COIN = 0.5


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


def annotators(ballot: Ballot, counts: np.ndarray) -> Iterator[Finding]:
    """One finding about all of them; nothing where no one can be set beside others."""
    found = reliabilities(ballot, counts)
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


def reliabilities(ballot: Ballot, counts: np.ndarray) -> list[Reliability]:
    """Those with enough votes, the least reliable first.

    Args:
        ballot: all votes.
        counts: of the voices, by pair and label; an annotator's own vote is taken out of it.
    """
    others = counts[ballot.pair] - np.eye(len(LABELS), dtype=np.int64)[ballot.verdict] * ballot.voices[:, None]
    said = majority(others)
    judged = (ballot.verdict != TIE) & (said != TIE) & (said != NONE)
    hits = np.bincount(ballot.annotator[judged & (said == ballot.verdict)], minlength=len(ballot.names))
    n = np.bincount(ballot.annotator[judged], minlength=len(ballot.names))
    enough = np.flatnonzero(n >= LEAST)
    if not len(enough):
        return []
    usual = float(np.median(hits[enough] / n[enough]))
    z = NormalDist().inv_cdf(1 - 0.025 / len(enough))
    programs = ballot.programs
    found: list[Reliability] = []
    for place in enough:
        own, told = wilson(int(hits[place]), int(n[place])), wilson(int(hits[place]), int(n[place]), z)
        verdict = "reversed" if told.high < COIN else "at chance" if told.low <= COIN and told.high < usual else ""
        found.append(
            Reliability(
                name=ballot.names[place].removeprefix(PROGRAM),
                program=bool(programs[place]),
                share=Estimate(own.value, own.low, own.high, int(n[place])),
                told=Estimate(told.value, told.low, told.high, int(n[place])),
                verdict=verdict,
            )
        )
    return sorted(found, key=lambda each: (each.share.value, each.name))
