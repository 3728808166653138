"""The cells of one row under our names, each checked when it is taken."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping

from prefsmith.data.excerpt import excerpt, excerpt_names
from prefsmith.data.json_cells import list_in, messages_in, refuse_broken_list
from prefsmith.data.listing import list_of
from prefsmith.data.rows import Row
from prefsmith.data.schema import Schema
from prefsmith.data.tool_calls import calls_in
from prefsmith.errors import DataError, nearest
from prefsmith.records import ROLES, Message

Prompt = str | tuple[Message, ...]

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_TRUTH = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}
_THUMBS = {"up": 1.0, "down": 0.0, "desirable": 1.0, "undesirable": 0.0}  # words that say it in any container

FOREIGN_ROLES = {"human": "user", "gpt": "assistant", "observation": "tool"}  # ShareGPT's names
CALLER = "function_call"  # ShareGPT's name for an assistant that calls tools; what it says is the call


class Cells:
    """One row under our names for its columns. Every method raises DataError where a cell is not what it should be.

    Numbers and truth values may be written as text only where the container knows nothing but text (CSV, TSV).

    Args:
        row: as it stands in its container.
        schema: what the file's rows are.
        notes: counts what was done to cells.
    """

    def __init__(self, row: Row, schema: Schema, notes: Counter[str]) -> None:
        self.row, self.columns, self.source, self.notes = row, schema.columns, row.source, notes

    def name_of(self, index: int) -> str:
        if "completions" in self.columns:
            return f"{self.columns['completions']}[{index}]"
        name = ("chosen", "rejected")[index] if "chosen" in self.columns else "completion"
        theirs = self.columns.get(name, name)
        return name if theirs == name else f"{theirs} ({name})"

    def required(self, name: str) -> object:
        theirs = self.columns[name]
        if theirs not in self.row.values:
            raise DataError(
                "data.column",
                f"missing {excerpt(theirs)}; the row has {excerpt_names(self.row.values)}",
                where=self.source,
                fix=f"every row has the columns of the first one ({nearest(theirs, self.row.values)})",
            )
        return self.row.values[theirs]

    def optional(self, name: str) -> object:
        return self.row.values.get(self.columns.get(name, name))

    def content(self, name: str) -> Prompt:
        return self.content_of(self.required(name), name)

    def content_of(self, value: object, name: str) -> Prompt:
        """A text or messages; `name` is a column of ours, or the place of the value, such as `answers[2].text`."""
        value = self._messages_in_text(value, name)
        if isinstance(value, list):
            return self._as_messages(value, name)
        if isinstance(value, dict):
            return self._as_messages([value], name)
        return self.text_of(value, name)

    def _messages_in_text(self, value: object, name: str) -> object:
        """A list of messages that is written as JSON into a text; every other value as it is."""
        if not isinstance(value, str):
            return value
        found = messages_in(value)
        if found is None:
            if not self.row.typed:
                refuse_broken_list(value, self.columns.get(name, name), self.source)
            return value
        column = self.columns.get(name, name).partition("[")[0]
        self.notes[f"cells of {column} are JSON text, read as messages"] += 1
        return found

    def messages(self, name: str) -> tuple[Message, ...]:
        value = self.content(name)
        if isinstance(value, str):
            what, fix = f"{name} is a text, not a list of messages", 'for example [{"role": "user", "content": "..."}]'
            raise DataError("data.type", what, where=self.source, fix=fix)
        return value

    def optional_text(self, name: str) -> str:
        value = self.optional(name)
        return "" if value is None else self.text_of(value, name)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        if name not in self.columns:
            return default
        value = self.number_of(self.required(name), self.columns[name])
        if not low <= value <= high:  # NaN is in no range
            code = "data.probability" if name == "prob" else "data.weight"
            what = f"{self.columns[name]} is {value}, outside [{low:g}, {high:g}]"
            fix = "it is the probability that chosen is better" if name == "prob" else "give a finite number >= 0"
            raise DataError(code, what, where=self.source, fix=fix)
        return float(value)

    def number_of(self, value: object, shown: str) -> int | float:
        """A number as it stands, NaN among them; `shown` is its name in messages."""
        if not self.row.typed and isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            what = f"{excerpt(shown)} is {_shown(value)}, not a number"
            fix = "give a number in every row, with a point for decimals (0.8)"
            raise DataError("data.type", what, where=self.source, fix=fix)
        return value

    def score_of(self, value: object, shown: str) -> float:
        """A finite number."""
        number = _as_float(self.number_of(value, shown))
        if not math.isfinite(number):
            what = f"{excerpt(shown)} is {number}, not a finite number"
            raise DataError("data.type", what, where=self.source, fix="give a finite number, or drop the row")
        return number

    def score(self, name: str) -> float | None:
        """A judge's number; None where the row has none."""
        if name not in self.columns or self.optional(name) is None:
            return None
        return self.score_of(self.optional(name), self.columns[name])

    def entries(self, name: str) -> list[object]:
        """A list, also where the container holds it as JSON text."""
        value, theirs = self.required(name), self.columns[name]
        found = list_of(value)
        if found is None:
            what = f"{excerpt(theirs)} is {_kind_of(value)}, not a list"
            fix = "give a list in every row; in a table or a text, as JSON (json.dumps)"
            raise DataError("data.type", what, where=self.source, fix=fix)
        if isinstance(value, str):
            self.notes[f"cells of {excerpt(theirs)} are JSON text, read as lists"] += 1
        return found

    def weight(self) -> float:
        return self.number("weight", 1.0, 0.0, 1e12)

    def truth(self) -> float:
        """The label of a rating: 1 for desirable, 0 for undesirable."""
        value = self.required("label")
        if isinstance(value, bool) or value in (0, 1):
            return float(bool(value))
        word = value.strip().lower() if isinstance(value, str) else ""
        if word in _THUMBS or (not self.row.typed and word in _TRUTH):
            return _THUMBS.get(word, _TRUTH.get(word, 0.0))
        name = self.columns["label"]
        what = f"{name} is {_shown(value)}; it is true for a desirable answer and false for an undesirable one"
        raise DataError("data.label", what, where=self.source, fix="give true or false, or up or down")

    def identity(self) -> str:
        value = self.optional("id")
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else self.source

    def tags(self) -> tuple[str, ...]:
        value = self.optional("tags")
        values = value if isinstance(value, list) else [] if value is None else [value]
        return tuple(str(tag) for tag in values)

    def tools(self) -> tuple[Mapping[str, object], ...]:
        value = self.optional("tools")
        if value is None:
            return ()
        if isinstance(value, str):
            value = list_in(value)
        if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
            what, fix = "tools is not a list of JSON schemas", "give a list of objects, or null"
            raise DataError("data.type", what, where=self.source, fix=fix)
        self._require_finite(value, "tools")
        return tuple(tool for tool in value if isinstance(tool, dict))

    def text_of(self, value: object, name: str) -> str:
        """A text without half characters; `name` as for `content_of`."""
        if not isinstance(value, str):
            theirs = self.columns.get(name, name)
            if value is None and not self.row.typed:
                fix = "fill the cell, or drop the row; data.skip_bad=true does"
                raise DataError("data.empty", f"{theirs} is empty", where=self.source, fix=fix)
            what = f"{theirs} is {_kind_of(value)}, not a text"
            raise DataError("data.type", what, where=self.source, fix="give a text, or a list of messages")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            what = f"{self.columns.get(name, name)} holds a lone surrogate, which is no character, at {error.start}"
            fix = "the text was cut inside an emoji or read with a wrong encoding; write it anew"
            raise DataError("data.encoding", what, where=self.source, fix=fix) from None
        return value

    def _as_messages(self, values: list[object], name: str) -> tuple[Message, ...]:
        return tuple(self._message(value, f"{name}[{index}]") for index, value in enumerate(values))

    def _message(self, value: object, name: str) -> Message:
        if not isinstance(value, dict):
            what = f"{name} is {_kind_of(value)}, not a message"
            raise DataError("data.type", what, where=self.source, fix='a message is {"role": "user", "content": "..."}')
        fields = dict(value)
        role = fields.pop("role", fields.pop("from", None))
        if role == CALLER:
            return self._call(fields.pop("content", fields.pop("value", None)), fields, name)
        role = FOREIGN_ROLES.get(role, role) if isinstance(role, str) else role
        if not isinstance(role, str) or role not in ROLES:
            raise DataError("data.role", f"{name} has the role {_shown(role)}", where=self.source,
                            fix=nearest(str(role), ROLES))  # fmt: skip
        content = fields.pop("content", fields.pop("value", None))
        if content is None and fields:
            content = ""  # a message that only calls tools
        if fields:
            self._require_finite(fields, name)
        return Message(role, self.text_of(content, f"{name}.content"), fields)

    def _require_finite(self, value: object, name: str) -> None:
        """Readers of JSON let NaN and Infinity pass, which templates would write into the text and no file can hold."""
        try:
            json.dumps(value, allow_nan=False, default=str)
        except ValueError:
            what = f"{self.columns.get(name, name)} holds NaN or Infinity, which is no number in JSON"
            fix = "give a finite number, null, or the word as a text"
            raise DataError("data.type", what, where=self.source, fix=fix) from None

    def _call(self, value: object, fields: Mapping[str, object], name: str) -> Message:
        """A turn that calls tools, as chat templates take it."""
        calls = calls_in(value) if isinstance(value, str) else None
        if calls is None:
            what = f"{name} is a call of a tool, and not JSON with its name and arguments: {_shown(value)}"
            fix = 'for example {"name": "clock", "arguments": {"zone": "UTC"}}, or a list of such'
            raise DataError("data.messages", what, where=self.source, fix=fix)
        fields = {**fields, "tool_calls": calls}
        self._require_finite(fields, name)
        return Message("assistant", "", fields)


def _as_float(value: float) -> float:
    """JSON has whole numbers of any length."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _kind_of(value: object) -> str:
    names = {bool: f"the boolean {str(value).lower()}", type(None): "null", dict: "an object", list: "a list"}
    if isinstance(value, str):
        return f"the text {_shown(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"the number {excerpt(str(value))}"
    return names.get(type(value), f"of the type {type(value).__name__}")


def _shown(value: object) -> str:
    """The value as Python writes it, cut, with control characters visible."""
    return excerpt(repr(value), 80)
