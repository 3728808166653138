"""What was made of a file for each loss, in words."""

from collections.abc import Iterable, Sequence

from prefsmith.data.ranking import Pairs
from prefsmith.data.tally import Tally
from prefsmith.data.views import View, Wanted
from prefsmith.records import Group
from prefsmith.wording import counted


def made_of(tallies: Sequence[Tally], wanted: Sequence[Wanted], pairs: Pairs) -> list[str]:
    """A line for each loss term."""
    return [_line(tally, each, pairs) for tally, each in zip(tallies, wanted, strict=True)]


def describe(rows: Iterable[tuple[Group, View]], wanted: Wanted, pairs: Pairs = "all") -> str:
    """What is made of the rows for this loss, in a line."""
    tally = Tally()
    for group, view in rows:
        tally.add(group, view)
    return _line(tally, wanted, pairs)


def _line(tally: Tally, wanted: Wanted, pairs: Pairs) -> str:
    words = {"pairwise": _comparisons, "unpaired": _ratings, "listwise": _lists}[wanted.kind](tally, wanted, pairs)
    left_out = f"; {counted(tally.ties, 'tie')} left out" if tally.ties else ""
    return f"{words} for {wanted.loss}{left_out}"


def _comparisons(tally: Tally, _wanted: Wanted, pairs: Pairs) -> str:
    made = counted(tally.comparisons, "comparison")
    if tied := tally.even:
        made = f"{made}, {tied:,} of them {'ties' if tied > 1 else 'a tie'} (probability 0.5),"
    return f"{made} of {_ranked(tally, pairs)}" if _ranked(tally, pairs) else made


def _ratings(tally: Tally, wanted: Wanted, pairs: Pairs) -> str:
    if wanted.scores:
        return f"{counted(tally.ratings, 'completion')} rated by the scores of {counted(tally.rows, 'list')}"
    good, bad = tally.good, tally.bad
    counts = f"{good:,} desirable and {bad:,} undesirable completions"
    if tied := tally.ratings - good - bad:
        counts = f"{good:,} desirable, {bad:,} undesirable and {tied:,} tied completions"
    origin = _ranked(tally, pairs) or ("pairs" if tally.compared_rows else "")
    return f"{counts} made of {origin}" if origin else counts


def _lists(tally: Tally, _wanted: Wanted, _pairs: Pairs) -> str:
    made = counted(tally.lists, "ranked list")
    if not tally.lists:
        return made
    tied_words = f", {tally.tied_lists:,} of them tied throughout," if tally.tied_lists else ""
    if tally.pair_rows:
        return f"{made} of 2 completions made of pairs{tied_words}"
    least, most = tally.shortest, tally.longest
    return f"{made} ({least if least == most else f'{least} to {most}'} completions){tied_words}"


def _ranked(tally: Tally, pairs: Pairs) -> str:
    """The lists that comparisons were made of; empty where the rows are pairs."""
    return f"{counted(tally.ranked_rows, 'ranked list')} (data.pairs={pairs})" if tally.ranked_rows else ""
