"""Which groups share an optimiser step: a pure function of (seed, epoch, index).

Nothing is remembered between steps, so a run that stops anywhere goes on with the same rows in the same order.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prefsmith.data.encoded import EncodedGroup
from prefsmith.errors import ConfigError
from prefsmith.records import Completion

AddMismatched = Callable[[EncodedGroup, Sequence[Completion]], EncodedGroup]


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The rows 0 to count - 1 in the order of an epoch.

    Sorted by a hash of (seed, epoch, index): the same on every machine and in every version of every library, and
    the place of two rows beside each other does not depend on how many others there are.
    """

    def key(index: int) -> bytes:
        return hashlib.blake2b(f"{seed}:{epoch}:{index}".encode(), digest_size=16).digest()

    return sorted(range(count), key=key)


@dataclass(frozen=True, slots=True)
class Step:
    """The groups of one optimiser step. `number` counts from 1 over the whole run."""

    number: int
    epoch: int
    groups: tuple[EncodedGroup, ...]


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
        plan = [(epoch, members) for epoch in range(epochs) for members in self._epoch(epoch, pairs_per_step)]
        self.plan = plan[:max_steps]
        if add_mismatched is not None:
            self._refuse_lonely_prompts(pairs_per_step)

    def __len__(self) -> int:
        return len(self.plan)

    def steps(self, done: int = 0) -> Iterator[Step]:
        """The steps after the first `done`."""
        for index in range(done, len(self.plan)):
            epoch, members = self.plan[index]
            groups = tuple(self.groups[member] for member in members)
            if self.add_mismatched is not None:
                groups = with_mismatched(groups, self.add_mismatched)
            yield Step(index + 1, epoch, groups)

    def _epoch(self, epoch: int, pairs_per_step: int) -> Iterator[tuple[int, ...]]:
        members: list[int] = []
        labels = 0
        for index in order(len(self.groups), self.seed, epoch):
            members.append(index)
            labels += len(self.groups[index].views[0])
            if labels >= pairs_per_step:
                yield tuple(members)
                members, labels = [], 0
        if members:
            yield tuple(members)

    def _refuse_lonely_prompts(self, pairs_per_step: int) -> None:
        for index, (epoch, members) in enumerate(self.plan):
            if len({self.groups[member].group.prompt_key() for member in members}) < 2:
                raise ConfigError(
                    "train.lonely_prompt",
                    f"step {index + 1} (epoch {epoch}) holds one prompt, and this loss compares answers across prompts",
                    where=f"train.pairs_per_step={pairs_per_step}",
                    fix="choose another train.pairs_per_step, so that every step, also the last, holds two prompts",
                )


def with_mismatched(groups: Sequence[EncodedGroup], add: AddMismatched) -> tuple[EncodedGroup, ...]:
    """Each group with the answers of the next one (cyclically) that has another prompt, encoded behind its own prompt.

    Where no two neighbours share a prompt, matched and mismatched answers are the same set over the step.

    Raises:
        ConfigError: all groups have one prompt.
    """
    keys = [group.group.prompt_key() for group in groups]
    mended = []
    for index, group in enumerate(groups):
        after = (*range(index + 1, len(groups)), *range(index))
        donor = next((other for other in after if keys[other] != keys[index]), None)
        if donor is None:
            raise ConfigError(
                "train.lonely_prompt",
                "all rows here have one prompt, and this loss compares answers across prompts",
                where=group.group.source,
                fix="give rows with at least two prompts",
            )
        mended.append(add(group, groups[donor].group.completions))
    return tuple(mended)
