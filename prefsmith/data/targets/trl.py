"""TRL's preference, unpaired preference, and prompt and completion formats, as text or conversational."""

import json

from prefsmith.data.targets.account import Account
from prefsmith.data.targets.item import Item
from prefsmith.data.targets.target import Cells, with_labels


class Trl:
    """TRL's formats; a file is text throughout, or conversational throughout.

    Args:
        turns: whether texts are written as turns too. Otherwise they are where another row has turns, which TRL's
            text format cannot hold.
    """

    program, lists, media = "TRL", False, ()
    taken = frozenset({
        "prompt", "chosen", "rejected", "completion", "label", "messages", "tools", "images", "image", "text",
        "completions", "labels", "chat_template_kwargs",
    })  # fmt: skip

    def __init__(self, *, turns: bool) -> None:
        self.turns, self.tools = turns, False

    def look(self, item: Item) -> None:
        """See whether there are turns, and tools."""
        self.turns = self.turns or not item.is_text
        self.tools = self.tools or bool(item.tools)

    def cells(self, item: Item, account: Account) -> Cells:
        """A row; TRL's formats hold every item."""
        if not self.turns:
            values: list[object] = [item.prompt, *(each.content for each in item.answers)]
        else:
            if item.is_text:
                account.changed["texts as turns of user and assistant"] += 1
            values = [[each.as_dict() for each in item.messages()], *([each.as_dict()] for each in item.said())]
        names = ("prompt", "chosen", "rejected") if item.kind == "pair" else ("prompt", "completion")
        cells: Cells = dict(zip(names, values, strict=True))
        if item.kind == "rating":
            cells["label"] = item.label
        if self.tools:  # as text: schemas differ from row to row, and a table has one type for a column
            cells["tools"] = json.dumps(list(item.tools), ensure_ascii=False) if item.tools else None
        return with_labels(cells, item, account)

    def entry(self, file_name: str) -> None:
        """Nothing: TRL knows its formats by their columns."""
