"""The quantities that losses of lists are functions of: one number per item, sums and softmaxes over the lists."""

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from prefsmith.types import Rankings, SequenceScores

Items = Float64[Tensor, " item"]
ListLosses = Float64[Tensor, " list"]
Places = Int[Tensor, " couple"]


def item_log_ratios(scores: SequenceScores, rankings: Rankings) -> Items:
    """D: log policy - log reference of each listed completion, in nats."""
    return scores.log_ratio()[rankings.items]


def list_sum(values: Items, rankings: Rankings) -> ListLosses:
    """The sum over each list's items."""
    return _sum_by(values, rankings.owner(), len(rankings))


def list_log_softmax(values: Items, rankings: Rankings) -> Items:
    """The logarithm of each item's share of its list's sum of exponentials."""
    owner = rankings.owner()
    return values - log_sum_exp_by(values, owner, len(rankings))[owner]


def log_sum_exp_by(
    values: Float64[Tensor, " value"], owner: Int[Tensor, " value"], count: int
) -> Float64[Tensor, " owner"]:
    """log sum exp over the values of each of `count` owners, each of which has at least one."""
    lowest = values.new_full((count,), float("-inf"))
    # The largest only keeps the exponentials small: it cancels, so it needs no gradient.
    top = lowest.scatter_reduce(0, owner, values.detach(), "amax")
    return _sum_by((values - top[owner]).exp(), owner, count).log() + top


def couples(rankings: Rankings) -> tuple[Places, Places]:
    """Every ordered couple of places of one list, a place with itself among them, by the first place."""
    sizes, owner = rankings.starts.diff(), rankings.owner()
    many = sizes[owner]
    first = torch.repeat_interleave(torch.arange(len(owner)), many)
    begin = torch.repeat_interleave(many.cumsum(0) - many, many)
    second = torch.arange(len(first)) - begin + rankings.starts[owner[first]]
    return first, second


def _sum_by(values: Float64[Tensor, " value"], owner: Int[Tensor, " value"], count: int) -> Float64[Tensor, " owner"]:
    return values.new_zeros(count).index_add(0, owner, values)
