"""Optimal transport between two weighted samples of numbers."""

import torch
from jaxtyping import Float64, Int
from torch import Tensor

Samples = Float64[Tensor, " left"]
OtherSamples = Float64[Tensor, " right"]
Segments = Int[Tensor, " segment"]


def couple(
    left: Samples, left_weight: Samples, right: OtherSamples, right_weight: OtherSamples
) -> tuple[Segments, Segments, Float64[Tensor, " segment"]]:
    """The cheapest way to carry one sample to the other, for any cost that is convex in the difference.

    In one dimension it is to sort both and to lay their masses side by side: the smallest goes to the smallest. Where
    weights differ an entry is cut, and each segment couples a part of one entry with a part of another.

    Args:
        left: numbers, in any order.
        left_weight: their weights, >= 0, not all zero; only ratios matter.
        right: the other numbers; there may be more or fewer of them.
        right_weight: their weights, of the same kind.

    Returns:
        For each segment, from small to large: the index into `left`, the index into `right`, and the mass > 0 that
        goes from one to the other. The masses sum to 1. An entry of weight zero is in no segment. Nothing carries
        gradient: gather the numbers by the indices.
    """
    left_order, left_end = _laid_out(left, left_weight)
    right_order, right_end = _laid_out(right, right_weight)
    cuts = torch.cat([left_end.new_zeros(1), left_end, right_end]).unique()
    begin = cuts[:-1].contiguous()
    # A segment belongs to the first entry that ends behind its beginning.
    left_index = left_order[torch.searchsorted(left_end, begin, right=True)]
    right_index = right_order[torch.searchsorted(right_end, begin, right=True)]
    return left_index, right_index, cuts.diff()


def mean_by_mass(
    cost: Float64[Tensor, " segment"], mass: Float64[Tensor, " segment"], index: Segments, entries: int
) -> Samples:
    """For each of so many entries, the mean cost of its segments by their mass; 0 for an entry that is in none."""
    nothing = cost.new_zeros(entries)
    held = nothing.index_add(0, index, mass)
    total = nothing.index_add(0, index, mass * cost)
    return torch.where(held > 0, total / held.clamp(min=torch.finfo(held.dtype).tiny), nothing)


def _laid_out(
    numbers: Float64[Tensor, " entry"], weight: Float64[Tensor, " entry"]
) -> tuple[Int[Tensor, " entry"], Float64[Tensor, " entry"]]:
    """The order of the numbers, and where each ends when their masses are laid on [0, 1] in that order."""
    order = numbers.detach().argsort(stable=True)
    end = weight.detach()[order].cumsum(0)
    return order, end / end[-1]
