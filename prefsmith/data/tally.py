"""What the rows of a side hold for each loss, counted as they are read: they are too many to be looked at again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prefsmith.data.views import Labelled, View, Wanted
from prefsmith.records import Group


@dataclass(slots=True)
class Tally:
    """Labels of one loss term.

    Args:
        rows: how many were looked at.
        labels: comparisons, ratings and lists.
        weighty: those of them with a weight above 0.
        ties: comparisons of tied completions that were left out.
        comparisons: of the labels.
        even: comparisons of probability one half.
        ratings: of the labels.
        good: ratings above one half.
        bad: ratings below one half.
        weighty_good: those with a weight above 0.
        weighty_bad: those with a weight above 0.
        weighty_ratings: ratings with a weight above 0.
        lists: of the labels.
        tied_lists: lists in which nothing is better than anything.
        weighty_lists: lists with a weight above 0.
        weighty_ordered: those of them in which something is better.
        shortest: completions of the shortest list.
        longest: completions of the longest list.
        ranked_rows: rows with a ranking and without comparisons.
        compared_rows: rows with comparisons.
        pair_rows: rows with comparisons and without a ranking.
    """

    rows: int = 0
    labels: int = 0
    weighty: int = 0
    ties: int = 0
    comparisons: int = 0
    even: int = 0
    ratings: int = 0
    good: int = 0
    bad: int = 0
    weighty_good: int = 0
    weighty_bad: int = 0
    weighty_ratings: int = 0
    lists: int = 0
    tied_lists: int = 0
    weighty_lists: int = 0
    weighty_ordered: int = 0
    shortest: int = 0
    longest: int = 0
    ranked_rows: int = 0
    compared_rows: int = 0
    pair_rows: int = 0

    def add(self, group: Group, view: View) -> None:
        """Count a row."""
        self.rows += 1
        self.ranked_rows += bool(group.ranking) and not group.comparisons
        self.compared_rows += bool(group.comparisons)
        self.pair_rows += bool(group.comparisons) and not group.ranking
        self.add_labels(view)
        self.comparisons += len(view.comparisons)
        self.even += sum(each.prob == 0.5 for each in view.comparisons)
        for rating in view.ratings:
            good, bad, weighty = rating.value > 0.5, rating.value < 0.5, rating.weight > 0
            self.good += good
            self.bad += bad
            self.weighty_good += good and weighty
            self.weighty_bad += bad and weighty
            self.weighty_ratings += weighty
        self.ratings += len(view.ratings)
        for ranking in view.rankings:
            size, ordered, weighty = len(ranking.order), any(ranking.tiers), ranking.weight > 0
            self.shortest = min(self.shortest, size) if self.lists else size
            self.longest = max(self.longest, size)
            self.lists += 1
            self.tied_lists += not ordered
            self.weighty_lists += weighty
            self.weighty_ordered += weighty and ranking.tiers[-1] > 0

    def add_labels(self, view: View) -> None:
        """Count its labels, and which of them weigh something."""
        labels = view.labels()
        self.labels += len(labels)
        self.weighty += sum(bool(each.weight) for each in labels)
        self.ties += view.ties

    def join(self, others: "Tally") -> None:
        """Add the labels of further rows."""
        self.rows += others.rows
        self.labels += others.labels
        self.weighty += others.weighty
        self.ties += others.ties


@dataclass(slots=True)
class Census:
    """A tally for each loss term, and whether there is more than one prompt.

    Args:
        tallies: one per term.
        rows: how many were counted.
        prompts: the keys of the first two different ones.
    """

    tallies: list[Tally]
    rows: int = 0
    prompts: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, rows: Iterable[Labelled], wanted: Sequence[Wanted]) -> "Census":
        """Count rows."""
        census = cls([Tally() for _ in wanted])
        for row in rows:
            census.add(row)
        return census

    def add(self, row: Labelled) -> None:
        """Count a row, which has a view for each term."""
        self.rows += 1
        if len(self.prompts) < 2:
            self.prompts.add(row.group.prompt_key())
        for tally, view in zip(self.tallies, row.views, strict=True):
            tally.add(row.group, view)
