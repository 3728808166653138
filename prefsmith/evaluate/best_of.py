"""Best of n: draw n answers of the reference and keep the one that scores highest. Nothing is trained."""

import math
from dataclasses import dataclass

import numpy as np

from prefsmith.evaluate.frontier import Rewards
from prefsmith.stats import Mean, mean


@dataclass(frozen=True, slots=True)
class BestOf:
    """What the best of n answers reaches.

    Args:
        n: answers that are drawn.
        reward: mean true reward of the one that is kept.
        kl: of that answer's distribution to the reference's, in nats, the mean over prompts.
        most_kl: what it is where no two answers score the same, and what it never exceeds.
    """

    n: int
    reward: Mean
    kl: float
    most_kl: float


def best_of(rewards: Rewards, n: int, scores: Rewards | None = None) -> BestOf:
    """Reward and KL of the best of n.

    With q the reference's share of the answers that score exactly s, and F their share up to s: one of them is kept
    with probability p = F^n - (F - q)^n, and ties are broken by lot, so that within s nothing changes:

        KL = sum over s of p log(p / q)  <=  log n - (n - 1) / n,  with equality where there are no ties

    Args:
        rewards: true rewards of samples of the reference, as many for every prompt; each is used once, in runs of n.
        n: at least 1, and at most half the samples, so that there are several runs.
        scores: what chooses, for example a learned reward; the true reward where left out.

    Source:
        Beirami et al. 2024, arXiv:2401.01879: log n - (n - 1) / n is an upper bound, exact where nothing ties.
    """
    scores = rewards if scores is None else scores
    prompts, samples = rewards.shape
    runs = samples // n
    shape = (prompts, runs, n)
    kept = scores[:, : runs * n].reshape(shape).argmax(axis=2)[:, :, None]
    won = np.take_along_axis(rewards[:, : runs * n].reshape(shape), kept, axis=2)[:, :, 0]
    kl = float(np.mean([_kl(own, n) for own in scores]))
    return BestOf(n, mean(won.ravel().tolist()), kl, most_kl(n))


def most_kl(n: int) -> float:
    """KL of the best of n where no two answers score the same, in nats."""
    return math.log(n) - (n - 1) / n


def _kl(scores: np.ndarray, n: int) -> float:
    """Over one prompt's answers, each as likely as it is frequent."""
    if n == 1:
        return 0.0  # exactly, where rounding would leave something
    _, counts = np.unique(scores, return_counts=True)
    share = counts / len(scores)
    up_to = counts.cumsum() / len(scores)
    kept = up_to**n - (up_to - share).clip(min=0) ** n
    there = kept > 0  # the lowest of many answers are kept with a probability that is too small to be written
    return float((kept[there] * np.log(kept[there] / share[there])).sum())
