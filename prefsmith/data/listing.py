"""Rows that hold several completions of a prompt in a list, and a number for each: where both of them stand.

The list holds texts, messages or lists of messages, and its numbers are another column; or it holds objects, each with
a text and its number beside whatever else was noted of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from prefsmith.data.excerpt import excerpt, excerpt_names
from prefsmith.data.json_cells import list_in
from prefsmith.data.rows import Row
from prefsmith.errors import DataError

Order = Literal["scores", "ranks"]

COLUMNS = ("completions", "answers", "responses", "outputs", "generations")
TEXTS = ("completion", "response", "answer", "text", "content")
NUMBERS: dict[str, Order] = {"score": "scores", "overall_score": "scores", "rating": "scores", "rank": "ranks"}
WRITER = "model"
"""The key of who wrote an answer."""
SPARE: dict[str, Order] = {"fine-grained_score": "scores"}  # where none of the others is there


@dataclass(frozen=True, slots=True)
class Listing:
    """Where the completions of a row and their numbers stand.

    Args:
        column: the column of the list.
        text: the key of the text in each entry; None where the entries are the completions themselves.
        order: whether the numbers are scores (larger is better) or ranks (1 is best).
        numbers: the column of the numbers, or their key in each entry.
        inside: whether it is a key.
        unread: keys of the first row's entries that nothing reads.
    """

    column: str
    text: str | None
    order: Order
    numbers: str
    inside: bool
    unread: tuple[str, ...] = ()

    def describe(self) -> str:
        """What was recognised in the list, in words."""
        column = excerpt(self.column)
        words = [] if self.text is None else [f"answers from {column}[].{excerpt(self.text)}"]
        words += [f"{self.order} from {column}[].{excerpt(self.numbers)}"] if self.inside else []
        words += ["larger scores are better" if self.order == "scores" else "rank 1 is the best"]
        words += [f"not read in {column}: {excerpt_names(self.unread)}"] if self.unread else []
        return "; ".join(words)


def list_of(value: object) -> list[object] | None:
    """The list that a cell is, or holds as JSON."""
    if isinstance(value, str):
        return list_in(value) if value.lstrip().startswith("[") else None
    return value if isinstance(value, list) else None


def find_listing(row: Row, columns: Mapping[str, str]) -> Listing | None:
    """The list of completions of a file's first row; None where no column is one that comes with numbers.

    Args:
        row: the first one.
        columns: what the user says. `completions` names the list; `scores` or `ranks` the column or the key of the
            numbers, where there are several.

    Raises:
        DataError: there are several lists, texts or numbers, and it is not clear which are meant.
    """
    if (column := _column(row, columns)) is None:
        return None
    keys = _keys(list_of(row.values[column]) or [])
    texts = [key for key in TEXTS if key in keys]
    orders = _orders(row, keys, columns)
    if not orders:
        return None
    if len(orders) > 1:
        named = " or ".join(f"data.columns.{order}={name}" for name, order, _ in orders)
        what = f"{excerpt_names(name for name, _, _ in orders)} may each say the order"
        raise DataError("data.ranking", what, where=row.source, fix=f"name one: {named}")
    if len(texts) > 1:
        what = f"the entries of {excerpt(column)} have {excerpt_names(texts)}, and each may be the answer"
        raise DataError("data.ranking", what, where=row.source, fix="keep one of these keys")
    name, order, inside = orders[0]
    if not texts or ("role" in keys and not inside):  # messages have a role and a content, and are read whole
        return Listing(column, None, order, name, inside)
    unread = tuple(key for key in keys if key not in (texts[0], WRITER) and not (inside and key == name))
    return Listing(column, texts[0], order, name, inside, unread)


def _column(row: Row, columns: Mapping[str, str]) -> str | None:
    if "completions" in columns:
        return columns["completions"]
    lists = {name: entries for name, value in row.values.items() if (entries := list_of(value)) is not None}
    beside = any(name in row.values or name in columns for name in ("scores", "ranks"))
    found = [name for name in COLUMNS if name in lists and (beside or _judged(_keys(lists[name])))]
    found = found or [name for name, entries in lists.items() if _judged(_keys(entries))]
    if len(found) > 1:
        named = " or ".join(f"data.columns.completions={excerpt(name)}" for name in found)
        what = f"{excerpt_names(found)} may each be the list of answers"
        raise DataError("data.ranking", what, where=row.source, fix=f"name it: {named}")
    return found[0] if found else None


def keys_inside(row: Row) -> set[str]:
    """The keys of the objects in all lists of a row: what `scores` and `ranks` may name beside columns."""
    lists = (list_of(value) for value in row.values.values())
    return {key for entries in lists if entries is not None for key in _keys(entries)}


def _judged(keys: Iterable[str]) -> bool:
    """Whether entries with these keys hold an answer and a number."""
    keys = set(keys)
    return bool(keys & set(TEXTS)) and bool(keys & {*NUMBERS, *SPARE})


def _keys(entries: list[object]) -> list[str]:
    """The keys of all entries, if these are objects by their first."""
    if not entries or not isinstance(entries[0], dict):
        return []
    return list(dict.fromkeys(key for entry in entries if isinstance(entry, dict) for key in entry))


def _orders(row: Row, keys: list[str], columns: Mapping[str, str]) -> list[tuple[str, Order, bool]]:
    """Columns and keys that may say the order: name, what it says, and whether it is a key of the entries."""
    named: list[Order] = [name for name in ("scores", "ranks") if name in columns]
    if named:
        return [(columns[name], name, columns[name] not in row.values) for name in named]
    found: list[tuple[str, Order, bool]] = [(name, name, False) for name in ("scores", "ranks") if name in row.values]
    for known in (NUMBERS, SPARE):
        found = found or [(key, order, True) for key, order in known.items() if key in keys]
    return found
