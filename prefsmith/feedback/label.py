"""Comparisons from a number for every answer: a reward or a rule, as a judge that errs or one that never does."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

OfText = Callable[[str], float]
"""A number for the text of an answer, larger is better."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Two answers to a prompt, in the order of the verdict. `gap` is the first one's reward minus the other's."""

    prompt: str
    chosen: str
    rejected: str
    gap: float

    def as_row(self) -> dict[str, str]:
        """As a row of a preference file."""
        return {"prompt": self.prompt, "chosen": self.chosen, "rejected": self.rejected}


def bradley_terry(prompt: str, answers: Sequence[str], reward: OfText, random: Random) -> list[Judged]:
    """Every pair of different answers, judged once with noise.

        P(a is preferred to b) = s(r(a) - r(b)),   s the logistic function

    Args:
        prompt: what was answered.
        answers: two or more; equal ones are not compared.
        reward: of an answer, in nats.
        random: draws the verdicts.

    Source:
        Bradley and Terry 1952, Biometrika 39.
    """
    judged = []
    for first, second in _pairs(answers):
        gap = reward(first) - reward(second)
        if random.random() < 1 / (1 + math.exp(-gap)):
            judged.append(Judged(prompt, first, second, gap))
        else:
            judged.append(Judged(prompt, second, first, -gap))
    return judged


def by_rule(prompt: str, answers: Sequence[str], rule: OfText, *, most: int | None = None) -> list[Judged]:
    """Pairs of answers that a rule tells apart, the clearest first.

    Args:
        prompt: what was answered.
        answers: two or more; those that the rule gives the same number are not compared.
        rule: larger is better.
        most: keep only so many, those with the largest gaps.
    """
    ordered = [sorted(pair, key=rule, reverse=True) for pair in _pairs(answers)]
    judged = [Judged(prompt, better, worse, rule(better) - rule(worse)) for better, worse in ordered]
    clear = [each for each in judged if each.gap > 0]
    return sorted(clear, key=lambda each: -each.gap)[:most]


def _pairs(answers: Sequence[str]) -> list[tuple[str, str]]:
    return [(first, second) for first, second in combinations(answers, 2) if first != second]
