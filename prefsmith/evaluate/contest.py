"""Several methods against one baseline: the standing of each at each temperature, and what lies between two of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean, stdev

import numpy as np

from prefsmith.evaluate.bootstrap import Interval, clustered
from prefsmith.evaluate.length_control import LengthControlled, difficulties, length_controlled, standardised
from prefsmith.evaluate.paired import SignTest, sign_test_of
from prefsmith.evaluate.proportions import pairs_to_tell, trials_to_leave
from prefsmith.evaluate.winrate import Outcome, WinRate, outcomes, prompt_scores, unjudged, win_rate
from prefsmith.records import Group

Entry = tuple[str, float | None]
"""A method, and the temperature that it was sampled at; None for answers from a file."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A method at a temperature, against the baseline.

    Args:
        method: its name.
        temperature: None for answers from a file.
        pairs: of answers.
        identical: pairs of equal answers, which are ties without anybody being asked.
        rate: what was won, lost, tied and not judged.
        equal_length: the rate if answers were as long as the baseline's; None without a verdict.
        needed: prompts that it takes to tell this rate from one half; None at one half.
    """

    method: str
    temperature: float | None
    pairs: int
    identical: int
    rate: WinRate
    equal_length: LengthControlled | None
    needed: int | None

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return {
            "method": self.method,
            "temperature": self.temperature,
            "pairs": self.pairs,
            "identical": self.identical,
            **self.rate.as_dict(),
            "equal_length": None if self.equal_length is None else self.equal_length.as_dict(),
            "needed": self.needed,
        }


@dataclass(frozen=True, slots=True)
class Between:
    """Two methods on the same prompts, against the same answers of the baseline.

    Args:
        first: name of the one.
        second: name of the other.
        temperature: of both.
        prompts: that both have a verdict on.
        difference: rate of the first less that of the second, over prompts.
        test: the sign test over prompts.
        needed: prompts that it takes to tell this difference from none; None where there is none, or one prompt.
    """

    first: str
    second: str
    temperature: float | None
    prompts: int
    difference: Interval
    test: SignTest
    needed: int | None

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return {**asdict(self), "difference": self.difference.as_dict()}


def standings(judged: Mapping[Entry, Sequence[Group]], *, seed: int = 0) -> list[Standing]:
    """The standing of each method at each temperature.

    Args:
        judged: groups of two completions, the method's and the baseline's, with the votes on them.
        seed: of the bootstraps.
    """
    found = {entry: outcomes(groups) for entry, groups in judged.items()}
    hard = {temperature: _difficulties(found, temperature) for _, temperature in judged}
    return [_standing(entry, groups, found[entry], hard[entry[1]], seed) for entry, groups in judged.items()]


def between(judged: Mapping[Entry, Sequence[Group]], *, seed: int = 0) -> list[Between]:
    """Every two methods at every temperature that both have.

    Args:
        judged: as for `standings`.
        seed: of the bootstraps.
    """
    scores = {entry: prompt_scores(outcomes(groups)) for entry, groups in judged.items()}
    return [
        each
        for (first, second) in combinations(scores, 2)
        if first[1] == second[1]
        for each in _between(first, second, scores[first], scores[second], seed)
    ]


def _standing(
    entry: Entry, groups: Sequence[Group], found: Sequence[Outcome], hard: Mapping[str, float] | None, seed: int
) -> Standing:
    rate = win_rate(found, unjudged=unjudged(groups), seed=seed)
    valid = [each for each in found if each.points is not None]
    equal = None
    if valid:
        equal = length_controlled(
            [each.points for each in valid],
            [each.lengths[0] for each in valid],
            [each.lengths[1] for each in valid],
            [each.prompt for each in valid],
            difficulty=hard,
            seed=seed,
        )
    return Standing(
        method=entry[0],
        temperature=entry[1],
        pairs=len(groups),
        identical=sum(group.completions[0].content == group.completions[1].content for group in groups),
        rate=rate,
        equal_length=equal,
        needed=_needed(list(prompt_scores(found).values())),
    )


def _needed(scores: Sequence[float]) -> int | None:
    """By how much prompts scatter, which with ties is less than wins and losses alone would."""
    if not scores:
        return None
    deviation = stdev(scores) if len(scores) > 1 else 0.0
    return pairs_to_tell(fmean(scores) - 0.5, deviation) if deviation > 0 else trials_to_leave(fmean(scores))


def _difficulties(found: Mapping[Entry, Sequence[Outcome]], temperature: float | None) -> dict[str, float] | None:
    """From the methods at one temperature; None where there is one, or none has a verdict."""
    sides = [
        [each for each in outcomes if each.points is not None]
        for (_, other), outcomes in found.items()
        if other == temperature
    ]
    sides = [side for side in sides if side]
    if len(sides) < 2:
        return None

    return difficulties(
        [np.array([each.points for each in side]) for side in sides],
        [standardised(np.array([float(each.lengths[0] - each.lengths[1]) for each in side])) for side in sides],
        [[each.prompt for each in side] for side in sides],
    )


def _between(
    first: Entry, second: Entry, scores: Mapping[str, float], others: Mapping[str, float], seed: int
) -> Iterator[Between]:
    """Nothing where no prompt has a verdict on both."""
    prompts = [prompt for prompt in scores if prompt in others]
    if not prompts:
        return
    gaps = [scores[prompt] - others[prompt] for prompt in prompts]
    deviation = stdev(gaps) if len(gaps) > 1 else math.nan
    yield Between(
        first=first[0],
        second=second[0],
        temperature=first[1],
        prompts=len(prompts),
        difference=clustered(gaps, prompts, seed=seed),
        test=sign_test_of(gaps),
        needed=pairs_to_tell(fmean(gaps), deviation) if deviation > 0 else None,
    )
