"""Whether the implicit probabilities mean what they say: of the pairs told apart with 80 % sureness, are 80 % right?

The implicit probability that the preferred answer is better is sigmoid(beta h). A pair's sureness is the probability
of the side that the policy prefers, c = sigmoid(beta |h|), in [1/2, 1]; it is right with the label's probability of
that side. No number here depends on which side of a pair stands first.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int

from prefsmith.evaluate.accuracy import Rate, finite, rate
from prefsmith.evaluate.bootstrap import Counts, Interval, PerDraw, Values, clustered, ratio
from prefsmith.evaluate.pairs import PerPair

BINS = 10
EDGES = tuple(0.5 + 0.5 * place / BINS for place in range(BINS + 1))
_DRAWS, _CELLS = 1000, 4_000_000


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs of like sureness.

    Args:
        low: least sureness; the last bin holds both of its ends, the others their lower one.
        high: largest sureness.
        sureness: mean of the pairs.
        right: share of them whose label agrees.
    """

    low: float
    high: float
    sureness: float
    right: Rate

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return {"low": self.low, "high": self.high, "sureness": self.sureness, "right": self.right.as_dict()}


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the implicit probabilities can be taken at their word.

    Args:
        bins: those with pairs in them, the least sure first.
        ece: expected calibration error: mean distance of sureness and share right over the bins, by weight.
        ece_by_chance: that of probabilities which are exactly right, on as many pairs: the mean over draws of labels,
            and the value that 95 % of them stay below.
        overconfidence: mean sureness less share right; above zero is too sure.
        brier: mean squared distance of probability and label; a coin has 1/4.
        log_loss: mean -p log q - (1 - p) log(1 - q) in nats; a coin has log 2.
    """

    bins: tuple[Bin, ...]
    ece: Interval
    ece_by_chance: tuple[float, float]
    overconfidence: Interval
    brier: Interval
    log_loss: Interval

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        mean, high = self.ece_by_chance
        return {
            "bins": [each.as_dict() for each in self.bins],
            "ece": {**self.ece.as_dict(), "by_chance": {"mean": finite(mean), "high": finite(high)}},
            "overconfidence": self.overconfidence.as_dict(),
            "brier": {**self.brier.as_dict(), "coin": 0.25},
            "log_loss": {**self.log_loss.as_dict(), "coin": float(np.log(2))},
        }


def calibration(
    margin: PerPair,
    beta: float,
    prob: PerPair,
    weight: PerPair,
    prompt: Int[np.ndarray, " pair"],
    *,
    seed: int = 0,
) -> Calibration:
    """Compare implicit probabilities with labels; a tie is a label of one half.

    Args:
        margin: h of each pair in nats.
        beta: what turns nats into reward.
        prob: the label's probability of the side that h is about.
        weight: of each pair, >= 0, not all 0.
        prompt: number of its prompt.
        seed: of the draws.

    Source:
        Guo et al. 2017, arXiv:1706.04599, eq. 3, for the expected calibration error.
    """
    counted = weight > 0
    margin, prob, weight, prompt = margin[counted], prob[counted], weight[counted], prompt[counted]
    logit = beta * margin
    sure = _sigmoid(np.abs(logit))
    right = np.where(logit > 0, prob, np.where(logit < 0, 1 - prob, 0.5))
    place = np.clip(np.searchsorted(EDGES, sure, side="right") - 1, 0, BINS - 1)
    loss = prob * np.logaddexp(0, -logit) + (1 - prob) * np.logaddexp(0, logit)
    squares = prob * _sigmoid(-logit) ** 2 + (1 - prob) * _sigmoid(logit) ** 2

    def mean(values: PerPair) -> Interval:
        return clustered(np.stack([weight * values, weight], axis=1), prompt.tolist(), statistic=ratio, seed=seed)

    columns = np.stack([place, weight * (sure - right), weight], axis=1)
    bins = []
    for number, (low, high) in enumerate(pairwise(EDGES)):
        inside = place == number
        if inside.any():
            mean_sure = float(weight[inside] @ sure[inside] / weight[inside].sum())
            share = rate(right[inside], weight[inside], prompt[inside], seed=seed)
            bins.append(Bin(low, high, mean_sure, share))
    return Calibration(
        bins=tuple(bins),
        ece=clustered(columns, prompt.tolist(), statistic=expected_error, seed=seed),
        ece_by_chance=_by_chance(sure, weight, place, seed),
        overconfidence=mean(sure - right),
        brier=mean(squares),
        log_loss=mean(loss),
    )


def expected_error(values: Values, counts: Counts) -> PerDraw:
    """The expected calibration error of each draw; columns: bin, weight x (sureness - right), weight."""
    place, gaps, weight = values[:, 0], values[:, 1], values[:, 2]
    total = np.zeros(len(counts))
    for number in np.unique(place):
        inside = place == number
        total += np.abs(counts[:, inside] @ gaps[inside])
    return total / (counts @ weight)


def _by_chance(sure: PerPair, weight: PerPair, place: Int[np.ndarray, " pair"], seed: int) -> tuple[float, float]:
    """Mean and 95th percentile of the error where every pair is right with exactly its sureness."""
    generator = np.random.default_rng(seed)
    errors: list[Float64[np.ndarray, " draw"]] = []
    block = max(1, _CELLS // len(sure))
    for start in range(0, _DRAWS, block):
        right = generator.random((min(block, _DRAWS - start), len(sure))) < sure
        gaps = weight * (sure - right)
        inside = [np.abs(gaps[:, place == number].sum(axis=1)) for number in np.unique(place)]
        errors.append(np.sum(inside, axis=0) / weight.sum())
    drawn = np.concatenate(errors)
    return float(drawn.mean()), float(np.quantile(drawn, 0.95))


def _sigmoid(values: PerPair) -> PerPair:
    return np.exp(-np.logaddexp(0, -values))
