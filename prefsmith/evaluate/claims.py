"""What the DPO paper says of win rates over temperatures, and whether it came out: each a difference with its interval.

No claim has to hold: a small world with other models may well be otherwise. Where the interval of the difference holds
zero, the two are not told apart: that is no evidence for a claim that one is not above the other either.

Source:
    Rafailov et al. 2023, arXiv:2305.18290, figure 2 (right) and section 6.2.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from prefsmith.evaluate.bootstrap import Counts, Interval, PerDraw, Values, clustered
from prefsmith.evaluate.points import Arm

Scores = Float64[np.ndarray, "pair temperature"]
"""1 for a pair that was won, 1/2 for a tie, 0."""
AS_IN_PAPER, OPPOSITE, ALIKE, NOT_TESTED = "as in the paper", "the other way round", "not told apart", "not tested"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the paper says, and what was found.

    Args:
        name: W1 to W6.
        claim: in words.
        sides: the two arms that are compared, in words; empty where nothing tests it.
        difference: of the first less the second, as the claim has it.
        verdict: one of the words above.
    """

    name: str
    claim: str
    sides: tuple[str, ...]
    difference: Interval | None
    verdict: str

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        found = None if self.difference is None else self.difference.as_dict()
        return {"name": self.name, "claim": self.claim, "sides": [*self.sides], "difference": found,
                "verdict": self.verdict}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Question:
    """A claim of two sides: the first arm of the recipe that fits each.

    Args:
        claim: in words.
        sides: method and reward of each; None where any reward fits.
        of: rates of both sides at each temperature, to the number that the claim says is above zero.
        at: temperatures that it reads; empty for all.
        above: whether the claim is that it is above zero; otherwise that it is not, which holds where it is below.
    """

    claim: str
    sides: tuple[tuple[str, str | None], tuple[str, str | None]]
    of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    at: tuple[float, ...] = ()
    above: bool = True


def _first(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    return own[:, 0] - other[:, 0]


def _highest(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    return own.max(axis=1) - other.max(axis=1)


def _falls_less(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (other[:, 0] - other[:, 1]) - (own[:, 0] - own[:, 1])


_DPO, _RL, _BEST = ("dpo", None), ("rloo", "learned"), ("best_of_n", "learned")
_START, _CHOSEN = ("reference", None), ("sft", None)
_QUESTIONS = {
    "W1": _Question("at temperature 0 DPO is above its start", (_DPO, _START), _first, (0.0,)),
    "W2": _Question("at temperature 0 DPO is above fine-tuning on chosen", (_DPO, _CHOSEN), _first, (0.0,)),
    "W3": _Question(
        "at temperature 0 fine-tuning on chosen is not above the start", (_CHOSEN, _START), _first, (0.0,), above=False
    ),
    "W4": _Question("DPO's best temperature is above that of RL on a learned reward", (_DPO, _RL), _highest),
    "W5": _Question("from temperature 0 to 1 DPO falls less than that RL", (_DPO, _RL), _falls_less, (0.0, 1.0)),
    "W6": _Question("DPO's best temperature is above that of best-of-n on a learned reward", (_DPO, _BEST), _highest),
}


def claims(
    scores: Mapping[Arm, Scores], temperatures: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> list[Claim]:
    """Every claim, with intervals over prompts.

    The highest of several temperatures is a little too high, on both sides; the interval is of the difference of the
    highest, drawn anew.

    Args:
        scores: of each arm, pairs in one order.
        temperatures: of the columns.
        clusters: the prompt of each pair.
        seed: of the bootstrap.
    """
    return [_claim(name, question, scores, temperatures, clusters, seed) for name, question in _QUESTIONS.items()]


def _claim(
    name: str,
    question: _Question,
    scores: Mapping[Arm, Scores],
    temperatures: Sequence[float],
    clusters: Sequence[Hashable],
    seed: int,
) -> Claim:
    sides = [_arm(scores, *side) for side in question.sides]
    wanted = question.at or tuple(temperatures)
    if None in sides or not {*wanted} <= {*temperatures}:
        return Claim(name, question.claim, (), None, NOT_TESTED)
    arms = [arm for arm in sides if arm is not None]
    columns = [temperatures.index(each) for each in wanted]
    table, width = np.hstack([scores[arm][:, columns] for arm in arms]), len(columns)

    def statistic(values: Values, counts: Counts) -> PerDraw:
        rates = counts @ values / counts.sum(axis=1, keepdims=True)
        return question.of(rates[:, :width], rates[:, width:])

    found = clustered(table, clusters, statistic=statistic, seed=seed)
    return Claim(name, question.claim, tuple(map(str, arms)), found, _verdict(found, above=question.above))


def _verdict(found: Interval, *, above: bool) -> str:
    """Where the whole interval lies; one that holds zero, or has no ends, tells nothing apart."""
    if found.low > 0:
        return AS_IN_PAPER if above else OPPOSITE
    if found.high < 0:
        return OPPOSITE if above else AS_IN_PAPER
    return ALIKE


def _arm(scores: Mapping[Arm, Scores], method: str, reward: str | None) -> Arm | None:
    return next((arm for arm in scores if arm.method == method and reward in (None, arm.setting("reward"))), None)
