"""How the losses of a step become one number: data weights once, one denominator per term, and its derivative."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prefsmith.data.encoded import EncodedGroup
from prefsmith.losses.domain import evaluate
from prefsmith.losses.registry import Noise
from prefsmith.model.logprobs import sum_per_sequence
from prefsmith.train.objective import Objective, States
from prefsmith.types import Labels, SequenceScores, TokenNats, TokenScores, TokenSlopes


@dataclass(frozen=True, slots=True)
class Draw:
    """Where the noise of a step comes from: the same for a step whenever and in whatever pieces it is done."""

    seed: int
    step: int

    def noise(self, term: int, labels: int) -> Noise:
        """One uniform number in (0, 1) for every label of a term, in stream order."""
        digest = hashlib.blake2b(f"noise:{self.seed}:{self.step}:{term}".encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
        return torch.rand(labels, dtype=torch.float64, generator=generator).clamp(min=torch.finfo(torch.float64).tiny)


@dataclass(frozen=True, slots=True)
class Graded:
    """The objective on some scores and its derivative by every token's."""

    loss: float
    slopes: TokenSlopes
    outside: int


@dataclass(frozen=True, slots=True)
class Reduction:
    """How the losses of labels become one number, and what the terms are given beside scores and labels."""

    objective: Objective
    denominators: Sequence[float]
    states: States
    draw: Draw | None

    def grade(self, tokens: TokenScores, scores: SequenceScores, labels: tuple[Labels, ...]) -> Graded:
        """The objective and its derivative; a term without any data weight in the step counts nothing."""
        leaf = tokens.policy.clone().requires_grad_(True)
        kl_leaf = None if tokens.kl is None else tokens.kl.clone().requires_grad_(True)
        live = replace(
            scores,
            policy=sum_per_sequence(leaf, scores.tokens),
            per_token=None if scores.per_token is None else replace(scores.per_token, policy=leaf),
            kl=None if kl_leaf is None else sum_per_sequence(kl_leaf, scores.tokens),
        )
        total = leaf.new_zeros(())
        outside = 0
        for index, (term, view) in enumerate(zip(self.objective.terms, labels, strict=True)):
            if self.denominators[index] > 0 and len(view):
                noise = self.draw.noise(index, len(view)) if self.draw and term.entry.random else None
                values, beyond = evaluate(term, live, view, self.states[index], noise)
                total = total + term.weight * (view.weight * values).sum() / self.denominators[index]
                outside += beyond
        return Graded(total.item(), _slopes(total, leaf, kl_leaf), outside)


def _slopes(total: Tensor, leaf: TokenNats, kl_leaf: TokenNats | None) -> TokenSlopes:
    """The derivative of the objective, zero where it depends on nothing."""
    leaves = [leaf] if kl_leaf is None else [leaf, kl_leaf]
    found: Sequence[Tensor | None] = (
        torch.autograd.grad(total, leaves, allow_unused=True) if total.requires_grad else [None] * len(leaves)
    )
    policy = torch.zeros_like(leaf) if found[0] is None else found[0]
    return TokenSlopes(policy, found[1] if kl_leaf is not None else None)


def reduction_of(
    objective: Objective, groups: Sequence[EncodedGroup], states: States | None, draw: Draw | None
) -> Reduction:
    """The reduction of a step: every term is divided by the sum of its data weights over all groups of it."""
    denominators = [
        math.fsum(label.weight for group in groups for label in group.views[term].labels())
        for term in range(len(objective.terms))
    ]
    return Reduction(objective, denominators, objective.first_states() if states is None else states, draw)
