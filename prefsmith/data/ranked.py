"""From a row with several completions of a prompt to completions with scores, and tiers."""

from prefsmith.data.cells import Cells, Prompt
from prefsmith.data.excerpt import excerpt
from prefsmith.data.listing import WRITER, Listing
from prefsmith.data.ranking import Tier, tiers_by
from prefsmith.errors import DataError
from prefsmith.wording import counted

Answers = list[Prompt]


def ranked_answers(cell: Cells, listing: Listing) -> tuple[Answers, list[float], tuple[Tier, ...]]:
    """The answers of a row, their scores where it has scores, and tiers of places, best first.

    Raises:
        DataError: a list is no list, there are fewer than two answers or not as many numbers, two answers are the
            same, or an entry is not what it should be; with its place in the list.
    """
    entries = cell.entries("completions")
    column = excerpt(listing.column)
    if len(entries) < 2:
        what = f"{column} has {counted(len(entries), 'answer')}, and a list ranks at least two"
        raise DataError("data.ranking", what, where=cell.source, fix="drop the row, or data.skip_bad=true")
    if listing.text is not None or listing.inside:
        _require_objects(cell, entries, listing)
    answers = [_answer(cell, entry, f"{column}[{place}]", listing) for place, entry in enumerate(entries)]
    _refuse_equal(cell, answers, column)
    numbers = _numbers(cell, entries, listing)
    if listing.order == "scores":
        return answers, numbers, tiers_by(numbers, largest_first=True)
    return answers, [], tiers_by(numbers, largest_first=False)


def writers_of(cell: Cells) -> list[str | None]:
    """Who wrote each answer of a row; None where the entry does not say."""
    names = [entry.get(WRITER) if isinstance(entry, dict) else None for entry in cell.entries("completions")]
    return [name if isinstance(name, str) and name else None for name in names]


def _answer(cell: Cells, entry: object, place: str, listing: Listing) -> Prompt:
    if listing.text is None or not isinstance(entry, dict):
        return cell.content_of(entry, place)
    unread = entry.keys() - {listing.text, WRITER, *((listing.numbers,) if listing.inside else ())}
    if unread:
        cell.notes[f"entries of {excerpt(listing.column)} have keys that are not read"] += 1
    return cell.content_of(_of_key(cell, entry, listing.text, place), f"{place}.{excerpt(listing.text)}")


def _numbers(cell: Cells, entries: list[object], listing: Listing) -> list[float]:
    if listing.inside:
        values = [
            (_of_key(cell, entry, listing.numbers, f"{excerpt(listing.column)}[{place}]"), _place(listing, place))
            for place, entry in enumerate(entries)
            if isinstance(entry, dict)
        ]
    else:
        there = cell.entries(listing.order)
        if len(there) != len(entries):
            numbers = counted(len(there), "number")
            what = f"{excerpt(listing.numbers)} has {numbers} for {len(entries)} answers"
            fix = "give one number for each answer, in the same order"
            raise DataError("data.ranking", what, where=cell.source, fix=fix)
        values = [(value, f"{excerpt(listing.numbers)}[{place}]") for place, value in enumerate(there)]
    numbers = [cell.score_of(value, place) for value, place in values]
    if listing.order == "ranks":
        for number, (_, place) in zip(numbers, values, strict=True):
            if number < 1:
                what = f"{place} is {number:g}, and ranks count from 1, the best"
                fix = "count from 1; or if larger is better, call the numbers scores"
                raise DataError("data.ranking", what, where=cell.source, fix=fix)
    return numbers


def _place(listing: Listing, place: int) -> str:
    return f"{excerpt(listing.column)}[{place}].{excerpt(listing.numbers)}"


def _require_objects(cell: Cells, entries: list[object], listing: Listing) -> None:
    keys = [key for key in (listing.text, listing.numbers if listing.inside else None) if key is not None]
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            what = f"{excerpt(listing.column)}[{place}] is no object, and those of the first row are"
            fix = f"every entry has {' and '.join(map(excerpt, keys))}"
            raise DataError("data.ranking", what, where=cell.source, fix=fix)


def _of_key(cell: Cells, entry: dict[str, object], key: str, place: str) -> object:
    if key not in entry:
        what = f"{place} has no {excerpt(key)}"
        fix = "give it to every entry, or drop the row; data.skip_bad=true does"
        raise DataError("data.ranking", what, where=cell.source, fix=fix)
    return entry[key]


def _refuse_equal(cell: Cells, answers: Answers, column: str) -> None:
    for place, answer in enumerate(answers):
        if answer in answers[:place]:
            what = f"{column}[{answers.index(answer)}] and {column}[{place}] are the same answer"
            fix = "keep one of them, or drop the row; data.skip_bad=true does"
            raise DataError("data.identical", what, where=cell.source, fix=fix)
