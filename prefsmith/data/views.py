"""What a loss sees of a group: the labels of the file, in the form that the loss takes.

A pair may be read as two ratings (chosen desirable, rejected undesirable); ratings never become pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prefsmith.errors import DataError
from prefsmith.records import Comparison, Group, Rating


@dataclass(frozen=True, slots=True)
class Wanted:
    """The form of labels that a loss takes.

    Args:
        loss: its name, for messages.
        kind: comparisons or ratings.
        soft_labels: whether a probability between 0 and 1 means something to it.
        desirable_only: whether undesirable completions are of no use to it.
    """

    loss: str
    kind: Literal["pairwise", "unpaired"]
    soft_labels: bool = True
    desirable_only: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """One loss's labels of one group; indices into the group's completions."""

    comparisons: tuple[Comparison, ...] = ()
    ratings: tuple[Rating, ...] = ()

    def __len__(self) -> int:
        return len(self.comparisons) + len(self.ratings)

    def labels(self) -> tuple[Comparison | Rating, ...]:
        """Comparisons or ratings, whichever there are."""
        return (*self.comparisons, *self.ratings)

    def completions(self) -> set[int]:
        """The completions that the labels are about."""
        sides = {side for comparison in self.comparisons for side in (comparison.better, comparison.worse)}
        return sides | {rating.completion for rating in self.ratings}


def view(group: Group, wanted: Wanted) -> View:
    """The group's labels in the form that is wanted; may be empty where `desirable_only` leaves nothing.

    Raises:
        DataError: the loss needs pairs and the group has ratings, or needs hard labels and one is not.
    """
    comparisons = tuple(_hardened(comparison, group, wanted) for comparison in group.comparisons)
    if wanted.kind == "pairwise":
        if not comparisons:
            raise DataError(
                "data.no_pairs",
                f"{wanted.loss} compares two answers to a prompt, and this row judges one on its own",
                where=group.source,
                fix="train with loss.name=kto, or loss.name=sft on the desirable rows",
            )
        return View(comparisons=comparisons)
    ratings = group.ratings or tuple(rating for comparison in comparisons for rating in _as_ratings(comparison))
    if wanted.desirable_only:
        ratings = tuple(rating for rating in ratings if rating.value > 0)
    return View(ratings=ratings)


def describe(groups: Sequence[Group], wanted: Wanted) -> str:
    """What is made of the file for this loss, in a line."""
    if wanted.kind == "pairwise":
        return f"{sum(len(group.comparisons) for group in groups):,} comparisons for {wanted.loss}"
    made = [rating for group in groups for rating in view(group, wanted).ratings]
    good = sum(rating.value > 0 for rating in made)
    origin = " made of pairs" if any(group.comparisons for group in groups) else ""
    return f"{good:,} desirable and {len(made) - good:,} undesirable completions{origin} for {wanted.loss}"


def _as_ratings(comparison: Comparison) -> tuple[Rating, Rating]:
    return (
        Rating(comparison.better, 1.0, comparison.weight),
        Rating(comparison.worse, 0.0, comparison.weight),
    )


def _hardened(comparison: Comparison, group: Group, wanted: Wanted) -> Comparison:
    """For a loss that takes hard labels: the comparison with probability 1, turned round where it was 0."""
    if wanted.soft_labels or comparison.prob == 1.0:
        return comparison
    if comparison.prob == 0.0:
        gap = None if comparison.score_gap is None else -comparison.score_gap
        return Comparison(comparison.worse, comparison.better, 1.0, comparison.weight, gap)
    raise DataError(
        "data.soft_label",
        f"{wanted.loss} takes hard labels, and this row's probability is {comparison.prob:g}",
        where=group.source,
        fix="train with loss.name=dpo or ipo, whose optimum is a function of the probability",
    )
