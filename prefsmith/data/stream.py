"""Which groups share an optimiser step: a pure function of (seed, epoch, index).

Nothing is remembered between steps, so a run that stops anywhere goes on with the same rows in the same order.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.encoded_rows import labels_in, prompt_key_of
from prefsmith.data.lazy import Lazy
from prefsmith.data.prefetch import prefetched
from prefsmith.errors import ConfigError
from prefsmith.records import Completion

AddMismatched = Callable[[EncodedGroup, Sequence[Completion]], EncodedGroup]


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The rows 0 to count - 1 in the order of an epoch.

    Sorted by a hash of (seed, epoch, index): the same on every machine and in every version of every library, and
    the place of two rows beside each other does not depend on how many others there are.
    """

    keys = bytearray()
    for index in range(count):
        keys += hashlib.blake2b(f"{seed}:{epoch}:{index}".encode(), digest_size=16).digest()
    halves = np.frombuffer(keys, dtype=">u8").reshape(-1, 2)
    return np.lexsort((halves[:, 1], halves[:, 0]))


@dataclass(frozen=True, slots=True)
class Step:
    """The groups of one optimiser step. `number` counts from 1 over the whole run."""

    number: int
    epoch: int
    groups: tuple[EncodedGroup, ...]


class Plan(Sequence[tuple[int, tuple[int, ...]]]):
    """The epoch of each step, and the places of its groups."""

    def __init__(self) -> None:
        self._epochs: list[tuple[np.ndarray, np.ndarray]] = []  # order, and where in it steps begin and end
        self._firsts: list[int] = []
        self._steps = 0

    def add(self, order: np.ndarray, bounds: np.ndarray) -> None:
        """Add an epoch.

        Args:
            order: the places of its groups.
            bounds: where in it each step begins, and the last one ends.
        """
        self._epochs.append((order, bounds))
        self._firsts.append(self._steps)
        self._steps += len(bounds) - 1

    def cut(self, most: int | None) -> None:
        """End after so many steps."""
        self._steps = self._steps if most is None else min(most, self._steps)

    def __len__(self) -> int:
        return self._steps

    @overload
    def __getitem__(self, index: int) -> tuple[int, tuple[int, ...]]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, tuple[int, ...]]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, tuple[int, ...]] | list[tuple[int, tuple[int, ...]]]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        step = range(len(self))[index]
        epoch = bisect_right(self._firsts, step) - 1
        first, (order, bounds) = self._firsts[epoch], self._epochs[epoch]
        return epoch, tuple(order[bounds[step - first] : bounds[step - first + 1]].tolist())


class Stream:
    """The steps of a run.

    A step takes whole groups in the order of its epoch until they hold `pairs_per_step` labels of the first loss term;
    an epoch's last step may be shorter and is kept.

    Args:
        groups: the training rows.
        pairs_per_step: labels per step.
        epochs: passes over the rows.
        seed: of the order.
        max_steps: end after so many.
        add_mismatched: for losses that look at mismatched answers; adds to every group the answers of the next
            group of the same step (cyclically) that has another prompt.

    Raises:
        ConfigError: mismatched answers are needed and a step holds one prompt only.
    """

    def __init__(
        self,
        groups: Sequence[EncodedGroup],
        *,
        pairs_per_step: int,
        epochs: int,
        seed: int,
        max_steps: int | None = None,
        add_mismatched: AddMismatched | None = None,
    ) -> None:
        self.groups, self.seed = groups, seed
        self.add_mismatched = add_mismatched
        self.plan = Plan()
        labels = labels_in(groups)
        for epoch in range(epochs):
            if max_steps is None or len(self.plan) < max_steps:
                self._plan_epoch(epoch, labels, pairs_per_step)
        self.plan.cut(max_steps)
        if add_mismatched is not None:
            self._refuse_lonely_prompts(pairs_per_step)

    def __len__(self) -> int:
        return len(self.plan)

    def steps(self, done: int = 0) -> Iterator[Step]:
        """The steps after the first `done`. While one is used, the next one is made in a thread."""
        return prefetched(self._made(done))

    def _made(self, done: int) -> Iterator[Step]:
        for index in range(done, len(self.plan)):
            epoch, members = self.plan[index]
            groups = tuple(self.groups[member] for member in members)
            if self.add_mismatched is not None:
                groups = tuple(WithMismatched(groups, self.add_mismatched))
            yield Step(index + 1, epoch, groups)

    def _plan_epoch(self, epoch: int, labels: np.ndarray, pairs_per_step: int) -> None:
        """Whole groups until they hold enough labels; what is left at the end is a step too."""
        members = order(len(labels), self.seed, epoch)
        reached = np.cumsum(labels[members])
        bounds = [0]
        while bounds[-1] < len(members):
            before = reached[bounds[-1] - 1] if bounds[-1] else 0
            last = np.searchsorted(reached, before + pairs_per_step)
            bounds.append(min(int(last) + 1, len(members)))
        self.plan.add(members.astype(np.int32), np.array(bounds, dtype=np.int64))

    def _refuse_lonely_prompts(self, pairs_per_step: int) -> None:
        for index, (epoch, members) in enumerate(self.plan):
            if len({prompt_key_of(self.groups, member) for member in members}) < 2:
                raise ConfigError(
                    "train.lonely_prompt",
                    f"step {index + 1} (epoch {epoch}) holds one prompt, and this loss compares answers across prompts",
                    where=f"train.pairs_per_step={pairs_per_step}",
                    fix="choose another train.pairs_per_step, so that every step, also the last, holds two prompts",
                )


class WithMismatched(Lazy[EncodedGroup]):
    """Each group with the answers of the next one (cyclically) that has another prompt, encoded behind its own prompt.

    Where no two neighbours share a prompt, matched and mismatched answers are the same set over the groups. A group is
    made anew each time it is asked for.

    Raises:
        ConfigError: all groups have one prompt.
    """

    def __init__(self, groups: Sequence[EncodedGroup], add: AddMismatched) -> None:
        self.groups, self.add = groups, add
        keys = [prompt_key_of(groups, index) for index in range(len(groups))]
        self.donors = [0] * len(keys)
        for index in reversed(range(2 * len(keys))):  # twice round, so that the last ones find the first
            here, after = index % len(keys), (index + 1) % len(keys)
            self.donors[here] = after if keys[after] != keys[here] else self.donors[after]
        if len(set(keys)) < 2:
            raise ConfigError(
                "train.lonely_prompt",
                "all rows here have one prompt, and this loss compares answers across prompts",
                where=groups[0].group.source,
                fix="give rows with at least two prompts",
            )

    def __len__(self) -> int:
        return len(self.groups)

    def at(self, place: int) -> EncodedGroup:
        """The entry at a place, made anew."""
        return self.add(self.groups[place], self.groups[self.donors[place]].group.completions)
