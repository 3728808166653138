"""Whether the side that stands first is chosen more often than the other: in votes, or in the columns of a file."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Int, Int8

from prefsmith.audit.audited import Audited, AuditedFile
from prefsmith.audit.decided import PROGRAM
from prefsmith.audit.effects import Estimate, in_order, share
from prefsmith.audit.finding import EXAMPLES, Example, Finding
from prefsmith.stats import wilson

ROOM = 0.1
"""How far from one half a whole interval has to be, for places that cost quality."""
LEAST = 20
"""Votes of an annotator from which its places are looked at."""
SHOWN = 40
"""Annotators in the table; those farthest from one half."""
_TURNED = re.compile(r"turned round, since ")
_TIES = "kept as ties, with probability 0.5"


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Where sides stood.

    Args:
        first: of each decided pair whether the better side stood first: 1 or 0, -1 where it is not known.
        prompt: number of its prompt.
        votes: of each annotator, for the first place (1) and for the second (0).
    """

    first: Int8[np.ndarray, " pair"]
    prompt: Int[np.ndarray, " pair"]
    votes: Counter[tuple[str, int]]


def position(placed: Placed, data: Audited) -> Iterator[Finding]:
    """The part that places play; nothing where none is known.

    In files of chosen and rejected sides nobody knows what was shown first. Where a column says which of two answers
    won, what the reader turned round says it.
    """
    known = placed.first >= 0
    hits, prompts = placed.first[known].astype(np.float64), placed.prompt[known]
    first, second = _of_columns(data)
    own = np.repeat([1.0, 0.0], [first, second])
    start = int(prompts.max()) + 1 if len(prompts) else 0
    hits = np.concatenate([hits, own])
    prompts = in_order(np.concatenate([prompts, start + np.arange(len(own))]))
    if not len(hits):
        return
    rate = share(hits, prompts)
    annotators = _annotators(placed.votes)
    swayed = [each for each in annotators if each.swayed]
    strong = rate.beyond(0.5, ROOM)
    chosen = int(hits.sum())
    more_first = chosen * 2 >= len(hits)
    leans = rate.beyond(0.5)
    yield Finding(
        kind="biased",
        code="biased.position",
        severity="warning" if strong or swayed else "note",
        title=_title(leans, more_first, len(swayed)),
        count=chosen if more_first else len(hits) - chosen,
        of=len(hits),
        unit="pairs whose places are known",
        effect="what the place decided is noise in the labels" if leans or swayed else "none that can be seen",
        cure="ask both ways round, or draw the order by lot; leave out annotators who look at places"
        if leans or swayed
        else "nothing has to be done",
        examples=tuple(
            Example(each.name, f"says the first of {each.share.n:,} in {each.share.value:.0%}")
            for each in swayed[:EXAMPLES]
        ),
        numbers={
            "first": chosen,
            "second": len(hits) - chosen,
            "share": rate.to_json(),
            "annotators": [each.to_json() for each in annotators[:SHOWN]],
            "annotators_with_enough_votes": len(annotators),
            "annotators_swayed": len(swayed),
        },
    )


@dataclass(frozen=True, slots=True)
class OfPlaces:
    """An annotator's votes for the answer shown first."""

    name: str
    first: int
    share: Estimate
    swayed: bool

    def to_json(self) -> dict[str, object]:
        """As findings have it."""
        return {"annotator": self.name, "first": self.first, "share": self.share.to_json(), "swayed": self.swayed}


def _annotators(votes: Counter[tuple[str, int]]) -> list[OfPlaces]:
    """Those with enough votes, the farthest from one half first; swayed by an interval that holds for all at once."""
    names = sorted({name for name, _ in votes})
    enough = [name for name in names if votes[name, 1] + votes[name, 0] >= LEAST]
    z = NormalDist().inv_cdf(1 - 0.025 / max(1, len(enough)))
    found: list[OfPlaces] = []
    for name in enough:
        first, n = votes[name, 1], votes[name, 1] + votes[name, 0]
        own, all_at_once = wilson(first, n), wilson(first, n, z)
        swayed = Estimate(own.value, all_at_once.low, all_at_once.high, n).beyond(0.5, ROOM)
        found.append(OfPlaces(name.removeprefix(PROGRAM), first, Estimate(own.value, own.low, own.high, n), swayed))
    return sorted(found, key=lambda each: -abs(each.first / each.share.n - 0.5))


def places_are_columns(file: AuditedFile) -> bool:
    """Whether votes that say no order were given with the answers as they stand: the chosen side stands first in any
    file of `chosen` and `rejected`, whatever was shown first.
    """
    return file.recognised != "judgements (labels)"


def _of_columns(data: Audited) -> tuple[int, int]:
    """How often the first and the second of two columns won, in training files whose winner is another column."""
    first = second = 0
    for file in (file for file in data.files if file.part == "train"):
        turned = _turned(file)
        if turned is not None:
            second += turned
            first += len(file.groups) - turned - file.notes.get(_TIES, 0)
    return first, second


def _turned(file: AuditedFile) -> int | None:
    """Rows that were turned round; None where no column says who won."""
    if "is turned round where" not in file.recognised:
        return None
    return sum(count for what, count in file.notes.items() if _TURNED.match(what))


def _title(leans: bool, first: bool, swayed: int) -> str:
    if leans:
        return f"The answer that stands {'first' if first else 'second'} is chosen more often"
    return "Annotators look at places" if swayed else "Places hardly tell chosen from rejected"
