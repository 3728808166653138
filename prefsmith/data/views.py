"""What a loss sees of a group: the labels of the file, in the form that the loss takes.

A ranked list may be read as comparisons, a comparison as two ratings or as a list of two; ratings never become either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from prefsmith.data.ranking import Pairs, as_list, compare, pair_as_list, scores_of, share_no_better
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Group, Ranking, Rating

Kind = Literal["pairwise", "unpaired", "listwise"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The form of labels that a loss takes.

    Args:
        loss: its name, for messages.
        kind: comparisons, ratings or ranked lists.
        soft_labels: whether a probability between 0 and 1 means something to it.
        desirable_only: whether undesirable completions are of no use to it.
        undesirable_only: whether desirable completions teach it nothing.
        scores: whether it needs a judge's numbers.
        score_order: whether chosen's number must be above rejected's.
        mismatched: whether it looks at answers to other prompts.
    """

    loss: str
    kind: Kind
    soft_labels: bool = True
    desirable_only: bool = False
    undesirable_only: bool = False
    scores: bool = False
    score_order: bool = False
    mismatched: bool = False

    @property
    def tells_apart(self) -> bool:
        """Whether it needs good answers and bad ones."""
        one_sided = self.desirable_only or self.undesirable_only
        return self.kind == "unpaired" and not one_sided and not self.scores


@dataclass(frozen=True, slots=True)
class View:
    """One loss's labels of one group; indices into the group's completions.

    Args:
        comparisons: for a loss of pairs.
        ratings: for a loss of single completions.
        rankings: for a loss of lists.
        of_kind: what the loss takes, where there may be no label; otherwise the labels tell.
        ties: comparisons of tied completions that were left out.
    """

    comparisons: tuple[Comparison, ...] = ()
    ratings: tuple[Rating, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    of_kind: Kind | None = field(default=None, compare=False)
    ties: int = field(default=0, compare=False)

    def __len__(self) -> int:
        return len(self.comparisons) + len(self.ratings) + len(self.rankings)

    @property
    def kind(self) -> Kind:
        """Which labels these are, also where there are none."""
        if self.of_kind is not None:
            return self.of_kind
        return "listwise" if self.rankings else "unpaired" if self.ratings else "pairwise"

    def labels(self) -> tuple[Comparison | Rating | Ranking, ...]:
        """Comparisons, ratings or lists, whichever there are."""
        return (*self.comparisons, *self.ratings, *self.rankings)

    def completions(self) -> set[int]:
        """The completions that the labels are about."""
        sides = {side for comparison in self.comparisons for side in (comparison.better, comparison.worse)}
        listed = {index for ranking in self.rankings for index in ranking.order}
        return sides | listed | {rating.completion for rating in self.ratings}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A group with what every loss term reads of it.

    Args:
        group: as it was read.
        views: one per loss term.
        compared: what the data says of pairs, whatever the losses read.
    """

    group: Group
    views: tuple[View, ...]
    compared: tuple[Comparison, ...]


def label(group: Group, wanted: Sequence[Wanted], pairs: Pairs) -> Labelled:
    """The group's labels in the form that each loss takes.

    Raises:
        DataError: as for `view`.
    """
    views = tuple(view(group, each, pairs) for each in wanted)
    return Labelled(group, views, group.comparisons or compare(group, pairs))


def view(group: Group, wanted: Wanted, pairs: Pairs = "all") -> View:
    """The group's labels in the form that is wanted; may be empty where the loss has no use for any of them.

    Args:
        group: a row.
        wanted: what the loss takes.
        pairs: which completions of a ranked list are compared.

    Raises:
        DataError: the loss needs pairs, lists or scores and the group has none, or needs hard labels and one is not.
    """
    if wanted.kind == "unpaired":
        return _ratings(group, wanted, pairs)
    if not group.comparisons and not group.ranking:
        raise _lone(group, wanted)
    return _lists(group, wanted) if wanted.kind == "listwise" else _comparisons(group, wanted, pairs)


def _comparisons(group: Group, wanted: Wanted, pairs: Pairs) -> View:
    if group.comparisons:
        made, ties = tuple(_hardened(comparison, group, wanted) for comparison in group.comparisons), 0
    else:
        made = compare(group, pairs, ties=wanted.soft_labels)
        ties = 0 if wanted.soft_labels else len(compare(group, pairs)) - len(made)
    if wanted.kind == "pairwise" and (wanted.scores or wanted.score_order):
        for comparison in made:
            _require_gap(comparison, group, wanted)
    return View(comparisons=made, of_kind="pairwise", ties=ties)


def _lists(group: Group, wanted: Wanted) -> View:
    if group.ranking:
        rankings = (as_list(group),)
    else:
        sure = replace(wanted, soft_labels=False)
        pairs = (each if each.prob == 0.5 else _hardened(each, group, sure) for each in group.comparisons)
        rankings = tuple(pair_as_list(group, comparison) for comparison in pairs)
    if wanted.scores and not all(ranking.scores for ranking in rankings):
        raise _no_scores(group, wanted)
    return View(rankings=rankings, of_kind="listwise")


def _ratings(group: Group, wanted: Wanted, pairs: Pairs) -> View:
    ties = 0
    if wanted.scores:
        ratings = _rated_by_scores(group, wanted)
    elif group.ratings:
        ratings = group.ratings
    else:
        compared = _comparisons(group, wanted, pairs)
        ties = compared.ties
        ratings = tuple(rating for comparison in compared.comparisons for rating in _as_ratings(comparison))
    if wanted.desirable_only:
        ratings = tuple(rating for rating in ratings if rating.value > 0)
    return View(ratings=ratings, of_kind="unpaired", ties=ties)


def _rated_by_scores(group: Group, wanted: Wanted) -> tuple[Rating, ...]:
    """Every completion, its value the share of the group that is no better."""
    places = tuple(range(len(group.completions)))
    if len(places) < 2 or not scores_of(group, places):
        raise _no_scores(group, wanted)
    weight = sum(each.weight for each in group.comparisons) if group.comparisons else group.weight
    return tuple(Rating(index, share_no_better(group.completions, index), weight) for index in places)


def _as_ratings(comparison: Comparison) -> tuple[Rating, Rating]:
    return (
        Rating(comparison.better, comparison.prob, comparison.weight),
        Rating(comparison.worse, 1.0 - comparison.prob, comparison.weight),
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


def _require_gap(comparison: Comparison, group: Group, wanted: Wanted) -> None:
    gap = comparison.score_gap
    if gap is None:
        raise _no_scores(group, wanted)
    if not wanted.score_order or gap > 0:
        return
    scores = scores_of(group, (comparison.better, comparison.worse))
    what = f"the margin is {gap:g}" if not scores else f"chosen has the score {scores[0]:g} and rejected {scores[1]:g}"
    fix = "drop the row, or data.skip_bad=true; or train with a loss that compares scores in either order"
    what = f"{wanted.loss} needs a chosen answer with the higher score, and {what}"
    raise DataError("data.scores", what, where=group.source, fix=fix)


def _no_scores(group: Group, wanted: Wanted) -> DataError:
    if wanted.kind == "pairwise":
        has, fix = "how much better one answer is", "give score_chosen and score_rejected, or margin, or ranked scores"
    else:
        has, fix = "a score of each of several answers to a prompt", "give prompt, completions and scores"
    what = f"{wanted.loss} needs scores, and this row does not say {has}"
    return DataError("data.scores", what, where=group.source, fix=f"{fix}; or train with a loss without scores")


def _lone(group: Group, wanted: Wanted) -> DataError:
    reads = "ranks several answers" if wanted.kind == "listwise" else "compares two answers"
    return DataError(
        "data.no_pairs",
        f"{wanted.loss} {reads} to a prompt, and this row judges one on its own",
        where=group.source,
        fix="train with loss.name=kto, or loss.name=sft on the desirable rows",
    )
