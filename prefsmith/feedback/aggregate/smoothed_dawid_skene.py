"""Dawid and Skene's model where annotators with few votes are drawn to the mean of all: our own numerics."""

import numpy as np

from prefsmith.feedback.aggregate.aggregate import Aggregate, of_posterior
from prefsmith.feedback.aggregate.panel import FIRST, SECOND, TIE, Panel
from prefsmith.feedback.aggregate.posterior import Confusion, Evidence, joint, judged_by_others, normal

ROUNDS = 1000
_STILL = 1e-5
_LEAST = 1e-10
_TURNED = np.array([SECOND, FIRST, TIE])
"""The labels where the sides are swapped."""


def smoothed_dawid_skene(panel: Panel, *, pseudo: float = 5.0) -> Aggregate:
    """Dawid and Skene's model with `pseudo` votes of the mean annotator added to each column of each matrix.

        confusion_k(said | true) = (n_k(said, true) + c mean(said | true)) / (sum over said of n_k + c)

    The mean is over all annotators, so it is estimated from the votes too. A tie is a label of its own, and
    p = P(first) + P(tie) / 2. Confusion matrices and prior are the same for both sides, so that the label of a pair
    does not depend on which answer the file calls first. Found by expectation and maximisation in turn, from the shares
    of votes. Annotators of a crowd mostly vote a few times: without smoothing each of them counts as infallible or
    reversed.

    Args:
        panel: the votes; on some pair, of two annotators.
        pseudo: c, at least 0; at 0 it is the model as it was published.

    Source:
        Dawid and Skene 1979, Applied Statistics 28(1); the smoothing is empirical Bayes with a Dirichlet prior.
    """
    size = panel.labels
    counts = panel.counts()[:, :size]
    totals = counts.sum(axis=1, keepdims=True)
    truth = np.divide(counts, totals, out=np.full(counts.shape, 1 / size), where=totals > 0)
    rounds, moved = 0, 1.0
    while moved >= _STILL and rounds < ROUNDS:
        rounds += 1
        prior = _prior(truth[panel.voted])
        evidence = _evidence(panel, _confusion(panel, truth, pseudo))
        logs = joint(panel, evidence, prior)
        new = normal(logs)
        moved, truth = float(np.abs(new - truth).max()), new
    prior = _prior(truth[panel.voted])
    evidence = _evidence(panel, _confusion(panel, truth, pseudo))
    return Aggregate(
        prob=of_posterior(panel, truth),
        reliability=judged_by_others(panel, joint(panel, evidence, prior), evidence),
        posterior=truth,
        rounds=rounds,
        converged=moved < _STILL,
        facts={"prior": prior.tolist()},
    )


def _prior(truth: np.ndarray) -> np.ndarray:
    """The mean over the pairs, the same for both sides."""
    mean = truth.mean(axis=0)
    return np.maximum((mean + mean[_TURNED[: len(mean)]]) / 2, _LEAST)


def _confusion(panel: Panel, truth: np.ndarray, pseudo: float) -> Confusion:
    size, annotators = truth.shape[1], len(panel.names)
    place = panel.annotator * size + panel.said
    columns = [np.bincount(place, column[panel.pair], annotators * size) for column in truth.T]
    counted = np.stack(columns, axis=1).reshape(annotators, size, size)
    turned = _TURNED[:size]
    counted = (counted + counted[:, turned][:, :, turned]) / 2
    whole = counted.sum(axis=0)
    whole = whole / np.maximum(whole.sum(axis=0, keepdims=True), _LEAST)
    counted = np.maximum(counted + pseudo * whole, _LEAST)
    return counted / counted.sum(axis=1, keepdims=True)


def _evidence(panel: Panel, confusion: Confusion) -> Evidence:
    return np.log(confusion[panel.annotator, panel.said])
