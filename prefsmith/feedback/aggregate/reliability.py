"""How reliable an annotator is: the chance that what it says is right, with an interval that few votes make wide.

Let q be what the votes of others make of the chance that a vote is right, and r the chance that a wrong annotator
says just this. An annotator who is right with probability a then says it with probability a q + (1 - a) r, so

    l(a) = sum over its votes of w log(a q + (1 - a) r)

which is concave. The value is where l is largest; the interval holds every a with 2 (l(value) - l(a)) <= 3.84. It is
within [0, 1], is not a point at 0 or 1, and where the others leave everything open it is all of [0, 1].

An annotator who was shown a pair in both orders votes on it twice. Both votes are taken out of what others say, and w
is one half, so that each annotator has one vote on a pair in total.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from prefsmith.feedback.aggregate.panel import SECOND, TIE, OfVotes, Panel, PerAnnotator, PerVote

_DROP = 3.841458820694124 / 2
"""How far l falls to the ends: the 95th percentile of chi-squared with one degree of freedom, halved."""
_STEPS = 60
_LEAST = 1e-12
_DIGITS = 9
"""Of sums of thirds that are equal."""
AGREES = "how often it says what most others say of the pair"


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of each annotator, in the order of the panel; NaN where nothing tells.

    Args:
        value: probability of being right; below one half (of two labels) it is reversed.
        low: lower end of the 95 % interval.
        high: upper end.
        votes: valid votes of each.
        meaning: what the value is, in words.
        chance: the value of an annotator who draws lots.
    """

    value: PerAnnotator
    low: PerAnnotator
    high: PerAnnotator
    votes: np.ndarray
    meaning: str
    chance: float


def likeliest(
    annotator: OfVotes,
    right: PerVote,
    wrong: PerVote,
    weight: PerVote,
    panel: Panel,
    meaning: str,
    chance: float,
    slack: PerAnnotator | float = 1.0,
) -> Reliability:
    """Where l is largest, and its interval.

    Args:
        annotator: of each vote.
        right: q of each vote.
        wrong: r of each vote.
        weight: w of each vote.
        panel: whose annotators they are.
        meaning: in words.
        chance: the value of an annotator who draws lots.
        slack: how many times larger the variance is since q is not known but estimated beside it, at least 1; l may
            fall by so much more.
    """
    size = len(panel.names)
    right, wrong = np.maximum(right, _LEAST), np.maximum(wrong, _LEAST)

    def total(values: PerVote) -> PerAnnotator:
        return np.bincount(annotator, weights=weight * values, minlength=size).astype(np.float64)  # whole if empty

    def says(at: PerAnnotator) -> PerVote:
        return at[annotator] * right + (1 - at[annotator]) * wrong

    def value(at: PerAnnotator) -> PerAnnotator:
        return total(np.log(says(at)))

    low, high = np.zeros(size), np.ones(size)
    for _ in range(_STEPS):  # the slope falls
        middle = (low + high) / 2
        rising = total((right - wrong) / says(middle)) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    best = (low + high) / 2
    floor = value(best) - _DROP * slack
    below = _edge(value, floor, np.zeros(size), best)
    above = _edge(value, floor, np.ones(size), best)
    known = total(np.abs(right - wrong)) > 1e-6
    return Reliability(
        value=np.where(known, best, np.nan),
        low=np.where(known, below, np.nan),
        high=np.where(known, above, np.nan),
        votes=panel.votes,
        meaning=meaning,
        chance=chance,
    )


def agreement(panel: Panel) -> Reliability:
    """How often each annotator says what most others say of a pair; where they are split, each label in part."""
    seat, part = panel.seat, parts(panel)
    place = seat * 3 + panel.said
    own = np.bincount(place, part, 3 * (int(seat.max(initial=-1)) + 1)).reshape(-1, 3)
    flat = np.bincount(panel.pair * 3 + panel.said, part, panel.pairs * 3).reshape(-1, 3)
    counts = (flat[panel.pair] - own[seat]).round(_DIGITS)
    most = counts.max(axis=1)
    heard = most > 0
    top = (counts == most[:, None]) & heard[:, None]
    share = top / np.maximum(1, top.sum(axis=1))[:, None]
    agrees, part = share[np.arange(len(share)), panel.said][heard], part[heard]
    size = len(panel.names)
    # l with weights: a vote that agrees in part is that much of a success and the rest of a failure.
    annotator = np.concatenate([panel.annotator[heard], panel.annotator[heard]])
    ones, zeros = np.ones(int(heard.sum())), np.zeros(int(heard.sum()))
    weight = np.concatenate([part * agrees, part * (1 - agrees)])
    found = likeliest(
        annotator,
        np.concatenate([ones, zeros]),
        np.concatenate([zeros, ones]),
        weight,
        panel,
        AGREES,
        1 / panel.labels,
    )
    # The largest value is a plain share: said exactly, and not as far as halving found it.
    heard_votes = np.bincount(panel.annotator[heard], weights=part, minlength=size)
    right = np.bincount(panel.annotator[heard], weights=part * agrees, minlength=size)
    value = np.divide(right, heard_votes, out=np.full(size, np.nan), where=heard_votes > 0)
    return replace(found, value=value)


def parts(panel: Panel) -> PerVote:
    """What part of all that its annotator says of the pair each vote is."""
    seat = panel.seat
    return 1 / np.bincount(seat)[seat]


def spread(right: PerVote, labels: int) -> PerVote:
    """r of a wrong annotator who says each of the other labels as often."""
    return (1 - right) / (labels - 1)


def turned(said: OfVotes) -> OfVotes:
    """The same votes with the sides of every pair swapped."""
    return np.where(said == TIE, TIE, SECOND - said)


def _edge(
    value: Callable[[PerAnnotator], PerAnnotator], floor: PerAnnotator, outer: PerAnnotator, inner: PerAnnotator
) -> PerAnnotator:
    """Where l crosses the floor between its largest value and an end; the end itself where it stays above."""
    for _ in range(_STEPS):
        middle = (outer + inner) / 2
        above = value(middle) >= floor
        inner, outer = np.where(above, middle, inner), np.where(above, outer, middle)
    return inner
