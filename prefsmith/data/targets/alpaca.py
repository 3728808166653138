"""LLaMA-Factory's Alpaca rows: instruction, chosen and rejected, or output and kto_tag; earlier turns in history."""

import json

from prefsmith.data.targets.account import Account
from prefsmith.data.targets.item import Item, Kind
from prefsmith.data.targets.target import Cells, with_labels
from prefsmith.records import Message

MEDIA: tuple[str, ...] = ("images", "videos", "audios")
COLUMNS = frozenset({"instruction", "input", "output", "history", "system", "tools", "chosen", "rejected", "kto_tag",
                     "prompt", "query", "response", "conversations", "messages"})  # fmt: skip


class Alpaca:
    """LLaMA-Factory's default format. It has texts alone: no turn in it calls a tool."""

    program, lists, taken, media = "LLaMA-Factory", False, COLUMNS, MEDIA

    def __init__(self) -> None:
        self.kind: Kind = "pair"
        self.used: set[str] = set()

    def look(self, item: Item) -> None:
        """See which of the columns that are not in every file are needed."""
        self.kind = item.kind
        if not isinstance(parts := _parts(item, Account()), str):
            self.used |= {name for name, value in parts.items() if value}
        self.used |= {name for name in MEDIA if item.foreign.get(name)}

    def cells(self, item: Item, account: Account) -> Cells | None:
        """A row; None where its turns are none that Alpaca knows."""
        parts = _parts(item, account)
        if isinstance(parts, str):
            account.left_out[parts] += 1
            return None
        cells: Cells = {name: value for name, value in parts.items() if name == "instruction" or name in self.used}
        answers = [each.content for each in item.said()]
        if item.kind == "pair":
            cells |= {"chosen": answers[0], "rejected": answers[1]}
        else:
            cells |= {"output": answers[0]} | ({"kto_tag": item.label} if item.kind == "rating" else {})
        return with_labels(cells, item, account)

    def entry(self, file_name: str) -> dict[str, object]:
        """The entry of dataset_info.json."""
        columns = {"prompt": "instruction"}
        if self.kind == "pair":
            columns |= {"chosen": "chosen", "rejected": "rejected"}
        else:
            columns |= {"response": "output"} | ({"kto_tag": "kto_tag"} if self.kind == "rating" else {})
        columns |= {name: name for name in ("system", "history", "tools", *MEDIA) if name in self.used}
        ranking: dict[str, object] = {"ranking": True} if self.kind == "pair" else {}
        return {"file_name": file_name, **ranking, "columns": columns}


def _parts(item: Item, account: Account) -> Cells | str:
    """The prompt in Alpaca's columns, or why it has no place there."""
    turns, said = list(item.messages()), item.said()
    if any("tool_calls" in each.extra or each.role == "tool" for each in (*turns, *said)):
        return "a call of a tool, which llamafactory-sharegpt holds"
    system = take_system(turns, account)
    if [each.role for each in turns] != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        return OUT_OF_TURN
    count_extra((*turns, *said), account)
    history = [[asked.content, answer.content] for asked, answer in zip(turns[:-1:2], turns[1::2], strict=True)]
    tools = json.dumps(list(item.tools), ensure_ascii=False) if item.tools else ""
    return {"instruction": turns[-1].content, "system": system, "history": history, "tools": tools}


OUT_OF_TURN = "turns that are not the user's and the assistant's by turns, the user's last"


def take_system(turns: list[Message], account: Account) -> str:
    """The system prompt, taken from the front of the turns."""
    if not turns or turns[0].role not in ("system", "developer"):
        return ""
    first = turns.pop(0)
    count_extra((first,), account)
    if first.role == "developer":
        account.changed["the developer's turn as the system's"] += 1
    return first.content


def count_extra(messages: tuple[Message, ...], account: Account, known: tuple[str, ...] = ()) -> None:
    """Count what messages say beside role and content: the format has no place for it."""
    for key in sorted({key for each in messages for key, value in each.extra.items() if key not in known and value}):
        account.lost[f"{key} of a message"] += 1
