"""References that follow the policy: every so many steps, a share alpha of the policy and the rest of what they were.

    reference <- alpha policy + (1 - alpha) reference

What is averaged is what the policy computes with, in float32. For all weights that is a frozen copy of the policy moved
in place: it takes no more than a reference that stands still, and the policy's own weights are never touched. Under an
adapter the average of its two factors is not the average of their product. There, each adapted weight is kept with its
update added (base + scale B A, averaged), and stands in the place of the base weight, the adapter off, while the
reference looks: that takes one copy of the adapted weights.

Source: Learn Your Reference Model for Real Good Alignment (TR-DPO), arXiv 2404.09656; alpha = 1 is its hard update.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Size, Tensor

from prefsmith.errors import ConfigError
from prefsmith.model import adapters
from prefsmith.model.score import Frozen, Scorer


class MovingReference(Frozen):
    """An average of the policy over its steps; until its first move the policy's start, bit for bit.

    Args:
        policy: the model to be trained, before its first step.
        alpha: the policy's share in a move, in (0, 1].
        every: optimiser steps between moves.

    Raises:
        ConfigError: the policy's adapter has no weights that can be averaged.
    """

    def __init__(self, policy: Scorer, *, alpha: float, every: int) -> None:
        self.average = (_Merged if adapters.has_adapter(policy.model) else _Copied)(policy)
        self.alpha, self.every, self.moved = alpha, every, False
        super().__init__(self.average.scorer, self.average.in_place)

    @property
    def start(self) -> Frozen:
        """The policy as it was before its first step."""
        return Frozen(self.average.scorer, self.average.at_start)

    def describe(self) -> str:
        """In a line."""
        return f"a moving average of the policy, alpha {self.alpha:g} every {self.every} steps"

    def step(self, number: int) -> bool:
        """Move if it is time.

        Args:
            number: optimiser steps that were done, counted from 1.

        Returns:
            Whether it moved.
        """
        if number % self.every:
            return False
        with torch.no_grad():
            self.average.move(self.alpha)
        self.moved = True
        return True

    def tensors(self) -> dict[str, Tensor]:
        """The average, for a checkpoint; empty before the first move."""
        return dict(self.average.current) if self.moved else {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave, in a reference that has not moved.

        Raises:
            ConfigError: they are an average of other weights.
        """
        if not tensors:
            return
        if self.average.shapes() != {name: each.shape for name, each in tensors.items()}:
            what = "the checkpoint's reference is no average of the weights that this run trains"
            fix = "resume with the settings that the run began with, or start anew in another folder"
            raise ConfigError("run.changed", what, where="reference.kind", fix=fix)
        with torch.no_grad():
            self.average.put(tensors)
        self.moved = True


class _Copied:
    """A copy of the policy, moved in place. The start's weights are kept in the computer's own memory."""

    def __init__(self, policy: Scorer) -> None:
        self.scorer = policy.frozen_copy()
        self.policy = {name: each for name, each in policy.model.named_parameters() if each.requires_grad}
        copies = dict(self.scorer.model.named_parameters())
        self.current: dict[str, Tensor] = {name: copies[name] for name in self.policy}
        self.first: dict[str, Tensor] = {}

    def shapes(self) -> dict[str, Size]:
        return {name: each.shape for name, each in self.current.items()}

    def move(self, alpha: float) -> None:
        self._keep_first()
        for name, weight in self.current.items():
            weight.lerp_(self.policy[name], alpha)

    def put(self, tensors: Mapping[str, Tensor]) -> None:
        self._keep_first()
        for name, weight in self.current.items():
            weight.copy_(tensors[name])

    def in_place(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def at_start(self) -> Iterator[None]:
        kept = {name: self.current[name].data for name in self.first}
        try:
            for name, weight in self.first.items():
                self.current[name].data = weight.to(kept[name].device)
            yield
        finally:
            for name, weight in kept.items():
                self.current[name].data = weight

    def _keep_first(self) -> None:
        if not self.first:
            self.first = {name: each.detach().to("cpu", copy=True) for name, each in self.current.items()}


class _Merged:
    """The adapted weights with the averaged update added, by layer; layers that are not there have their base weight.

    A policy that starts with an adapter of zero, as a new one is, starts with none.
    """

    def __init__(self, policy: Scorer) -> None:
        adapters.require_merged_weights(policy.model)
        self.scorer = policy
        self.current: dict[str, Tensor] = {
            name: merged for name, base, merged in self._merged() if not torch.equal(base, merged)
        }
        self.first = dict(self.current)

    def shapes(self) -> dict[str, Size]:
        return {name: base.shape for name, base, _ in self._merged()}

    def move(self, alpha: float) -> None:
        for name, base, merged in self._merged():
            self.current[name] = torch.lerp(self.current.get(name, base), merged, alpha)

    def put(self, tensors: Mapping[str, Tensor]) -> None:
        self.current = {name: each.to(self.scorer.device) for name, each in tensors.items()}

    def in_place(self) -> AbstractContextManager[None]:
        return adapters.other_weights(self.scorer.model, self.current)

    def at_start(self) -> AbstractContextManager[None]:
        return adapters.other_weights(self.scorer.model, self.first)

    def _merged(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        return adapters.merged_weights(self.scorer.model)
