"""Labels that only count votes: the share, the share drawn to one half, and what most people say."""

import numpy as np

from prefsmith.feedback.aggregate.aggregate import Aggregate
from prefsmith.feedback.aggregate.panel import FIRST, SECOND, TIE, Panel
from prefsmith.feedback.aggregate.reliability import agreement


def share(panel: Panel) -> Aggregate:
    """The share of votes for the first answer; a tie counts one half for each.

    p = (first + tie / 2) / (first + second + tie)
    """
    return smoothed_share(panel, pseudo=0.0)


def smoothed_share(panel: Panel, *, pseudo: float = 1.0) -> Aggregate:
    """The share with `pseudo` more votes for either side, so that three of three votes are not certain.

        p = (first + tie / 2 + c) / (first + second + tie + 2 c)

    With c = 1 it is the mean of what is believed of the chance of a vote after a flat prior (Laplace's rule).

    Args:
        panel: the votes.
        pseudo: c, at least 0; at 0 it is the share.
    """
    counts = panel.counts()
    total = counts.sum(axis=1) + 2 * pseudo
    wins = counts[:, FIRST] + counts[:, TIE] / 2 + pseudo
    prob = np.divide(wins, total, out=np.full(panel.pairs, np.nan), where=panel.voted)
    return Aggregate(prob, agreement(panel))


def majority(panel: Panel) -> Aggregate:
    """What most votes say: 1 or 0, and one half where most say tie or two labels have as many votes."""
    counts = panel.counts()
    most = counts.max(axis=1, keepdims=True)
    alone = (counts == most).sum(axis=1) == 1
    label = counts.argmax(axis=1)
    prob = np.where(alone & (label == FIRST), 1.0, np.where(alone & (label == SECOND), 0.0, 0.5))
    return Aggregate(np.where(panel.voted, prob, np.nan), agreement(panel))
