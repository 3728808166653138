"""Scored pairs with known answers."""

import numpy as np

from prefsmith.evaluate.pairs import Answers, turned


def scored(
    policy, reference, *, prob=None, weight=None, prompt=None, tokens=None, characters=None, tags=None, files=None
):
    """Pairs of which the n-th compares the two entries of row n; the label prefers the first."""
    policy, reference = np.asarray(policy, float), np.asarray(reference, float)
    count = len(policy)
    tokens = np.full((count, 2), 5.0) if tokens is None else np.asarray(tokens, float)
    characters = 4 * tokens if characters is None else np.asarray(characters, float)
    prompt = np.arange(count) if prompt is None else np.asarray(prompt)
    answers = Answers(
        policy.ravel(), reference.ravel(), tokens.ravel(), characters.ravel(), tokens.ravel(), np.repeat(prompt, 2)
    )
    first = 2 * np.arange(count)
    return turned(
        answers,
        first,
        first + 1,
        np.ones(count) if prob is None else np.asarray(prob, float),
        np.ones(count) if weight is None else np.asarray(weight, float),
        tuple(() for _ in range(count)) if tags is None else tuple(tags),
        np.zeros(count, int) if files is None else np.asarray(files),
    )


def by_margin(margin, **changes):
    """Pairs with these margins; the reference gives every answer -20 nats."""
    margin = np.asarray(margin, float)
    return scored(
        np.stack([margin - 20, np.full(len(margin), -20.0)], axis=1), np.full((len(margin), 2), -20.0), **changes
    )
