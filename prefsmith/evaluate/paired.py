"""Tests on the same prompts: what differs between two sides there, and nothing else, decides."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignTest:
    """How often one side was better, and how likely a split as uneven is between equals.

    Args:
        better: prompts where the first side was better.
        worse: prompts where it was worse.
        p: two-sided and exact, 1 where no prompt tells them apart.
    """

    better: int
    worse: int
    p: float


def sign_test(better: int, worse: int) -> SignTest:
    """The exact sign test; on two sides' right and wrong answers it is McNemar's.

        p = min(1, 2 P(X <= min(b, w))),   X binomial of b + w trials and 1/2

    Prompts on which the sides are equal say nothing about which is better and are not in it.

    Args:
        better: b, prompts.
        worse: w, prompts.

    Source:
        McNemar 1947, Psychometrika 12(2), the exact form.
    """
    trials, few = better + worse, min(better, worse)
    tail = math.fsum(math.exp(_log_choose(trials, k) - trials * math.log(2)) for k in range(few + 1))
    return SignTest(better, worse, min(1.0, 2 * tail))


def sign_test_of(differences: Iterable[float]) -> SignTest:
    """The same of differences, one for each prompt; zeros are left out."""
    signs = [difference > 0 for difference in differences if difference != 0]
    return sign_test(sum(signs), len(signs) - sum(signs))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
