"""What a format has to say of itself, and what the formats share."""

import json
from typing import Protocol, runtime_checkable

from prefsmith.data.targets.account import Account
from prefsmith.data.targets.item import Item
from prefsmith.data.votes.forms import EVIDENCE

Cells = dict[str, object]

LABELS = ("id", "tags", "prob", "weight", "score_chosen", "score_rejected", "margin", "votes")
"""Columns of ours that no other program reads; `prefsmith convert` takes them back from the rows."""
_SURE = {"prob": 1.0, "weight": 1.0}


@runtime_checkable
class Target(Protocol):
    """A format that rows are written in. All items are looked at before the first one is written."""

    @property
    def program(self) -> str:
        """Whose format it is."""
        ...

    @property
    def lists(self) -> bool:
        """Whether it has ranked lists, ties and probabilities."""
        ...

    @property
    def taken(self) -> frozenset[str]:
        """Names of columns that the program reads: no foreign column may have one."""
        ...

    @property
    def media(self) -> tuple[str, ...]:
        """Foreign columns that the program reads as they are."""
        ...

    def look(self, item: Item) -> None:
        """Take note of what an item needs, so that every row has the same columns."""
        ...

    def cells(self, item: Item, account: Account) -> Cells | None:
        """The row of an item, which the account is of; None where the format cannot hold it, which is counted."""
        ...

    def entry(self, file_name: str) -> dict[str, object] | None:
        """What the program has to be told about the file; None where nothing."""
        ...


def with_labels(cells: Cells, item: Item, account: Account) -> Cells:
    """A row for another program with our labels beside it: it does not read them, and is the same row for us."""
    for name in (name for name in LABELS if name in item.beside):
        cells[name] = value = item.beside[name]
        if value is not None and value != _SURE.get(name):
            account.unread[name] += 1
    return cells


def with_foreign(cells: Cells, item: Item, target: Target, account: Account) -> Cells:
    """A row with the columns that nobody looked at, where the format leaves their names free and JSON has the value."""
    for name, value in item.foreign.items():
        if value is None:
            continue
        stale = item.renamed and name in EVIDENCE  # a vote for a side that has another name now, or none
        if stale or name in target.taken or name in cells or not _is_json(value):
            account.lost[name] += 1
        else:
            cells[name] = value
            if name not in target.media:
                account.unread[name] += 1
    return cells


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
