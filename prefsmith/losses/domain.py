"""Evaluation of a loss inside its domain, and its linear continuation outside."""

import dataclasses

import torch
from jaxtyping import Float64
from torch import Tensor

from prefsmith.losses.registry import Entry, Losses, Noise, State, Term
from prefsmith.types import Labels, SequenceScores


def evaluate(
    term: Term, scores: SequenceScores, labels: Labels, state: State | None = None, noise: Noise | None = None
) -> tuple[Losses, int]:
    """The loss of each label, differentiable in the policy's scores, and how many sequences lie outside the domain.

    With x the policy's log-probabilities and c the nearest point of the domain, the value outside is
    L(c) + L'(c) (x - c): the tangent, so that gradients stay what they are at the border and nothing overflows.
    """
    inside, outside = _nearest_inside(scores, term.entry)
    if outside == 0:
        return term(scores, labels, state, noise), 0

    def at(policy: Float64[Tensor, " seq"]) -> Losses:
        return term(dataclasses.replace(scores, policy=policy), labels, state, noise)

    beyond = scores.policy - inside
    rise: Tensor = torch.func.jvp(at, (inside.detach(),), (beyond.detach(),))[1]
    # The value is taken at c while the gradient goes to x unchanged.
    straight = scores.policy + (inside - scores.policy).detach()
    return at(straight) + rise.detach(), outside


def _nearest_inside(scores: SequenceScores, entry: Entry) -> tuple[Float64[Tensor, " seq"], int]:
    """The policy's log-probabilities brought into the domain, and how many had to move."""
    # In a mixture there is a reference also for a loss that reads none: its domain is not measured from there.
    reference = scores.reference if entry.needs_reference else None
    centre, domain = torch.zeros_like(scores.policy) if reference is None else reference, entry.domain
    size = scores.tokens.to(centre) if domain.per_token else torch.ones_like(centre)
    low, high = domain.low * size, domain.high * size
    away = scores.policy - centre
    far = (away < low) | (away > high)
    return torch.where(far, centre + away.clamp(low, high), scores.policy), int(far.sum())
