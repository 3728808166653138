"""Head, loss and the head's gradient in one sweep over the vocabulary, while a chunk's logits are there.

A log-probability's gradient needs the softmax of its row, and the loss needs the log-probabilities of a whole group.
So whole groups go through the head together: logits, the loss's slopes, and at once the gradient by rows and weight.
That is three matrix products (two where the head is frozen); forward and backward apart need the logits once more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prefsmith.model import logprobs
from prefsmith.model.bend import STRAIGHT, Bend, bent
from prefsmith.model.logprobs import Rows, Targets
from prefsmith.model.measure import Measures, PerRow, Slopes, exponentials, joined, slope_of
from prefsmith.model.numberless import of_numbers
from prefsmith.model.precision import Precision, add_product, affine, product, rounded
from prefsmith.types import Batch

KEPT_ELEMENTS = 2**26
"""Logits of one group that are kept until its slopes are known: 256 MiB in float32. Beyond, they are made again."""

WeighMeasures = Callable[[Measures, slice], PerRow]
"""What was measured of some groups' tokens, and which groups, to the derivative of the objective by each token."""


@dataclass(frozen=True, slots=True)
class Part:
    """Groups that go through the head together, and their rows."""

    groups: slice
    rows: slice


@of_numbers
def parts_of(batch: Batch, vocabulary: int) -> list[Part]:
    """Runs of whole groups whose logits may exist at a time; one that is larger than that is a part of its own."""
    most = max(1, logprobs.CHUNK_ELEMENTS // vocabulary)
    owner, lengths = batch.completions[:, 0].cpu(), batch.scored_per_seq().cpu()
    sizes = torch.zeros(len(batch.prompts), dtype=torch.int64).index_add(0, owner, lengths).tolist()
    parts: list[Part] = []
    first, start, rows = 0, 0, 0
    for group, size in enumerate(sizes):
        if rows and rows + size > most:
            parts.append(Part(slice(first, group), slice(start, start + rows)))
            first, start, rows = group, start + rows, 0
        rows += size
    parts.append(Part(slice(first, len(sizes)), slice(start, start + rows)))
    return parts


def rows_at_once(scored: int, in_a_group: int, vocabulary: int) -> int:
    """Most rows whose logits exist at a time.

    Args:
        scored: rows of a micro-batch.
        in_a_group: rows of its largest group.
        vocabulary: logits of a row.
    """
    kept = in_a_group if in_a_group * vocabulary <= KEPT_ELEMENTS else 0
    return min(scored, max(1, logprobs.CHUNK_ELEMENTS // vocabulary, kept))


@dataclass(frozen=True, slots=True)
class _Head:
    """The head's layer, and its weight as products take it."""

    linear: nn.Linear
    weight: Tensor
    bend: Bend
    precision: Precision

    def logits(self, rows: Tensor) -> Tensor:
        return self.bend.apply_(logprobs.accumulated(affine(rows, self.weight, self.linear.bias)))

    def way_back(self, by_products: Tensor, rows: Tensor) -> Tensor:
        """From the derivative by products to that by rows; those by weight and bias are added to `.grad`."""
        linear, bias = self.linear, self.linear.bias
        low = rounded(by_products.to(rows.dtype), self.precision)
        if linear.weight.requires_grad:
            add_product(_grad(linear.weight), low.t(), rows)
        if bias is not None and bias.requires_grad:
            _grad(bias).add_(by_products.sum(0))
        return product(low, self.weight)


@torch.no_grad()
def sweep(
    rows: Rows,
    linear: nn.Linear,
    targets: Targets,
    parts: Sequence[Part],
    weigh: WeighMeasures,
    *,
    bend: Bend = STRAIGHT,
    confidence: bool = False,
    precision: Precision = "fp32",
) -> Rows:
    """Add the head's gradient to its parameters' `.grad`, and return the gradient by the rows.

    Args:
        rows: hidden states that predict the targets.
        linear: the head.
        targets: the tokens that follow.
        parts: all rows, in order.
        weigh: is called once for each part.
        bend: what is done to the products.
        confidence: whether it is measured.
        precision: of the operands of products.
    """
    head = _Head(linear, rounded(linear.weight, precision), bend, precision)
    by_rows = torch.empty_like(rows)
    for part in parts:
        own = rounded(rows[part.rows], precision)
        by_rows[part.rows] = _swept(own, head, targets[part.rows], part.groups, weigh, confidence)
    return by_rows


def _swept(rows: Tensor, head: _Head, targets: Tensor, groups: slice, weigh: WeighMeasures, confidence: bool) -> Tensor:
    vocabulary = head.linear.out_features
    if rows.shape[0] * vocabulary <= KEPT_ELEMENTS:
        logits = head.logits(rows)
        steepness = head.bend.steepness(logits)
        shares, total, found = exponentials(logits, targets, confidence=confidence)
        slope = _weighed(weigh, found, groups)
        shares.mul_((-slope / total)[:, None]).scatter_add_(1, targets[:, None], slope[:, None])
        return head.way_back(bent(shares, steepness), rows)
    pieces = logprobs.chunks(rows.shape[0], vocabulary)
    found = joined([exponentials(head.logits(rows[each]), targets[each], confidence=confidence)[2] for each in pieces])
    slopes = Slopes(_weighed(weigh, found, groups), None)
    parts = []
    for piece in pieces:
        again = head.logits(rows[piece])
        steepness = head.bend.steepness(again)
        by_logits = slope_of(again, found.normalisers[piece], targets[piece], slopes.of(piece))
        parts.append(head.way_back(bent(by_logits, steepness), rows[piece]))
    return torch.cat(parts)


def _weighed(weigh: WeighMeasures, found: Measures, groups: slice) -> PerRow:
    with torch.enable_grad():  # the loss is differentiated on a graph of its own
        return weigh(found, groups).to(found.normalisers)


def _grad(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
