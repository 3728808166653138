"""Groups to batches: which groups share a micro-batch, and the tensors that hold them."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np
import torch

from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.encoded_rows import tokens_of
from prefsmith.records import Comparison, Ranking, Rating
from prefsmith.types import Batch, Labels, Preferences, Rankings, Ratings

OPEN_BINS = 64


def plan(groups: Sequence[EncodedGroup], token_budget: int) -> list[list[int]]:
    """Fill micro-batches of at most `token_budget` tokens with whole groups, largest first, each where it first fits.

    A group that is larger than the budget gets a micro-batch of its own. The same groups give the same plan.

    Returns:
        For each micro-batch the indices of its groups, ascending.
    """
    bins: list[tuple[int, list[int]]] = []
    for index, size in _largest_first(groups):
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


def shares(groups: Sequence[EncodedGroup], token_budget: int, processes: int) -> list[list[list[int]]]:
    """Micro-batches for several processes: as many for each, of about as many tokens, within the budget.

    The largest group goes to the micro-batch with the fewest tokens; there are no more of them than the budget asks
    for, rounded up to a multiple of the processes. The n-th micro-batches of all processes are of like size, so that
    those that wait for each other do not wait long. One process gets what `plan` gives.

    Returns:
        For each process its micro-batches, the largest first; one is empty where there are fewer groups.
    """
    if processes == 1 or not groups:
        return [plan(groups, token_budget) for _ in range(processes)]
    most = max(token_budget, int(tokens_of(groups).max()))
    count = -(-len(plan(groups, token_budget)) // processes) * processes
    level = _levelled(groups, count)
    while max(size for size, _ in level) > most:
        count += processes
        level = _levelled(groups, count)
    level.sort(key=lambda each: (-each[0], each[1]))
    dealt = [level[first : first + processes] for first in range(0, count, processes)]
    # Every other round is dealt backwards, so that no process gets the largest of each.
    rounds = [each[::-1] if number % 2 else each for number, each in enumerate(dealt)]
    return [[sorted(members) for _, members in own] for own in zip(*rounds, strict=True)]


def _levelled(groups: Sequence[EncodedGroup], count: int) -> list[tuple[int, list[int]]]:
    """All groups in `count` micro-batches, the largest group first and each where the fewest tokens are."""
    heap: list[tuple[int, int]] = [(0, place) for place in range(count)]
    members: list[list[int]] = [[] for _ in range(count)]
    for index, tokens in _largest_first(groups):
        size, place = heapq.heappop(heap)
        members[place].append(index)
        heapq.heappush(heap, (size + tokens, place))
    return [(size, members[place]) for size, place in heap]


def _largest_first(groups: Sequence[EncodedGroup]) -> Iterator[tuple[int, int]]:
    """Places of the groups and their tokens."""
    tokens = tokens_of(groups)
    return ((int(index), int(tokens[index])) for index in np.argsort(-tokens, kind="stable"))


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
    """Every term's labels; a term may have none here, and keeps its kind."""
    labels: list[Labels] = []
    for term, first_view in enumerate(groups[0].views):
        views = [(first, group.views[term]) for first, group in zip(firsts, groups, strict=True)]
        if first_view.kind == "pairwise":
            labels.append(_preferences([(first, each) for first, view in views for each in view.comparisons]))
        elif first_view.kind == "unpaired":
            labels.append(_ratings([(first, each) for first, view in views for each in view.ratings], foreign))
        else:
            labels.append(_rankings([(first, each) for first, view in views for each in view.rankings]))
    return tuple(labels)


def _preferences(comparisons: Sequence[tuple[int, Comparison]]) -> Preferences:
    gaps = [comparison.score_gap for _, comparison in comparisons]
    return Preferences(
        chosen=_whole([first + each.better for first, each in comparisons]),
        rejected=_whole([first + each.worse for first, each in comparisons]),
        prob=_real([comparison.prob for _, comparison in comparisons]),
        weight=_real([comparison.weight for _, comparison in comparisons]),
        score_gap=_real([float("nan") if gap is None else gap for gap in gaps]),
    )


def _ratings(ratings: Sequence[tuple[int, Rating]], foreign: list[int]) -> Ratings:
    return Ratings(
        seq=_whole([first + rating.completion for first, rating in ratings]),
        value=_real([rating.value for _, rating in ratings]),
        weight=_real([rating.weight for _, rating in ratings]),
        mismatched=_whole(foreign) if foreign else None,
    )


def _rankings(rankings: Sequence[tuple[int, Ranking]]) -> Rankings:
    unknown = float("nan")
    return Rankings(
        items=_whole([first + index for first, ranking in rankings for index in ranking.order]),
        starts=_whole([0, *accumulate(len(ranking.order) for _, ranking in rankings)]),
        tier=_whole([tier for _, ranking in rankings for tier in ranking.tiers]),
        scores=_real([each for _, ranking in rankings for each in ranking.scores or [unknown] * len(ranking.order)]),
        weight=_real([ranking.weight for _, ranking in rankings]),
    )


def _whole(numbers: Sequence[int]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


def _real(numbers: Sequence[float]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)
