"""How fast a rule of choice learns: accuracy over labels, with a simulated annotator, over seeds.

What a seed is, is for whoever asks: a planted world of its own, or another draw of topics that are held out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from prefsmith.evaluate.paired import SignTest, sign_test_of
from prefsmith.feedback.choice.acquire import Known, Method, choose
from prefsmith.feedback.choice.estimate import Features, PerLabel, fit, scaled
from prefsmith.stats import Mean, mean

Annotator = Callable[[int, np.random.Generator], float]
"""A pair's place to what is said of it: 1 where the first answer is better, 0 where the second is, 0.5 for a tie."""


@dataclass(frozen=True, slots=True)
class World:
    """Pairs to choose from, who labels them, and pairs on which is measured what was learned.

    Args:
        pool: features of the pairs that may be asked for.
        annotator: says which answer of one is better.
        held_out: features of other pairs.
        truth: of these, whether the first answer is better.
    """

    pool: Features
    annotator: Annotator
    held_out: Float64[np.ndarray, "other feature"]
    truth: np.ndarray


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy on held-out pairs.

    Args:
        method: the rule of choice.
        labels: how many there were at each point.
        accuracy: `(seed, point)`; a pair that the model cannot tell apart counts one half.
    """

    method: Method
    labels: tuple[int, ...]
    accuracy: np.ndarray

    def at(self, point: int) -> Mean:
        """Mean over seeds at a point, with its interval."""
        return mean([float(each) for each in self.accuracy[:, point]])

    def whole(self) -> Mean:
        """Mean over seeds of the mean over all points: the height of the curve."""
        return mean([float(each) for each in self.accuracy.mean(axis=1)])


@dataclass(frozen=True, slots=True)
class Against:
    """A curve beside that of another rule, seed by seed.

    Args:
        last: the difference at the last point.
        whole: the difference of the heights.
        wins: seeds in which the last point is higher, and lower.
    """

    last: Mean
    whole: Mean
    wins: SignTest


def learn(world: World, method: Method, *, budget: int, batch: int, seed: int) -> list[float]:
    """Accuracy before the first label and behind each batch of them.

    Args:
        world: pool, annotator and held-out pairs.
        method: the rule of choice.
        budget: labels in all; no more than the pool has pairs.
        batch: labels that are asked for together.
        seed: of the rule's and the annotator's draws. Whom the annotator would answer what depends on the pair alone.
    """
    everything = scaled(np.concatenate([world.pool, world.held_out]))
    pool, held_out = everything[: len(world.pool)], everything[len(world.pool) :]
    rng = np.random.default_rng([seed, 0])
    labelled, labels = np.array([], dtype=np.int64), np.array([])
    found = [_accuracy(pool, labelled, labels, held_out, world.truth)]
    while len(labelled) < budget:
        left = np.setdiff1d(np.arange(len(pool)), labelled)
        choice = choose(Known(pool, labelled, labels, left), method, min(batch, budget - len(labelled)), rng)
        said = [world.annotator(int(pair), np.random.default_rng([seed, 1, int(pair)])) for pair in choice.pairs]
        labelled, labels = np.append(labelled, choice.pairs), np.append(labels, said)
        found.append(_accuracy(pool, labelled, labels, held_out, world.truth))
    return found


def curves(
    world: Callable[[int], World], methods: Sequence[Method], *, budget: int, batch: int, seeds: int
) -> Mapping[Method, Curve]:
    """The curve of each rule; all have the same worlds and the same annotator.

    Args:
        world: of a seed.
        methods: the rules.
        budget: labels in all.
        batch: labels that are asked for together.
        seeds: how many; at least two, so that they show how far the curves scatter.
    """
    worlds = [world(seed) for seed in range(seeds)]
    points = (*range(0, budget, batch), budget)
    return {
        method: Curve(
            method,
            points,
            np.array([learn(each, method, budget=budget, batch=batch, seed=seed) for seed, each in enumerate(worlds)]),
        )
        for method in methods
    }


def against(curve: Curve, other: Curve) -> Against:
    """One rule beside another, on the same seeds."""
    last = [float(each) for each in curve.accuracy[:, -1] - other.accuracy[:, -1]]
    whole = [float(each) for each in (curve.accuracy - other.accuracy).mean(axis=1)]
    return Against(mean(last), mean(whole), sign_test_of(last))


def _accuracy(pool: Features, labelled: np.ndarray, labels: PerLabel, held_out: np.ndarray, truth: np.ndarray) -> float:
    margins = fit(pool[labelled], labels).margins(held_out)
    right = np.where(margins == 0, 0.5, (margins > 0) == truth)
    return float(right.mean())
