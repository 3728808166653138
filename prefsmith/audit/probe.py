"""How well something as simple as a weighted sum of surface features tells which side was chosen.

    P(first is chosen) = sigmoid(w . (f(first) - f(second)))

Without intercept, so that turning a pair turns the answer. Every pair is judged by weights that were fitted without any
pair of its prompt.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from prefsmith.audit.effects import Estimate, share
from prefsmith.audit.extra import absent

FOLDS = 5
LEAST = 50
"""Pairs below which weights are mostly noise."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of it.

    Args:
        accuracy: share of pairs told right on prompts that were held out; one half where the probe cannot tell.
        weights: of each feature, in standard deviations of its difference, fitted to all pairs.
        pairs: that were used.
        prompts: that they are from.
    """

    accuracy: Estimate
    weights: tuple[float, ...]
    pairs: int
    prompts: int


def probe(
    differences: Float[np.ndarray, "pair feature"], prompts: Int[np.ndarray, " pair"], seed: int = 0
) -> Probe | None:
    """Fit and judge; None where there are too few pairs or prompts to hold any out.

    Args:
        differences: of the chosen side less the rejected one.
        prompts: number of each pair's prompt, from 0.
        seed: of the folds.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    members = len(np.unique(prompts))
    if len(differences) < LEAST or members < FOLDS:
        return None
    fold = np.random.default_rng(seed).permutation(np.arange(prompts.max() + 1) % FOLDS)[prompts]
    scale = np.sqrt((differences.astype(np.float64) ** 2).mean(axis=0))
    scaled = differences / np.where(scale > 0, scale, 1.0)
    points = np.full(len(scaled), 0.5)
    for number in range(FOLDS):
        held_out = fold == number
        if held_out.any() and not held_out.all():
            logit = scaled[held_out] @ _weights(scaled[~held_out])
            points[held_out] = np.where(logit > 0, 1.0, np.where(logit < 0, 0.0, 0.5))
    return Probe(share(points, prompts), tuple(_weights(scaled).tolist()), len(scaled), members)


def _weights(scaled: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression, each pair both ways round: its loss is that of either way twice."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise absent("scikit-learn") from None

    both = np.concatenate([scaled, -scaled])
    labels = np.repeat([1, 0], len(scaled))
    return LogisticRegression(fit_intercept=False, max_iter=200).fit(both, labels).coef_[0]
