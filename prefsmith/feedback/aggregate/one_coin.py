"""One number for each annotator: how often it is right. The simplest model in which some count more than others."""

import numpy as np

from prefsmith.feedback.aggregate.aggregate import Aggregate, of_posterior
from prefsmith.feedback.aggregate.panel import Panel, PerAnnotator
from prefsmith.feedback.aggregate.posterior import Evidence, joint, judged_by_others, normal

ROUNDS = 2000
_STILL = 1e-7
_LEAST = 1e-9


def one_coin(panel: Panel, *, pseudo: float = 2.0) -> Aggregate:
    """Every pair has a true label; annotator k says it with probability a_k, and each other label equally often.

        P(said | true) = a_k where they are the same, else (1 - a_k) / (K - 1)

    K is 2, or 3 where somebody says tie: then a tie is a label of its own, and p = P(first) + P(tie) / 2. The chance of
    first and second is the same before any vote, so that nothing depends on which answer the file calls first. a_k is
    drawn to the mean of all by `pseudo` votes: who voted twice is not certain to be right. Found by expectation and
    maximisation in turn, from the shares of votes.

    Args:
        panel: the votes; on some pair, of two annotators.
        pseudo: votes that draw each annotator to the mean of all, at least 0.

    Source:
        Dawid and Skene 1979, Applied Statistics 28(1), with one parameter for each annotator.
    """
    size = panel.labels
    counts = panel.counts()[:, :size]
    totals = counts.sum(axis=1, keepdims=True)
    truth = np.divide(counts, totals, out=np.full(counts.shape, 1 / size), where=totals > 0)
    votes = panel.votes
    rounds, moved = 0, 1.0
    accuracy, prior = np.zeros(len(panel.names)), np.full(size, 1 / size)
    while moved >= _STILL and rounds < ROUNDS:
        rounds += 1
        right = np.bincount(panel.annotator, weights=truth[panel.pair, panel.said], minlength=len(panel.names))
        accuracy = np.clip((right + pseudo * right.sum() / votes.sum()) / (votes + pseudo), _LEAST, 1 - _LEAST)
        prior = _prior(truth[panel.voted])
        evidence = _evidence(panel, accuracy, size)
        logs = joint(panel, evidence, prior)
        new = normal(logs)
        moved, truth = float(np.abs(new - truth).max()), new
    evidence = _evidence(panel, accuracy, size)
    logs = joint(panel, evidence, prior)
    return Aggregate(
        prob=of_posterior(panel, truth),
        reliability=judged_by_others(panel, logs, evidence),
        posterior=truth,
        rounds=rounds,
        converged=moved < _STILL,
        facts={"ties": float(prior[2]) if size > 2 else 0.0},
    )


def _prior(truth: np.ndarray) -> np.ndarray:
    """The mean over the pairs, the same for both sides."""
    mean = truth.mean(axis=0)
    mean[:2] = mean[:2].mean()
    return np.maximum(mean, _LEAST)


def _evidence(panel: Panel, accuracy: PerAnnotator, labels: int) -> Evidence:
    own = accuracy[panel.annotator]
    same = panel.said[:, None] == np.arange(labels)
    return np.log(np.where(same, own[:, None], ((1 - own) / (labels - 1))[:, None]))
