"""Answers that are compared with each other, through however many others."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

from prefsmith.feedback.aggregate.panel import Panel

Items = Int[np.ndarray, " item"]
Links = Int[np.ndarray, "pair 2"]


def components(panel: Panel) -> Iterator[tuple[Items, np.ndarray]]:
    """The answers of each group that no vote connects with another one, and the pairs between them.

    Strengths say something within one, and nothing across two.

    Yields:
        Numbers of the answers, rising; numbers of the pairs with votes.
    """
    pairs = np.flatnonzero(panel.voted)
    roots = _roots(panel.items[pairs], int(panel.items.max(initial=-1)) + 1)
    of_pair = roots[panel.items[pairs, 0]]
    order = np.argsort(of_pair, kind="stable")
    starts = np.flatnonzero(np.diff(of_pair[order], prepend=-1))
    for places in np.split(order, starts[1:]):
        if len(places):
            yield np.unique(panel.items[pairs[places]]), pairs[places]


def largest(compared: Bool[np.ndarray, "all all"]) -> Items:
    """The most answers that are all connected, of a table of who was compared with whom; the first of as large ones."""
    roots = _roots(np.argwhere(compared), len(compared))
    return np.flatnonzero(roots == np.bincount(roots).argmax())


def _roots(links: Links, size: int) -> Items:
    """The smallest number that each item is connected with."""
    root = np.arange(size)
    while True:
        low = np.minimum(root[links[:, 0]], root[links[:, 1]])
        new = root.copy()
        np.minimum.at(new, links[:, 0], low)
        np.minimum.at(new, links[:, 1], low)
        new = np.minimum(new, new[new])
        if np.array_equal(new, root):
            return root
        root = new
