"""What the labels so far say of pairs: a logistic model of the difference of two answers' features.

    P(first is better) = sigmoid(x w),   w = argmin sum_i [y_i softplus(-x_i w) + (1 - y_i) softplus(x_i w)] + |w|^2 / 2

The prior holds directions that no label has told of at zero. There is no constant: turning a pair round turns its sign.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Features = Float64[np.ndarray, "pair feature"]
PerPair = Float64[np.ndarray, " pair"]
PerLabel = Float64[np.ndarray, " label"]

RIDGE = 1.0
"""Precision of the prior."""
SPREAD = 3.0
"""Variance of a pair's log-odds under the prior, on average: a side is likelier by some 85 to 15."""
DIRECTIONS = 64
"""Most directions of features that are looked at: labels are counted in tens and hundreds."""
_STEPS, _TOLERANCE = 50, 1e-9


@dataclass(frozen=True, slots=True)
class Estimate:
    """The model after some labels.

    Args:
        weights: w, one a feature.
        precision: of w at its best value: the prior's and what the labels add, sum_i p_i (1 - p_i) x_i x_i' + I.
    """

    weights: Float64[np.ndarray, " feature"]
    precision: Float64[np.ndarray, "feature feature"]

    def margins(self, features: Features) -> PerPair:
        """x w of each pair: log-odds that its first answer is the better one."""
        return features @ self.weights


def fit(features: Features, labels: PerPair) -> Estimate:
    """The most probable weights, by Newton's steps, halved where one goes too far.

    Args:
        features: of the labelled pairs; there may be none.
        labels: probability that the first answer is the better one, in [0, 1].
    """
    width = features.shape[1]
    weights = np.zeros(width)
    value = _loss(weights, features, labels)
    for _ in range(_STEPS):
        slope = features.T @ (sigmoid(features @ weights) - labels) + RIDGE * weights
        step = np.linalg.solve(_precision(weights, features), slope)
        size = 1.0
        while (now := _loss(weights - size * step, features, labels)) > value and size > _TOLERANCE:
            size /= 2
        weights, gained, value = weights - size * step, value - now, now
        if gained < _TOLERANCE:
            break
    return Estimate(weights, _precision(weights, features))


def sigmoid(margins: Float64[np.ndarray, "*any"]) -> Float64[np.ndarray, "*any"]:
    """1 / (1 + exp(-m)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * margins))


def scaled(features: Features, most: int = DIRECTIONS) -> Float64[np.ndarray, "pair direction"]:
    """Features in which the prior expects log-odds of some size, whatever their own units and however many there are.

    The squares of a pair's features sum to `SPREAD` on average: the variance of its margin before the first label.
    Where there are many directions, those in which the pairs differ most are taken (principal components without a
    centre, since the sign of a pair is a matter of its order).

    Args:
        features: of all pairs that are looked at.
        most: directions that are kept.
    """
    if features.shape[1] > most:
        _, directions = np.linalg.eigh(features.T @ features)  # the largest stand last
        features = features @ directions[:, : -most - 1 : -1]
    size = float(np.sqrt((features**2).sum(axis=1).mean() / SPREAD)) if features.size else 0.0
    return features / size if size > 0 else features


def _precision(weights: np.ndarray, features: Features) -> np.ndarray:
    prob = sigmoid(features @ weights)
    return (features * (prob * (1 - prob))[:, None]).T @ features + RIDGE * np.eye(features.shape[1])


def _loss(weights: np.ndarray, features: Features, labels: PerPair) -> float:
    margins = features @ weights
    lost = labels * np.logaddexp(0, -margins) + (1 - labels) * np.logaddexp(0, margins)
    return float(lost.sum() + RIDGE * weights @ weights / 2)
