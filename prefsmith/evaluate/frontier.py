"""Reward against KL, and the best reward that any policy could have at that KL.

The policy that maximises reward - beta KL is the reference, tilted: pi(y|x) is in proportion to pi_ref(y|x)
exp(r(x, y) / beta). Its reward and KL follow from samples of the reference alone, so that the best is known without
training anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Rewards = Float64[np.ndarray, "prompt sample"]

_SMALLEST_BETA, _LARGEST_BETA = 1e-2, 1e4


@dataclass(frozen=True, slots=True)
class Best:
    """What the tilted reference reaches at one beta. Both are means over prompts; `kl` in nats."""

    beta: float
    reward: float
    kl: float


def tilted(rewards: Rewards, beta: float) -> Best:
    """Reward and KL of the tilted reference.

        w = exp(r / beta) / sum of exp(r / beta),   R = sum of w r,   KL = R / beta - log mean exp(r / beta)

    One beta for all prompts is best for the mean over prompts.

    Args:
        rewards: of samples of the reference, as many for every prompt. Few samples hide rare good answers: the largest
            KL that n samples can show is log n, and the estimate is low well before that.
        beta: above zero; larger stays closer.

    Source:
        Rafailov et al. 2023, arXiv:2305.18290, eq. 4; weights as in self-normalised importance sampling.
    """
    scaled = rewards / beta
    shift = scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled - shift)
    log_mean = np.log(weights.mean(axis=1)) + shift[:, 0]
    weights /= weights.sum(axis=1, keepdims=True)
    reward = (weights * rewards).sum(axis=1)
    kl = reward / beta - log_mean
    return Best(beta, float(reward.mean()), max(0.0, float(kl.mean())))


def best_at(rewards: Rewards, kl: float) -> Best:
    """The best that any policy could have at a KL to the reference, by halving intervals of log beta.

    Args:
        rewards: of samples of the reference, as for `tilted`.
        kl: nats, above zero. Beyond what the samples can show, the result is the largest that they do.
    """
    low, high = np.log(_SMALLEST_BETA), np.log(_LARGEST_BETA)  # KL falls with beta
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tilted(rewards, float(np.exp(middle))).kl > kl else (low, middle)
    return tilted(rewards, float(np.exp(high)))


def curve(rewards: Rewards, largest_kl: float, points: int = 40) -> list[Best]:
    """The frontier from KL 0 to `largest_kl`."""
    start = Best(float("inf"), float(rewards.mean()), 0.0)
    # Steps of equal size in the root of KL: reward rises with it at first.
    wanted: Sequence[float] = [float(step) ** 2 for step in np.linspace(0, largest_kl**0.5, points)[1:]]
    return [start, *(best_at(rewards, kl) for kl in wanted)]
