"""Groups to batches: which groups share a micro-batch, and the tensors that hold them."""

from collections.abc import Sequence

import torch

from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.records import Comparison, Rating
from prefsmith.types import Batch, Labels, Preferences, Ratings

OPEN_BINS = 64


def plan(groups: Sequence[EncodedGroup], token_budget: int) -> list[list[int]]:
    """Fill micro-batches of at most `token_budget` tokens with whole groups, largest first, each where it first fits.

    A group that is larger than the budget gets a micro-batch of its own. The same groups give the same plan.

    Returns:
        For each micro-batch the indices of its groups, ascending.
    """
    bins: list[tuple[int, list[int]]] = []
    for index in sorted(range(len(groups)), key=lambda index: (-groups[index].tokens, index)):
        size = groups[index].tokens
        # Only the newest are looked at, so that many groups take no quadratic time; older ones are nearly full.
        for place in range(max(0, len(bins) - OPEN_BINS), len(bins)):
            used, members = bins[place]
            if used + size <= token_budget:
                members.append(index)
                bins[place] = (used + size, members)
                break
        else:
            bins.append((size, [index]))
    return [sorted(members) for _, members in bins]


def pack(groups: Sequence[EncodedGroup], *, mismatched: bool = True) -> Batch:
    """One batch of the groups, in their order; each prompt once, its completions behind it.

    Args:
        groups: one or more.
        mismatched: whether mismatched answers come along, behind a group's own.
    """
    ids: list[int] = []
    scored: list[bool] = []
    prompts: list[tuple[int, int]] = []
    completions: list[tuple[int, int, int]] = []
    for number, group in enumerate(groups):
        prompts.append((len(ids), len(ids) + len(group.prompt)))
        ids += group.prompt
        scored += [False] * len(group.prompt)
        for completion in (*group.completions, *(group.mismatched if mismatched else ())):
            completions.append((number, len(ids), len(ids) + len(completion.ids)))
            ids += completion.ids
            scored += _scored(completion)
    labels, compared = labels_of(groups, mismatched=mismatched)
    return Batch(
        ids=torch.tensor(ids),
        prompts=torch.tensor(prompts),
        completions=torch.tensor(completions),
        scored=torch.tensor(scored),
        labels=labels,
        compared=compared,
        sources=tuple(group.group.source for group in groups),
    )


def labels_of(groups: Sequence[EncodedGroup], *, mismatched: bool = True) -> tuple[tuple[Labels, ...], Preferences]:
    """The labels of each term, and what the data says of pairs, where the groups' completions stand in their order."""
    firsts: list[int] = []
    foreign: list[int] = []
    seqs = 0
    for group in groups:
        firsts.append(seqs)
        seqs += len(group.completions)
        if mismatched:
            foreign += range(seqs, seqs + len(group.mismatched))
            seqs += len(group.mismatched)
    compared = [(first, each) for first, group in zip(firsts, groups, strict=True) for each in group.compared]
    return _labels(groups, firsts, foreign), _preferences(compared)


def _scored(completion: EncodedCompletion) -> list[bool]:
    return [False] * completion.unscored + [True] * (len(completion.ids) - completion.unscored)


def _labels(groups: Sequence[EncodedGroup], firsts: Sequence[int], foreign: list[int]) -> tuple[Labels, ...]:
    labels: list[Labels] = []
    for term in range(len(groups[0].views)):
        views = [(first, group.views[term]) for first, group in zip(firsts, groups, strict=True)]
        comparisons = [(first, comparison) for first, view in views for comparison in view.comparisons]
        ratings = [(first, rating) for first, view in views for rating in view.ratings]
        labels.append(_preferences(comparisons) if comparisons else _ratings(ratings, foreign))
    return tuple(labels)


def _preferences(comparisons: Sequence[tuple[int, Comparison]]) -> Preferences:
    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)

    gaps = [comparison.score_gap for _, comparison in comparisons]
    return Preferences(
        chosen=torch.tensor([first + each.better for first, each in comparisons], dtype=torch.int64),
        rejected=torch.tensor([first + each.worse for first, each in comparisons], dtype=torch.int64),
        prob=column([comparison.prob for _, comparison in comparisons]),
        weight=column([comparison.weight for _, comparison in comparisons]),
        score_gap=column([float("nan") if gap is None else gap for gap in gaps]),
    )


def _ratings(ratings: Sequence[tuple[int, Rating]], foreign: list[int]) -> Ratings:
    return Ratings(
        seq=torch.tensor([first + rating.completion for first, rating in ratings], dtype=torch.int64),
        value=torch.tensor([rating.value for _, rating in ratings], dtype=torch.float64),
        weight=torch.tensor([rating.weight for _, rating in ratings], dtype=torch.float64),
        mismatched=torch.tensor(foreign, dtype=torch.int64) if foreign else None,
    )
