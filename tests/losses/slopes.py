"""Value and gradient of a registered loss at a chosen point."""

import torch

from prefsmith.losses import resolve
from prefsmith.losses.domain import evaluate
from prefsmith.types import SequenceScores


def sequence_scores(policy, *, reference=None, tokens=None):
    """Scores without anything per token; one token per completion unless told otherwise."""
    policy = torch.as_tensor(policy, dtype=torch.float64)
    reference = None if reference is None else torch.as_tensor(reference, dtype=torch.float64)
    lengths = torch.ones(len(policy), dtype=torch.int64) if tokens is None else torch.tensor(tokens)
    return SequenceScores(policy, reference, lengths)


def at(name, policy, labels, *, reference=None, tokens=None, state=None, **settings):
    """The loss of each label, and the gradient of their sum by the policy's log-probabilities.

    A loss that needs a reference and is given none gets zeros: the policy's numbers are its log-ratios.
    """
    term = resolve(name, settings)
    policy = torch.as_tensor(policy, dtype=torch.float64).clone().requires_grad_()
    if reference is None and term.entry.needs_reference:
        reference = torch.zeros(len(policy))
    scores = sequence_scores(policy, reference=reference, tokens=tokens)
    values, _ = evaluate(term, scores, labels, state)
    (gradient,) = torch.autograd.grad(values.sum(), policy)
    return values.detach(), gradient
