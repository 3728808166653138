"""How far stories moved, at which KL, and whether they still read as stories. Every number has its interval.

Stories from one opening are alike, so they count as one: every interval is by leaving out one opening after the other
(jackknife), which for a mean of equally many stories from each is the usual interval of the openings' means. How far
stories moved is told by each opening's own change, since openings differ among themselves before as after.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import fmean, stdev

from prefsmith.evaluate.samples import Answer, answer_divergence, answer_nats
from prefsmith.stats import Z95
from story.rules import Rule, words
from story.teller import TEMPERATURE, TOKEN_BUDGET, Teller


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its standard error.

    Args:
        value: on all stories.
        error: standard error.
        n: stories.
    """

    value: float
    error: float
    n: int

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - Z95 * self.error

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + Z95 * self.error

    def as_dict(self) -> dict[str, float]:
        """As evidence.json has it."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True, slots=True)
class Story:
    """An answer with what was measured on it.

    Args:
        answer: opening and text.
        score: by the rule.
        divergence: KL of the teller to the starting model along it, in nats, at the temperature of the samples.
        loss: minus its log-probability under the starting model at temperature 1, in nats.
        words: its words without the last, which may be cut.
    """

    answer: Answer
    score: float
    divergence: float
    loss: float
    words: list[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """A set of stories in numbers.

    Args:
        stories: those from one opening side by side.
        score: mean by the rule.
        divergence: mean KL to the starting model, in nats a story.
        loss: under the starting model, in nats a character.
        known: share of words that the starting model uses.
        distinct: different pairs of neighbouring words, as a share of all.
        simple_error: standard error of the mean score if all stories were independent.
    """

    stories: list[Story]
    score: Estimate
    divergence: Estimate
    loss: Estimate
    known: Estimate
    distinct: Estimate
    simple_error: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A set of openings before and after training, as many stories from each."""

    name: str
    before: Measured
    after: Measured

    @property
    def movement(self) -> Estimate:
        """Of the score: the mean of the openings' changes, with the error of that mean."""
        pairs = zip(_means_of_openings(self.before), _means_of_openings(self.after), strict=True)
        changes = [new - old for old, new in pairs]
        return Estimate(fmean(changes), stdev(changes) / math.sqrt(len(changes)), self.after.score.n)

    @property
    def errors(self) -> float:
        """The movement in its standard errors, by openings."""
        return in_errors(self.movement.value, self.movement.error)

    @property
    def simple_errors(self) -> float:
        """The difference of the means by the root of their summed squared errors, were all stories independent."""
        return in_errors(self.movement.value, math.hypot(self.before.simple_error, self.after.simple_error))


def in_errors(value: float, error: float) -> float:
    """How many standard errors a value is; where nothing scatters, all or nothing."""
    if error == 0:
        return math.copysign(math.inf, value) if value else 0.0
    return value / error


def vocabulary(stories: Sequence[Answer]) -> frozenset[str]:
    """Words that occur at least twice."""
    counts = Counter(word for story in stories for word in _whole_words(story.text))
    return frozenset(word for word, count in counts.items() if count >= 2)


def measure(teller: Teller, start: Teller, answers: Sequence[Answer], rule: Rule, known: frozenset[str]) -> Measured:
    """Measure stories.

    Args:
        teller: the model that told them.
        start: the model that training started from; it may be the same.
        answers: one or more from each of two or more openings, those from one opening side by side.
        rule: gives the score.
        known: the starting model's words.
    """
    divergences = [0.0] * len(answers)
    if teller is not start:
        divergences = answer_divergence(
            teller.model, start.model, answers, token_budget=TOKEN_BUDGET, temperature=TEMPERATURE
        ).tolist()
    nats = answer_nats(start.model, answers, token_budget=TOKEN_BUDGET)
    stories = [
        Story(answer, rule.score(answer.text), kl, -logprob, _whole_words(answer.text))
        for answer, kl, logprob in zip(answers, divergences, nats.tolist(), strict=True)
    ]
    clusters = _by_opening(stories)

    def estimate(statistic: Callable[[Sequence[Story]], float]) -> Estimate:
        return jackknife(clusters, statistic)

    return Measured(
        stories,
        score=estimate(lambda some: fmean(story.score for story in some)),
        divergence=estimate(lambda some: fmean(story.divergence for story in some)),
        loss=estimate(loss_per_character),
        known=estimate(lambda some: known_share(some, known)),
        distinct=estimate(distinct_share),
        simple_error=stdev(story.score for story in stories) / math.sqrt(len(stories)),
    )


def jackknife(clusters: Sequence[Sequence[Story]], statistic: Callable[[Sequence[Story]], float]) -> Estimate:
    """A statistic with its standard error by leaving out one cluster after the other.

        error^2 = (m - 1) / m  sum over clusters of (statistic without it - mean of those)^2,   m clusters

    Args:
        clusters: independent of each other; at least two.
        statistic: of the stories of some clusters.

    Source:
        Efron and Stein 1981, The Annals of Statistics 9(3).
    """
    everything = [story for cluster in clusters for story in cluster]
    without = [
        statistic([story for number, cluster in enumerate(clusters) if number != left for story in cluster])
        for left in range(len(clusters))
    ]
    centre, m = fmean(without), len(clusters)
    error = math.sqrt((m - 1) / m * math.fsum((value - centre) ** 2 for value in without))
    return Estimate(statistic(everything), error, len(everything))


def loss_per_character(stories: Sequence[Story]) -> float:
    """Log-loss under the starting model of all stories together, in nats a character of their text."""
    return math.fsum(story.loss for story in stories) / max(1, sum(len(story.answer.text) for story in stories))


def known_share(stories: Sequence[Story], known: frozenset[str]) -> float:
    """Share of all words that are known; 0 where there are no words, since then there is nothing to read."""
    own = [word for story in stories for word in story.words]
    return sum(word in known for word in own) / len(own) if own else 0.0


def distinct_share(stories: Sequence[Story]) -> float:
    """Different pairs of neighbouring words, as a share of all such pairs; 0 where there are none.

    It falls with the number of stories, so it is compared only between as many.
    """
    pairs = [pair for story in stories for pair in pairwise(story.words)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _whole_words(text: str) -> list[str]:
    return words(text)[:-1]


def _by_opening(stories: Sequence[Story]) -> list[list[Story]]:
    return [list(run) for _, run in groupby(stories, key=lambda story: story.answer.group.id)]


def _means_of_openings(measured: Measured) -> list[float]:
    return [fmean(story.score for story in some) for some in _by_opening(measured.stories)]
