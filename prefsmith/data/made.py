"""What was made of a file for each loss, in words."""

from collections.abc import Iterable, Sequence

from prefsmith.data.ranking import Pairs
from prefsmith.data.views import Labelled, View, Wanted
from prefsmith.records import Group

Row = tuple[Group, View]


def made_of(rows: Iterable[Labelled], wanted: Sequence[Wanted], pairs: Pairs) -> list[str]:
    """A line for each loss term."""
    rows = list(rows)
    return [describe([(row.group, row.views[term]) for row in rows], each, pairs) for term, each in enumerate(wanted)]


def describe(rows: Sequence[Row], wanted: Wanted, pairs: Pairs = "all") -> str:
    """What is made of the rows for this loss, in a line."""
    words = {"pairwise": _comparisons, "unpaired": _ratings, "listwise": _lists}[wanted.kind](rows, wanted, pairs)
    ties = sum(view.ties for _, view in rows)
    left_out = f"; {_counted(ties, 'tie')} left out" if ties else ""
    return f"{words} for {wanted.loss}{left_out}"


def _comparisons(rows: Sequence[Row], _wanted: Wanted, pairs: Pairs) -> str:
    compared = [each for _, view in rows for each in view.comparisons]
    made = _counted(len(compared), "comparison")
    if tied := sum(each.prob == 0.5 for each in compared):
        made = f"{made}, {tied:,} of them {'ties' if tied > 1 else 'a tie'} (probability 0.5),"
    return f"{made} of {_ranked(rows, pairs)}" if _ranked(rows, pairs) else made


def _ratings(rows: Sequence[Row], wanted: Wanted, pairs: Pairs) -> str:
    made = [rating for _, view in rows for rating in view.ratings]
    if wanted.scores:
        return f"{_counted(len(made), 'completion')} rated by the scores of {_counted(len(rows), 'list')}"
    good, bad = sum(rating.value > 0.5 for rating in made), sum(rating.value < 0.5 for rating in made)
    counts = f"{good:,} desirable and {bad:,} undesirable completions"
    if tied := len(made) - good - bad:
        counts = f"{good:,} desirable, {bad:,} undesirable and {tied:,} tied completions"
    origin = _ranked(rows, pairs) or ("pairs" if any(group.comparisons for group, _ in rows) else "")
    return f"{counts} made of {origin}" if origin else counts


def _lists(rows: Sequence[Row], _wanted: Wanted, _pairs: Pairs) -> str:
    lengths = [len(ranking.order) for _, view in rows for ranking in view.rankings]
    made = _counted(len(lengths), "ranked list")
    if not lengths:
        return made
    tied = sum(not any(ranking.tiers) for _, view in rows for ranking in view.rankings)
    tied_words = f", {tied:,} of them tied throughout," if tied else ""
    if any(group.comparisons and not group.ranking for group, _ in rows):
        return f"{made} of 2 completions made of pairs{tied_words}"
    least, most = min(lengths), max(lengths)
    return f"{made} ({least if least == most else f'{least} to {most}'} completions){tied_words}"


def _ranked(rows: Sequence[Row], pairs: Pairs) -> str:
    """The lists that comparisons were made of; empty where the rows are pairs."""
    count = sum(bool(group.ranking) and not group.comparisons for group, _ in rows)
    return f"{_counted(count, 'ranked list')} (data.pairs={pairs})" if count else ""


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
