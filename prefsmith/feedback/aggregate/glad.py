"""GLAD: annotators differ in ability, and pairs in how hard they are.

Our own numerics: crowd-kit's takes twenty seconds for one step on nine thousand pairs, and a hundred steps. On small
files a test holds both beside each other.
"""

import numpy as np

from prefsmith.feedback.aggregate.aggregate import Aggregate, of_posterior
from prefsmith.feedback.aggregate.panel import Panel, PerAnnotator, PerPair
from prefsmith.feedback.aggregate.posterior import Evidence, Joint, joint, judged_by_others, normal

ROUNDS = 1000
_STILL = 1e-5
_INNER = 3
_MEAN = 1.0
"""Of the normal priors of ability and of log ease; their deviation is 1."""


def glad(panel: Panel) -> Aggregate:
    """The chance of a right vote is the logistic function of ability times ease.

        P(said | true) = a where they are the same, else (1 - a) / (K - 1),   a = s(ability_k ease_i),   ease_i > 0

    K is 2, or 3 where somebody says tie: then a tie is a label of its own, and p = P(first) + P(tie) / 2. All labels
    are as likely before any vote. Normal priors of mean 1 hold ability and log ease, so that few votes prove little.
    Found by expectation and maximisation in turn, from abilities of 1: an annotator below 0 is reversed.

    Args:
        panel: the votes; on some pair, of two annotators.

    Source:
        Whitehill et al. 2009, NeurIPS 22.
    """
    ability, log_ease = np.full(len(panel.names), _MEAN), np.full(panel.pairs, _MEAN)
    logs, evidence = _expect(panel, ability, log_ease)
    truth, rounds, moved = normal(logs), 0, 1.0
    while moved >= _STILL and rounds < ROUNDS:
        rounds += 1
        right = truth[panel.pair, panel.said]
        for _ in range(_INNER):
            ability = _abler(panel, right, ability, log_ease)
            log_ease = _easier(panel, right, ability, log_ease)
        logs, evidence = _expect(panel, ability, log_ease)
        new = normal(logs)
        moved, truth = float(np.abs(new - truth).max()), new
    return Aggregate(
        prob=of_posterior(panel, truth),
        reliability=judged_by_others(panel, logs, evidence),
        posterior=truth,
        rounds=rounds,
        converged=moved < _STILL,
    )


def _expect(panel: Panel, ability: PerAnnotator, log_ease: PerPair) -> tuple[Joint, Evidence]:
    labels = panel.labels
    logit = ability[panel.annotator] * np.exp(log_ease[panel.pair])
    right, wrong = -np.logaddexp(0, -logit), -np.logaddexp(0, logit) - np.log(labels - 1)
    same = panel.said[:, None] == np.arange(labels)
    evidence = np.where(same, right[:, None], wrong[:, None])
    return joint(panel, evidence, np.full(labels, 1 / labels)), evidence


def _abler(panel: Panel, right: np.ndarray, ability: PerAnnotator, log_ease: PerPair) -> PerAnnotator:
    """A step of Newton's for each ability; what is maximised is concave in it."""
    ease = np.exp(log_ease[panel.pair])
    chance = _logistic(ability[panel.annotator] * ease)
    size = len(ability)
    slope = np.bincount(panel.annotator, (right - chance) * ease, size) - (ability - _MEAN)
    bend = np.bincount(panel.annotator, chance * (1 - chance) * ease**2, size) + 1
    return ability + np.clip(slope / bend, -1, 1)


def _easier(panel: Panel, right: np.ndarray, ability: PerAnnotator, log_ease: PerPair) -> PerPair:
    """A scoring step for each log ease: the curvature is the expected one, which is never negative."""
    logit = ability[panel.annotator] * np.exp(log_ease[panel.pair])
    chance = _logistic(logit)
    size = len(log_ease)
    slope = np.bincount(panel.pair, (right - chance) * logit, size) - (log_ease - _MEAN)
    bend = np.bincount(panel.pair, chance * (1 - chance) * logit**2, size) + 1
    return log_ease + np.clip(slope / bend, -1, 1)


def _logistic(values: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -values))
