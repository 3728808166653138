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
    made = _counted(sum(len(view.comparisons) for _, view in rows), "comparison")
    return f"{made} of {_ranked(rows, pairs)}" if _ranked(rows, pairs) else made


def _ratings(rows: Sequence[Row], wanted: Wanted, pairs: Pairs) -> str:
    made = [rating for _, view in rows for rating in view.ratings]
    if wanted.scores:
        return f"{_counted(len(made), 'completion')} rated by the scores of {_counted(len(rows), 'list')}"
    good = sum(rating.value > 0.5 for rating in made)
    origin = _ranked(rows, pairs) or ("pairs" if any(group.comparisons for group, _ in rows) else "")
    counts = f"{good:,} desirable and {len(made) - good:,} undesirable completions"
    return f"{counts} made of {origin}" if origin else counts


def _lists(rows: Sequence[Row], _wanted: Wanted, _pairs: Pairs) -> str:
    lengths = [len(ranking.order) for _, view in rows for ranking in view.rankings]
    made = _counted(len(lengths), "ranked list")
    if not lengths:
        return made
    if any(group.comparisons and not group.ranking for group, _ in rows):
        return f"{made} of 2 completions made of pairs"
    least, most = min(lengths), max(lengths)
    return f"{made} ({least if least == most else f'{least} to {most}'} completions)"


def _ranked(rows: Sequence[Row], pairs: Pairs) -> str:
    """The lists that comparisons were made of; empty where the rows are pairs."""
    count = sum(bool(group.ranking) and not group.comparisons for group, _ in rows)
    return f"{_counted(count, 'ranked list')} (data.pairs={pairs})" if count else ""


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
