"""Crowds whose truth is known."""

from dataclasses import dataclass

import numpy as np

from prefsmith.feedback.aggregate.panel import Panel


@dataclass(frozen=True)
class Crowd:
    panel: Panel
    truth: np.ndarray
    """Of each pair which answer is better, or of each item its strength."""
    skill: np.ndarray


def voters(number):
    return tuple(f"w{each}" for each in range(number))


def of_votes(votes, pairs=None, items=None, names=None):
    """A panel of (pair, annotator, said)."""
    table = np.array(votes, dtype=np.int64).reshape(-1, 3)
    pairs = int(table[:, 0].max()) + 1 if pairs is None else pairs
    names = voters(int(table[:, 1].max()) + 1) if names is None else names
    items = np.arange(2 * pairs).reshape(pairs, 2) if items is None else np.array(items)
    return Panel(table[:, 0], table[:, 1], table[:, 2], pairs, names, items, np.zeros(len(names), dtype=np.int64))


def workers(seed, skill=(0.95, 0.85, 0.7, 0.55, 0.2), pairs=300, seen=0.8):
    """Each worker says the true label of a pair with a probability of its own, of the pairs it sees."""
    rng = np.random.default_rng(seed)
    skill = np.array(skill)
    truth = rng.integers(0, 2, pairs)
    right = rng.random((pairs, len(skill))) < skill
    said = np.where(right, truth[:, None], 1 - truth[:, None])
    pair, annotator = np.nonzero(rng.random((pairs, len(skill))) < seen)
    votes = np.stack([pair, annotator, said[pair, annotator]], axis=1)
    return Crowd(of_votes(votes, pairs, names=voters(len(skill))), truth, skill)


def judges(seed, skill=(0.98, 0.9, 0.75, 0.5, 0.1), items=20, votes=4000, scale=2.0):
    """Each judge follows Bradley and Terry's model with a probability of its own, and else says the reverse."""
    rng = np.random.default_rng(seed)
    skill, strengths = np.array(skill), rng.normal(0, scale, items)
    first = rng.integers(0, items, votes)
    second = (first + rng.integers(1, items, votes)) % items
    annotator = rng.integers(0, len(skill), votes)
    chance = 1 / (1 + np.exp(strengths[second] - strengths[first]))
    chance = np.where(rng.random(votes) < skill[annotator], chance, 1 - chance)
    said = np.where(rng.random(votes) < chance, 0, 1)
    links, pair = np.unique(np.stack([first, second], axis=1), axis=0, return_inverse=True)
    panel = of_votes(np.stack([pair.ravel(), annotator, said], axis=1), len(links), links, voters(len(skill)))
    return Crowd(panel, strengths, skill)


def profile(orders):
    """Whole rankings as votes: one annotator for each, one pair for every two items."""
    items = len(orders[0])
    links = [(i, j) for i in range(items) for j in range(i + 1, items)]
    votes = [
        (pair, annotator, 0 if order.index(i) < order.index(j) else 1)
        for annotator, order in enumerate(orders)
        for pair, (i, j) in enumerate(links)
    ]
    return of_votes(votes, len(links), links)
