"""Log-probabilities of scored tokens, in chunks, so that tokens x vocabulary never exists."""

from collections.abc import Callable
from dataclasses import fields

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from prefsmith.model.bend import STRAIGHT, Bend, bent
from prefsmith.model.measure import Measures, Slopes, exponentials, joined, measure, slope_of
from prefsmith.model.precision import Precision, add_product, affine, product, rounded

Rows = Float[Tensor, "scored hidden"]
Targets = Int[Tensor, " scored"]
Logprobs = Float[Tensor, " scored"]
ReferenceLogits = Callable[[slice], Tensor]
"""A run of rows to the reference's logits for them, without gradient; asked again on the way back."""

CHUNK_ELEMENTS = 2**24  # logits that exist at a time: 64 MiB in float32; a few times that for a divergence


def plain_head_measures(
    rows: Rows,
    weight: Float[Tensor, "vocabulary hidden"],
    bias: Tensor | None,
    targets: Targets,
    *,
    bend: Bend = STRAIGHT,
    precision: Precision = "fp32",
    confidence: bool = False,
    reference: ReferenceLogits | None = None,
) -> Measures:
    """Everything that is asked of log softmax(rows @ weight.T + bias), exact in value and gradient.

    One product per chunk gives all of it. Log-probability and divergence are differentiable.

    Args:
        rows: hidden states that predict the targets.
        weight: the head's matrix; may be shared with the embedding.
        bias: the head's bias, if it has one.
        targets: the tokens that follow.
        bend: what is done to the products.
        precision: of the operands of products.
        confidence: whether it is wanted.
        reference: gives the reference's logits where the divergence from them is wanted.

    Returns:
        float32 (float64 for a float64 model).
    """
    return Measures(*_PlainHead.apply(rows, weight, bias, targets, bend, precision, confidence, reference))


class _PlainHead(torch.autograd.Function):
    """The logits of a chunk are computed in forward, thrown away, and computed again in backward: 4 products."""

    @staticmethod
    def forward(
        ctx,  # noqa: ANN001
        rows: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        bend: Bend,
        precision: Precision,
        confidence: bool,
        reference: ReferenceLogits | None,
    ) -> tuple[Tensor | None, ...]:
        low_rows, low_weight = rounded(rows, precision), rounded(weight, precision)
        parts = []
        for part in chunks(rows.shape[0], weight.shape[0]):
            others = None if reference is None else accumulated(reference(part))
            logits = _logits(low_rows[part], low_weight, bias, bend)
            if others is None:
                parts.append(exponentials(logits, targets[part], confidence=confidence)[2])
            else:
                parts.append(measure(logits, targets[part], confidence=confidence, reference=others))
        whole = joined(parts)
        ctx.reference, ctx.bend, ctx.precision = reference, bend, precision
        ctx.save_for_backward(rows, weight, bias, targets, whole.normalisers)
        return _outputs(ctx, whole)

    @staticmethod
    def backward(ctx, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        rows, weight, bias, targets, normalisers = ctx.saved_tensors
        slopes = _slopes(gradients)
        low_rows, low_weight = rounded(rows, ctx.precision), rounded(weight, ctx.precision)
        wants_rows, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        d_rows = torch.empty_like(rows) if wants_rows else None
        d_weight = torch.zeros_like(weight) if wants_weight else None
        d_bias = torch.zeros_like(bias) if wants_bias else None
        for part in chunks(rows.shape[0], weight.shape[0]):
            others = None if slopes.kl is None else accumulated(ctx.reference(part))
            logits = _logits(low_rows[part], low_weight, bias, ctx.bend)
            steepness = ctx.bend.steepness(logits)
            slope = slope_of(logits, normalisers[part], targets[part], slopes.of(part), others)
            slope = bent(slope, steepness).to(rows.dtype)
            low_slope = rounded(slope, ctx.precision)
            if d_rows is not None:
                d_rows[part] = product(low_slope, low_weight)
            if d_weight is not None:
                add_product(d_weight, low_slope.t(), low_rows[part])
            if d_bias is not None:
                d_bias += slope.sum(0)
        return d_rows, d_weight, d_bias, None, None, None, None, None


def own_head_measures(
    rows: Rows,
    head: Callable[[Tensor], Tensor],
    targets: Targets,
    vocabulary: int,
    *,
    confidence: bool = False,
    reference: ReferenceLogits | None = None,
) -> Measures:
    """The same through any head, by recomputing each chunk in backward.

    Args:
        rows: hidden states that predict the targets.
        head: rows to logits, with whatever the model does to them.
        targets: the tokens that follow.
        vocabulary: number of logits per row.
        confidence: whether it is wanted.
        reference: gives the reference's logits where the divergence from them is wanted.
    """

    def chunk(part_rows: Tensor, part: slice) -> tuple[Tensor | None, ...]:
        others = None if reference is None else accumulated(reference(part))
        return _OwnHead.apply(accumulated(head(part_rows)), targets[part], confidence, others)

    return joined(
        [
            Measures(*checkpoint(chunk, rows[part], part, use_reentrant=False))
            for part in chunks(rows.shape[0], vocabulary)
        ]
    )


class _OwnHead(torch.autograd.Function):
    """From the logits of a chunk, which the head keeps for its own way back."""

    @staticmethod
    def forward(
        ctx,  # noqa: ANN001
        logits: Tensor,
        targets: Tensor,
        confidence: bool,
        reference: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        whole = measure(logits, targets, confidence=confidence, reference=reference)
        # Through save_for_backward, so that `checkpoint` drops the chunk's logits and the reference's.
        ctx.save_for_backward(logits, targets, whole.normalisers, reference)
        return _outputs(ctx, whole)

    @staticmethod
    def backward(ctx, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        logits, targets, normalisers, reference = ctx.saved_tensors
        slopes = _slopes(gradients)
        return slope_of(logits.clone(), normalisers, targets, slopes, reference), None, None, None


def _outputs(ctx, whole: Measures) -> tuple[Tensor | None, ...]:  # noqa: ANN001
    """The measures as autograd takes them: a tuple in their order, of which two can be differentiated."""
    ctx.set_materialize_grads(False)
    fixed = (whole.normalisers, whole.confidence, whole.reference)
    ctx.mark_non_differentiable(*[each for each in fixed if each is not None])
    return tuple(getattr(whole, each.name) for each in fields(whole))


def _slopes(gradients: tuple[Tensor | None, ...]) -> Slopes:
    given = dict(zip((each.name for each in fields(Measures)), gradients, strict=True))
    return Slopes(given["logprobs"], given["kl"])


def sum_per_sequence(tokens: Float64[Tensor, " scored"], lengths: Int[Tensor, " seq"]) -> Float64[Tensor, " seq"]:
    """Sums over runs of the given lengths, in float64: a sum of 1500 nats in float32 loses 1e-4."""
    owner = torch.repeat_interleave(torch.arange(lengths.shape[0]), lengths)
    return torch.zeros(lengths.shape[0], dtype=torch.float64).index_add(0, owner, tokens)


def _logits(rows: Tensor, weight: Tensor, bias: Tensor | None, bend: Bend) -> Tensor:
    return bend.apply_(accumulated(affine(rows, weight, bias)))


def accumulated(logits: Tensor) -> Tensor:
    """Logits in the precision in which sums over the vocabulary are taken: float32 at least."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def chunks(rows: int, vocabulary: int) -> list[slice]:
    """Runs of rows whose logits may exist at a time."""
    size = max(1, CHUNK_ELEMENTS // vocabulary)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
