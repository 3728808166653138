"""How much surer the reliability of annotators would be if the strengths of the answers were known.

Strengths and eta are estimated from the same votes. With the expected information of both,

    J = [[A, B], [B', D]],   A of strengths, D of eta (diagonal)

the variance of eta_k is (1 + b_k' S b_k / d_k) / d_k with S = (A - B D^-1 B')^-1: the factor in brackets is what is
lost since the strengths are not known.
"""

import numpy as np
from jaxtyping import Float64

from prefsmith.feedback.aggregate.panel import OfVotes, PerAnnotator, PerVote

_MOST_ITEMS, _MOST_CELLS = 3000, 30_000_000
_LEAST = 1e-9


def slack_of(
    better: OfVotes,
    worse: OfVotes,
    annotator: OfVotes,
    weight: PerVote,
    strengths: Float64[np.ndarray, " item"],
    eta: PerAnnotator,
    ridge: float,
) -> PerAnnotator:
    """The factor in brackets for each annotator; 1 where the matrices would not fit (above 3,000 answers).

    Args:
        better: of each win, the answer that is said to be better.
        worse: the other one.
        annotator: whose it is.
        weight: of each win.
        strengths: of the answers, in nats.
        eta: of the annotators.
        ridge: pull of each strength.
    """
    items, annotators = len(strengths), len(eta)
    if items > _MOST_ITEMS or items * annotators > _MOST_CELLS:
        return np.ones(annotators)
    chance = np.exp(-np.logaddexp(0, strengths[worse] - strengths[better]))
    own = eta[annotator]
    says = own * chance + (1 - own) * (1 - chance)
    by_eta, by_gap = 2 * chance - 1, (2 * own - 1) * chance * (1 - chance)
    scale = weight / np.maximum(says * (1 - says), _LEAST)
    between = np.bincount(better * items + worse, scale * by_gap**2, items**2).reshape(items, items)
    both = between + between.T
    strength = np.diag(both.sum(axis=1) + ridge) - both
    cross = np.bincount(better * annotators + annotator, scale * by_gap * by_eta, items * annotators)
    cross -= np.bincount(worse * annotators + annotator, scale * by_gap * by_eta, items * annotators)
    cross = cross.reshape(items, annotators)
    alone = np.bincount(annotator, scale * by_eta**2, annotators) + _LEAST
    spread = np.linalg.inv(strength - (cross / alone) @ cross.T + _LEAST * np.eye(items))
    return 1 + np.maximum(0.0, np.einsum("ia,ij,ja->a", cross, spread, cross, optimize=True)) / alone
