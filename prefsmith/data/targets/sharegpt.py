"""LLaMA-Factory's ShareGPT rows: turns in conversations, chosen and rejected as turns, calls of tools as turns."""

import json

from prefsmith.data.targets.account import Account
from prefsmith.data.targets.alpaca import COLUMNS, MEDIA, OUT_OF_TURN, count_extra, take_system
from prefsmith.data.targets.item import Item, Kind
from prefsmith.data.targets.target import Cells, with_labels
from prefsmith.data.tool_calls import as_call_text, keys_outside
from prefsmith.records import Message

TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
_SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}
_ASKING, _ANSWERING = ("human", "observation"), ("gpt", "function_call")


class ShareGpt:
    """LLaMA-Factory's format of turns."""

    program, lists, taken, media = "LLaMA-Factory", False, COLUMNS, MEDIA

    def __init__(self) -> None:
        self.kind: Kind = "pair"
        self.used: set[str] = set()

    def look(self, item: Item) -> None:
        """See whether there are tools and media."""
        self.kind = item.kind
        self.used |= {"tools"} if item.tools else set()
        self.used |= {name for name in MEDIA if item.foreign.get(name)}

    def cells(self, item: Item, account: Account) -> Cells | None:
        """A row; None where its turns are none that ShareGPT knows."""
        turns = list(item.messages())
        has_system = bool(turns) and turns[0].role in ("system", "developer")
        system = take_system(turns, account)
        asked, said = [_turn(each, account) for each in turns], [_turn(each, account) for each in item.said()]
        reason = _reason(asked, said)
        if reason is not None:
            account.left_out[reason] += 1
            return None
        conversation = [*([{"from": "system", "value": system}] if has_system else []), *asked]
        if item.kind == "pair":
            cells: Cells = {"conversations": conversation, "chosen": said[0], "rejected": said[1]}
        else:
            cells = {"conversations": [*conversation, said[0]]}
            cells |= {"kto_tag": item.label} if item.kind == "rating" else {}
        if "tools" in self.used:
            cells["tools"] = json.dumps(list(item.tools), ensure_ascii=False) if item.tools else ""
        return with_labels(cells, item, account)

    def entry(self, file_name: str) -> dict[str, object]:
        """The entry of dataset_info.json."""
        columns = {"messages": "conversations"}
        columns |= {"chosen": "chosen", "rejected": "rejected"} if self.kind == "pair" else {}
        columns |= {"kto_tag": "kto_tag"} if self.kind == "rating" else {}
        columns |= {name: name for name in ("tools", *MEDIA) if name in self.used}
        ranking: dict[str, object] = {"ranking": True} if self.kind == "pair" else {}
        return {"file_name": file_name, "formatting": "sharegpt", **ranking, "columns": columns, "tags": dict(TAGS)}


def _turn(message: Message, account: Account) -> dict[str, str] | None:
    """A turn as ShareGPT says it; None where it cannot."""
    if message.extra.get("tool_calls"):
        text = as_call_text(message.extra["tool_calls"])
        if text is None or message.content:
            return None
        for key in keys_outside(message.extra["tool_calls"]):
            account.lost[f"{key} of a call"] += 1
        count_extra((message,), account, known=("tool_calls",))
        return {"from": "function_call", "value": text}
    count_extra((message,), account)
    return {"from": _SPEAKERS.get(message.role, message.role), "value": message.content}


def _reason(asked: list[dict[str, str] | None], said: list[dict[str, str] | None]) -> str | None:
    """Why LLaMA-Factory would skip the row."""
    if None in asked or None in said:
        return "a call of a tool with text beside it, or in another form than name and arguments"
    speakers = [turn["from"] for turn in asked if turn is not None]
    in_turn = all(each in (_ANSWERING if place % 2 else _ASKING) for place, each in enumerate(speakers))
    return None if in_turn and len(speakers) % 2 else OUT_OF_TURN
