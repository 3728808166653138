"""The cells of one row under our names, each checked when it is taken."""

from collections.abc import Mapping

from prefsmith.data.read import Row
from prefsmith.data.schema import Schema
from prefsmith.errors import DataError, nearest
from prefsmith.records import ROLES, Message

Prompt = str | tuple[Message, ...]

FOREIGN_ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's names


class Cells:
    """One row under our names for its columns. Every method raises DataError where a cell is not what it should be."""

    def __init__(self, row: Row, schema: Schema) -> None:
        self.row, self.columns, self.source = row, schema.columns, row.source

    def name_of(self, index: int) -> str:
        return ("chosen", "rejected")[index] if "chosen" in self.columns else "completion"

    def required(self, name: str) -> object:
        theirs = self.columns[name]
        if theirs not in self.row.values:
            raise DataError(
                "data.column",
                f"missing {theirs}; the row has {', '.join(self.row.values)}",
                where=self.source,
                fix=f"every row has the columns of the first one ({nearest(theirs, self.row.values)})",
            )
        return self.row.values[theirs]

    def optional(self, name: str) -> object:
        return self.row.values.get(self.columns.get(name, name))

    def content(self, name: str) -> Prompt:
        value = self.required(name)
        if isinstance(value, list):
            return self._as_messages(value, name)
        if isinstance(value, dict):
            return self._as_messages([value], name)
        return self._as_text(value, name)

    def messages(self, name: str) -> tuple[Message, ...]:
        value = self.content(name)
        if isinstance(value, str):
            what, fix = f"{name} is a text, not a list of messages", 'for example [{"role": "user", "content": "..."}]'
            raise DataError("data.type", what, where=self.source, fix=fix)
        return value

    def optional_text(self, name: str) -> str:
        value = self.optional(name)
        return "" if value is None else self._as_text(value, name)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        if name not in self.columns:
            return default
        value = self.required(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            what = f"{self.columns[name]} is {value!r}, not a number"
            raise DataError("data.type", what, where=self.source, fix="give a number in every row")
        if not low <= value <= high:  # NaN is in no range
            code = "data.probability" if name == "prob" else "data.weight"
            what = f"{self.columns[name]} is {value}, outside [{low:g}, {high:g}]"
            fix = "it is the probability that chosen is better" if name == "prob" else "give a finite number >= 0"
            raise DataError(code, what, where=self.source, fix=fix)
        return float(value)

    def weight(self) -> float:
        return self.number("weight", 1.0, 0.0, 1e12)

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
        if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
            what, fix = "tools is not a list of JSON schemas", "give a list of objects, or null"
            raise DataError("data.type", what, where=self.source, fix=fix)
        return tuple(value)

    def _as_text(self, value: object, name: str) -> str:
        if not isinstance(value, str):
            what = f"{self.columns.get(name, name)} is {_kind_of(value)}, not a text"
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
        role = FOREIGN_ROLES.get(role, role) if isinstance(role, str) else role
        if not isinstance(role, str) or role not in ROLES:
            raise DataError("data.role", f"{name} has the role {role!r}", where=self.source,
                            fix=nearest(str(role), ROLES))  # fmt: skip
        content = fields.pop("content", fields.pop("value", None))
        if content is None and fields:
            content = ""  # a message that only calls tools
        return Message(role, self._as_text(content, f"{name}.content"), fields)


def _kind_of(value: object) -> str:
    names = {bool: f"the boolean {str(value).lower()}", type(None): "null", dict: "an object", list: "a list"}
    return names.get(type(value), f"the number {value}")
