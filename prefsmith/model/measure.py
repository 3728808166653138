"""What the logits of a chunk say of its tokens, and the derivative by the logits."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

Logits = Float[Tensor, "row vocabulary"]
PerRow = Float[Tensor, " row"]


@dataclass(frozen=True, slots=True)
class Measures:
    """One number per token, in nats, where it was asked for."""

    logprobs: PerRow
    normalisers: PerRow  # log of the sum of exp(logits)
    confidence: PerRow | None = None  # log p(token) - log sum_v p(v)^2
    kl: PerRow | None = None  # KL(reference || policy) of the distributions that the token is drawn from
    reference: PerRow | None = None  # the reference's log-probability of the token


@dataclass(frozen=True, slots=True)
class Slopes:
    """The derivative of an objective by log-probabilities and divergences; None where it depends on none."""

    logprobs: PerRow | None
    kl: PerRow | None

    def of(self, part: slice) -> "Slopes":
        """Those of a run of rows."""
        return Slopes(*(None if each is None else each[part] for each in (self.logprobs, self.kl)))


def measure(
    logits: Logits, targets: Int[Tensor, " row"], *, confidence: bool = False, reference: Logits | None = None
) -> Measures:
    """What is asked of each row, without gradient.

    Args:
        logits: the policy's.
        targets: the tokens that came.
        confidence: whether it is wanted.
        reference: the reference's logits where the divergence is wanted.
    """
    normalisers = logits.logsumexp(-1)
    logprobs = logits.gather(1, targets[:, None])[:, 0] - normalisers
    if not confidence and reference is None:
        return Measures(logprobs, normalisers)
    whole = logits - normalisers[:, None]
    kl, others = (None, None) if reference is None else _against(reference, whole, targets)
    sure = logprobs - whole.mul_(2).logsumexp(-1) if confidence else None
    return Measures(logprobs, normalisers, sure, kl, others)


def exponentials(
    logits: Logits, targets: Int[Tensor, " row"], *, confidence: bool = False
) -> tuple[Logits, PerRow, Measures]:
    """What is asked of each row, and in the logits' place exp(logits - their maximum), with the sum of each row.

    The softmax is the quotient of the two, so that the exponential function is taken once and nothing is copied.

    Args:
        logits: the policy's; overwritten.
        targets: the tokens that came.
        confidence: whether it is wanted.
    """
    picked = logits.gather(1, targets[:, None])[:, 0]
    top = logits.amax(-1)
    shares = logits.sub_(top[:, None]).exp_()
    total = shares.sum(-1)
    normalisers = top + total.log()
    found = picked - normalisers
    sure = None
    if confidence:  # log p(token) - log sum p^2
        sure = found - 2 * (torch.linalg.vector_norm(shares, dim=-1).log() - total.log())
    return shares, total, Measures(found, normalisers, sure)


def slope_of(
    logits: Logits,
    normalisers: PerRow,
    targets: Int[Tensor, " row"],
    slopes: Slopes,
    reference: Logits | None = None,
) -> Logits:
    """The derivative of the objective by the logits, in their place.

        d logprob / d logits = onehot(target) - softmax(logits)
        d kl / d logits = softmax(logits) - softmax(reference logits)

    Args:
        logits: the policy's; overwritten.
        normalisers: as `measure` gave them.
        targets: the tokens that came.
        slopes: the derivative by what was measured.
        reference: the reference's logits where there is a slope by the divergence.
    """
    by_logprob, by_kl = slopes.logprobs, slopes.kl
    factor = torch.zeros_like(normalisers) if by_logprob is None else -by_logprob
    if by_kl is not None:
        factor = factor + by_kl
    slope = logits.sub_(normalisers[:, None]).exp_().mul_(factor[:, None])
    if by_logprob is not None:
        slope.scatter_add_(1, targets[:, None], by_logprob[:, None])
    if by_kl is not None and reference is not None:
        share = (reference - reference.logsumexp(-1)[:, None]).exp_()  # rounded as the policy's: equals cancel
        slope.addcmul_(share, by_kl[:, None], value=-1)
    return slope


def _against(reference: Tensor, policy: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """KL(reference || policy), and the reference's log-probability of the targets.

    The sum over v of p log(p / q) is taken as that of p log(p / q) + q - p, the same since both sum to one. No term of
    it is negative, and a rounding error of a log-probability counts only by how far p and q are apart.

    Args:
        reference: its logits.
        policy: its log-probabilities.
        targets: the tokens that came.
    """
    normalisers = reference.logsumexp(-1)
    own = reference.gather(1, targets[:, None])[:, 0] - normalisers
    whole = reference - normalisers[:, None]
    share = whole.exp()
    # What the reference rules out counts nothing, also where the policy rules it out as well.
    terms = whole.sub_(policy).masked_fill_(share == 0, 0).mul_(share).sub_(share).add_(policy.exp())
    return terms.sum(-1).clamp_(min=0), own


def joined(parts: list[Measures]) -> Measures:
    """The measures of several chunks as those of one."""
    columns = {}
    for field in fields(Measures):
        there = [value for part in parts if (value := getattr(part, field.name)) is not None]
        columns[field.name] = torch.cat(there) if there else None
    return Measures(**columns)
