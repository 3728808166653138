"""Points of reward against KL: which training they are of, and where they stand to the best that could be had."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from prefsmith.stats import Z95, Mean, Share

Setting = tuple[str, float | str]


@dataclass(frozen=True, slots=True)
class SequenceKL:
    """The KL of whole sequences, estimated twice on the same samples.

    Args:
        averaged: over the vocabulary at each token (Rao-Blackwellised).
        sampled: the plain mean of log-ratios.
        gap: of each sample's two values; its mean is zero but for noise.
    """

    averaged: Mean
    sampled: Mean
    gap: Mean


@dataclass(frozen=True, slots=True)
class Arm:
    """A method with its settings.

    Args:
        method: a loss, `best_of_n` or `rloo`.
        settings: that tell it from the method's others, in the order of the recipe.
    """

    method: str
    settings: tuple[Setting, ...] = ()

    def __str__(self) -> str:
        values = (f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in self.settings)
        return ", ".join((self.method, *values))

    def setting(self, name: str) -> float | str | None:
        """The value of a setting; None where it is not set."""
        return dict(self.settings).get(name)


@dataclass(frozen=True, slots=True)
class Point:
    """A policy after some steps of training, measured.

    Args:
        arm: what trained it.
        seed: of the whole experiment.
        step: optimiser steps that were done; 0 where nothing is trained.
        reward: mean true reward of its samples.
        kl: mean KL to the reference in nats, the sharper estimate.
        best: the best mean reward of any policy at that KL.
        beta: of the tilted reference there: how much reward the next nat buys.
        start: mean reward of the reference.
        sequence_kl: both estimates; None where the KL is computed and not estimated.
        tokens: mean length, the end token included.
        ended: share of samples that the policy itself ended.
        most_kl: a bound that the KL must keep, where one is known.
    """

    arm: Arm
    seed: int
    step: int
    reward: Mean
    kl: Mean
    best: float
    beta: float
    start: float
    sequence_kl: SequenceKL | None = None
    tokens: Mean | None = None
    ended: Share | None = None
    most_kl: float | None = None

    @property
    def below(self) -> float:
        """By how much the reward is below the best at that KL; negative above it."""
        return self.best - self.reward.value

    @property
    def error(self) -> float:
        """Standard error of `below`: that of the reward, and that of the KL by the slope of the frontier."""
        return math.hypot(self.reward.error, self.beta * self.kl.error)

    @property
    def efficiency(self) -> float | None:
        """Share of what the KL can buy that was bought; None where it buys nothing."""
        room = self.best - self.start
        return (self.reward.value - self.start) / room if room > 1e-9 else None


@dataclass(frozen=True, slots=True)
class Average:
    """The points of an arm at one step, averaged over seeds; errors are of what was sampled.

    Args:
        points: one for each seed.
    """

    points: tuple[Point, ...]

    @property
    def arm(self) -> Arm:
        """Of all of them."""
        return self.points[0].arm

    @property
    def step(self) -> int:
        """Of all of them."""
        return self.points[0].step

    @property
    def reward(self) -> Mean:
        """Mean true reward."""
        return over_seeds([point.reward for point in self.points])

    @property
    def kl(self) -> Mean:
        """Mean KL in nats."""
        return over_seeds([point.kl for point in self.points])

    @property
    def best(self) -> float:
        """The best mean reward of any policy at these KLs."""
        return fmean(point.best for point in self.points)

    @property
    def below(self) -> float:
        """By how much the reward is below the best."""
        return fmean(point.below for point in self.points)

    @property
    def error(self) -> float:
        """Standard error of `below`."""
        return error_over_seeds([point.error for point in self.points])

    @property
    def efficiency(self) -> float | None:
        """Share of what the KL can buy that was bought, the mean of the seeds' shares."""
        shares = [share for point in self.points if (share := point.efficiency) is not None]
        return fmean(shares) if shares else None

    @property
    def tokens(self) -> float | None:
        """Mean length."""
        lengths = [point.tokens.value for point in self.points if point.tokens is not None]
        return fmean(lengths) if lengths else None


def over_seeds(means: Sequence[Mean]) -> Mean:
    """Means of independent samples of one size as one, with the error of what was sampled."""
    value, error = fmean(each.value for each in means), error_over_seeds([each.error for each in means])
    return Mean(value, value - Z95 * error, value + Z95 * error, sum(each.n for each in means))


def error_over_seeds(errors: Sequence[float]) -> float:
    """Standard error of a mean of independent values with these errors."""
    return math.sqrt(math.fsum(error * error for error in errors)) / len(errors)


def averages(points: Sequence[Point]) -> list[Average]:
    """The points by arm and step, over seeds, in the order in which they come first."""
    members: dict[tuple[Arm, int], list[Point]] = {}
    for point in points:
        members.setdefault((point.arm, point.step), []).append(point)
    return [Average(tuple(each)) for each in members.values()]


def endpoints(points: Sequence[Average]) -> list[Average]:
    """The last step of each arm."""
    last: dict[Arm, Average] = {}
    for point in points:
        if point.arm not in last or point.step > last[point.arm].step:
            last[point.arm] = point
    return list(last.values())
