"""Log-probabilities of scored tokens, in chunks, so that tokens x vocabulary never exists."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Rows = Float[Tensor, "scored hidden"]
Targets = Int[Tensor, " scored"]
Logprobs = Float[Tensor, " scored"]

CHUNK_ELEMENTS = 2**24  # logits that exist at a time: 64 MiB in float32


def plain_head_logprobs(
    rows: Rows, weight: Float[Tensor, "vocabulary hidden"], bias: Tensor | None, targets: Targets
) -> Logprobs:
    """log softmax(rows @ weight.T + bias)[target], exact in value and gradient.

    Args:
        rows: hidden states that predict the targets.
        weight: the head's matrix; may be shared with the embedding.
        bias: the head's bias, if it has one.
        targets: the tokens that follow.

    Returns:
        float32 log-probabilities in nats (float64 for a float64 model).
    """
    return _PlainHead.apply(rows, weight, bias, targets)


class _PlainHead(torch.autograd.Function):
    """The logits of a chunk are computed in forward, thrown away, and computed again in backward: 4 products."""

    @staticmethod
    def forward(ctx, rows: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:  # noqa: ANN001
        logprobs = rows.new_empty(rows.shape[0], dtype=_accumulation(rows.dtype))
        normalisers = torch.empty_like(logprobs)
        for part in chunks(rows.shape[0], weight.shape[0]):
            logits = _logits(rows[part], weight, bias)
            normalisers[part] = logits.logsumexp(-1)
            logprobs[part] = logits.gather(1, targets[part, None])[:, 0] - normalisers[part]
        ctx.save_for_backward(rows, weight, bias, targets, normalisers)
        return logprobs

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        rows, weight, bias, targets, normalisers = ctx.saved_tensors
        (gradient,) = gradients
        wants_rows, wants_weight, wants_bias, _ = ctx.needs_input_grad
        d_rows = torch.empty_like(rows) if wants_rows else None
        d_weight = torch.zeros_like(weight) if wants_weight else None
        d_bias = torch.zeros_like(bias) if wants_bias else None
        for part in chunks(rows.shape[0], weight.shape[0]):
            logits = _logits(rows[part], weight, bias)
            # d logprob / d logits = onehot(target) - softmax(logits)
            slope = logits.sub_(normalisers[part, None]).exp_().mul_(-gradient[part, None])
            slope.scatter_add_(1, targets[part, None], gradient[part, None])
            slope = slope.to(rows.dtype)
            if d_rows is not None:
                torch.mm(slope, weight, out=d_rows[part])
            if d_weight is not None:
                d_weight.addmm_(slope.t(), rows[part])
            if d_bias is not None:
                d_bias += slope.sum(0)
        return d_rows, d_weight, d_bias, None


def own_head_logprobs(rows: Rows, head: Callable[[Tensor], Tensor], targets: Targets, vocabulary: int) -> Logprobs:
    """The same through any head, by recomputing each chunk in backward.

    Args:
        rows: hidden states that predict the targets.
        head: rows to logits, with whatever the model does to them.
        targets: the tokens that follow.
        vocabulary: number of logits per row.
    """

    def chunk(part_rows: Tensor, part_targets: Tensor) -> Tensor:
        logits = head(part_rows)
        logits = logits.to(_accumulation(logits.dtype))
        return logits.gather(1, part_targets[:, None])[:, 0] - logits.logsumexp(-1)

    parts = [
        checkpoint(chunk, rows[part], targets[part], use_reentrant=False) for part in chunks(rows.shape[0], vocabulary)
    ]
    return torch.cat(parts)


def sum_per_sequence(tokens: Float64[Tensor, " scored"], lengths: Int[Tensor, " seq"]) -> Float64[Tensor, " seq"]:
    """Sums over runs of the given lengths, in float64: a sum of 1500 nats in float32 loses 1e-4."""
    owner = torch.repeat_interleave(torch.arange(lengths.shape[0]), lengths)
    return torch.zeros(lengths.shape[0], dtype=torch.float64).index_add(0, owner, tokens)


def _logits(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    logits = F.linear(rows, weight, bias)
    return logits.to(_accumulation(logits.dtype))


def _accumulation(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def chunks(rows: int, vocabulary: int) -> list[slice]:
    """Runs of rows whose logits may exist at a time."""
    size = max(1, CHUNK_ELEMENTS // vocabulary)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
