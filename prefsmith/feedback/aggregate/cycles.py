"""Labels that go in a circle: a is better than b, b than c, and c than a. No strengths can say all three."""

from dataclasses import dataclass

import numpy as np

from prefsmith.feedback.aggregate.components import components
from prefsmith.feedback.aggregate.panel import Panel, PerPair

_MOST_ITEMS = 4000


@dataclass(frozen=True, slots=True)
class Triples:
    """Three answers that are all compared with each other, with a label for each pair that is no tie.

    Args:
        cyclic: those in a circle.
        transitive: the others.
        unseen: answers in groups too large to be looked through.
    """

    cyclic: int
    transitive: int
    unseen: int = 0


def triples(panel: Panel, prob: PerPair) -> Triples:
    """Count them among the labels.

    Args:
        panel: which answers the pairs are of.
        prob: that the first answer of each pair is better; one half is no label.
    """
    cyclic = transitive = unseen = 0
    for items, pairs in components(panel):
        if len(items) < 3:
            continue
        if len(items) > _MOST_ITEMS:
            unseen += len(items)
            continue
        first, second = np.searchsorted(items, panel.items[pairs]).T
        lead = np.zeros((len(items), len(items)))
        np.add.at(lead, (first, second), np.sign(np.nan_to_num(prob[pairs] - 0.5)))
        beats = ((lead - lead.T) > 0).astype(np.float64)
        circles = round(float(np.trace(beats @ beats @ beats))) // 3
        either = beats + beats.T
        cyclic += circles
        transitive += round(float(np.trace(either @ either @ either))) // 6 - circles
    return Triples(cyclic, transitive, unseen)
