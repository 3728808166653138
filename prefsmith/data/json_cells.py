"""Messages that stand as JSON in a cell of text, as tables that cannot hold lists have them."""

import re

from prefsmith.data.read import parse_json
from prefsmith.errors import DataError

# How pandas and others write a list of messages into a table: Python's form, which is not JSON.
_PYTHON_LIST = re.compile(r"\s*\[?\s*\{\s*'(role|content|from|value)'\s*:")
_JSON_LIST = re.compile(r'\s*\[?\s*\{\s*"(role|content|from|value)"\s*:')


def messages_in(text: str) -> object | None:
    """The list of messages (or one message) that a text is, as JSON; None where it is a text like any other.

    A text counts as messages only if all of it is JSON and each entry says who speaks and what.
    """
    if not _JSON_LIST.match(text):
        return None
    try:
        value = parse_json(text)
    except (ValueError, RecursionError):
        return None
    entries = value if isinstance(value, list) else [value]
    return value if all(_is_message(each) for each in entries) else None


def list_in(text: str) -> list[object] | None:
    """The list that a text is, as JSON; None where it is none."""
    try:
        value = parse_json(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def refuse_broken_list(text: str, name: str, where: str) -> None:
    """In a table, a text that begins as a list of messages was meant to be one.

    Raises:
        DataError: it is written as Python writes lists, or its JSON is cut off.
    """
    if _PYTHON_LIST.match(text):
        what = f"{name} is a list of messages in Python's form, not in JSON"
        fix = "write the column with json.dumps, or the table as parquet or JSON lines"
        raise DataError("data.type", what, where=where, fix=fix)
    if _JSON_LIST.match(text):
        what = f"{name} begins as a list of messages, and is not JSON to its end"
        raise DataError("data.type", what, where=where, fix="write the column with json.dumps; was the cell cut off?")


def _is_message(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    says = "content" in value or "value" in value or "tool_calls" in value
    return says and isinstance(value.get("role", value.get("from")), str)
