"""Ranked completions as a loss reads them: as comparisons, or as one list.

Nothing depends on the order of the completions in the file: tied ones are compared with everything that either is.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Literal

from prefsmith.records import Comparison, Completion, Group, Ranking

Pairs = Literal["all", "best_worst", "adjacent"]
"""`all`: every pair; `best_worst`: the best against the worst; `adjacent`: neighbours in the order."""

Tier = tuple[int, ...]


def compare(group: Group, pairs: Pairs, *, ties: bool = True) -> tuple[Comparison, ...]:
    """Comparisons of a ranked group. All weigh the same, and together as much as the group.

    Args:
        group: with a ranking.
        pairs: which of its completions are compared.
        ties: whether tied completions are compared too, with the probability 0.5.
    """
    sides = [(better, worse, 1.0) for better, worse in _told_apart(group.ranking, pairs)]
    if ties:
        sides += [(left, right, 0.5) for left, right in _tied(group.ranking, pairs)]
    return tuple(
        Comparison(better, worse, prob, group.weight / len(sides), score_gap(group.completions, better, worse))
        for better, worse, prob in sides
    )


def score_gap(completions: Sequence[Completion], better: int, worse: int) -> float | None:
    """Score of one completion minus that of another; None where they have none."""
    scores = [completions[each].score for each in (better, worse)]
    return None if scores[0] is None or scores[1] is None else scores[0] - scores[1]


def as_list(group: Group) -> Ranking:
    """A ranked group as one list, the best first."""
    placed = [(index, number) for number, tier in enumerate(group.ranking) for index in tier]
    order = tuple(index for index, _ in placed)
    return Ranking(order, tuple(number for _, number in placed), scores_of(group, order), group.weight)


def pair_as_list(group: Group, comparison: Comparison) -> Ranking:
    """A comparison as a list of two; `prob` 0.5 is a tie, otherwise `better` was better for certain."""
    order = (comparison.better, comparison.worse)
    return Ranking(order, (0, int(comparison.prob != 0.5)), scores_of(group, order), comparison.weight)


def scores_of(group: Group, order: Tier) -> tuple[float, ...]:
    """Scores of the completions in that order; nothing where one has none."""
    scores = [group.completions[index].score for index in order]
    return tuple(score for score in scores if score is not None) if None not in scores else ()


def tiers_by(numbers: Sequence[float], *, largest_first: bool) -> tuple[Tier, ...]:
    """Places of the numbers, the best first; equal ones share a tier."""
    return tuple(
        tuple(index for index, each in enumerate(numbers) if each == number)
        for number in sorted(set(numbers), reverse=largest_first)
    )


def share_no_better(completions: Sequence[Completion], index: int) -> float:
    """Share of the completions whose score is at most that of the given one: 1 for the best. All have scores."""
    scores = [completion.score for completion in completions if completion.score is not None]
    return sum(score <= scores[index] for score in scores) / len(scores)


def _told_apart(tiers: tuple[Tier, ...], pairs: Pairs) -> Iterator[tuple[int, int]]:
    """Better and worse of each comparison in which one is better."""
    facing = {
        "all": combinations(tiers, 2),
        "best_worst": iter([(tiers[0], tiers[-1])] if len(tiers) > 1 else []),
        "adjacent": pairwise(tiers),
    }
    for upper, lower in facing[pairs]:
        yield from ((better, worse) for better in upper for worse in lower)


def _tied(tiers: tuple[Tier, ...], pairs: Pairs) -> Iterator[tuple[int, int]]:
    """Tied completions that are compared: under `best_worst` only where nothing is better than anything."""
    for tier in tiers:
        if pairs != "best_worst" or len(tiers) == 1:
            yield from combinations(tier, 2)
