"""Curves of labels: who is asked, how often, and what is compared with what."""

from collections import Counter

import numpy as np
import pytest

from prefsmith.evaluate.learning import Curve, World, against, curves, learn
from prefsmith.feedback.choice.acquire import METHODS
from prefsmith.feedback.choice.estimate import sigmoid


def planted(seed):
    """600 pairs of which 85 in 100 differ in two directions of ten alone; what is held out differs in all."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(10)
    pool, held_out = rng.standard_normal((600, 10)), rng.standard_normal((2000, 10))
    pool[rng.random(600) < 0.85, 2:] = 0
    odds = pool @ weights
    return World(
        pool,
        lambda pair, draw: float(draw.random() < sigmoid(odds[pair : pair + 1])[0]),
        held_out,
        held_out @ weights > 0,
    )


def test_d_optimal_beats_random_where_most_pairs_say_the_same():
    found = curves(planted, ("d-optimal", "random"), budget=60, batch=5, seeds=20)
    optimal, control = found["d-optimal"], found["random"]
    assert optimal.labels == (*range(0, 60, 5), 60)
    assert optimal.at(-1).value >= 0.86 and control.at(-1).value <= 0.78
    beside = against(optimal, control)
    assert beside.wins.better >= 16 and beside.last.low > 0.05 and beside.whole.low > 0.05
    assert optimal.at(0).value == 0.5  # nothing is known before the first label


def small(seed, asked=None):
    """Thirty pairs of two features that decide for certain."""
    rng = np.random.default_rng(seed)
    pool, held_out = rng.standard_normal((30, 2)), rng.standard_normal((50, 2))

    def annotator(pair, draw):
        if asked is not None:
            asked[pair] += 1
        return float(pool[pair, 0] > 0)

    return World(pool, annotator, held_out, held_out[:, 0] > 0)


@pytest.mark.parametrize("method", METHODS)
def test_the_annotator_is_asked_for_a_pair_once_and_no_more_often_than_the_budget_says(method):
    asked = Counter()
    found = learn(small(0, asked), method, budget=12, batch=5, seed=0)
    assert len(asked) == 12 and set(asked.values()) == {1}
    assert len(found) == 4 and found[0] == 0.5  # before the first label, and behind 5, 10 and 12
    assert found == learn(small(0), method, budget=12, batch=5, seed=0)


def test_the_whole_pool_may_be_labelled_and_teaches_every_rule_the_same():
    ends = {method: learn(small(1), method, budget=30, batch=7, seed=0)[-1] for method in METHODS}
    assert max(ends.values()) - min(ends.values()) < 1e-9 and min(ends.values()) > 0.9


def test_rules_are_compared_seed_by_seed():
    first = Curve("d-optimal", (0, 5), np.array([[0.5, 0.9], [0.5, 0.8], [0.5, 0.7]]))
    other = Curve("random", (0, 5), np.array([[0.5, 0.8], [0.5, 0.9], [0.5, 0.5]]))
    beside = against(first, other)
    assert beside.last.value == pytest.approx(0.2 / 3) and beside.whole.value == pytest.approx(0.1 / 3)
    assert (beside.wins.better, beside.wins.worse) == (2, 1)
    assert first.at(-1).value == pytest.approx(0.8) and first.whole().value == pytest.approx(0.65)


def test_all_rules_have_the_same_worlds():
    seen = Counter()

    def world(seed):
        seen[seed] += 1
        return small(seed)

    found = curves(world, ("d-optimal", "random"), budget=5, batch=5, seeds=3)
    assert seen == {0: 1, 1: 1, 2: 1} and found["random"].accuracy.shape == (3, 2)
