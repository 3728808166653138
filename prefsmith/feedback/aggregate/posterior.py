"""What votes say of the truth where annotators are known: Bayes' rule in logarithms.

Axes
  vote   one vote
  label  what may be true of a pair: first, second, tie
"""

import numpy as np
from jaxtyping import Float64

from prefsmith.feedback.aggregate.panel import Panel
from prefsmith.feedback.aggregate.reliability import Reliability, likeliest, parts, spread

Evidence = Float64[np.ndarray, "vote label"]
"""log P(the vote | the label is true)."""
Joint = Float64[np.ndarray, "pair label"]
"""log P(the label and all votes on the pair)."""
Confusion = Float64[np.ndarray, "annotator label label"]
"""P(the annotator says the first | the second is true)."""
RIGHT = "probability that what it says is true, given what the others say"


def joint(panel: Panel, evidence: Evidence, prior: Float64[np.ndarray, " label"]) -> Joint:
    """Votes on a pair are independent where the truth is given."""
    sums = [np.bincount(panel.pair, weights=column, minlength=panel.pairs) for column in evidence.T]
    return np.stack(sums, axis=1) + np.log(prior)


def normal(logs: Float64[np.ndarray, "row label"]) -> Float64[np.ndarray, "row label"]:
    """Probabilities of each row that sum to one."""
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def judged_by_others(panel: Panel, logs: Joint, evidence: Evidence) -> Reliability:
    """How reliable each annotator is, where all of its votes are taken out of what the pair is judged by.

    Args:
        panel: the votes.
        logs: of the pairs, from all votes.
        evidence: of each vote.
    """
    own = np.stack([np.bincount(panel.seat, weights=column) for column in evidence.T], axis=1)
    others = normal(logs[panel.pair] - own[panel.seat])
    right = others[np.arange(len(others)), panel.said]
    wrong = spread(right, logs.shape[1])
    return likeliest(panel.annotator, right, wrong, parts(panel), panel, RIGHT, 1 / logs.shape[1])
