"""Calls of tools as ShareGPT writes them into a text, and as chat templates take them."""

import json
from collections.abc import Mapping

from prefsmith.data.read import parse_json

_HELD = ("type", "function")
"""What a call says that a text of ShareGPT holds; `type` is always `function`."""


def calls_in(text: str) -> list[dict[str, object]] | None:
    """The calls of a text: JSON with `name` and `arguments`, one or a list. None where it is anything else."""
    try:
        value = parse_json(text)
    except (ValueError, RecursionError):
        return None
    calls = value if isinstance(value, list) else [value]
    if not calls or not all(_is_call(each) for each in calls):
        return None
    return [{"type": "function", "function": call} for call in calls]


def as_call_text(calls: object) -> str | None:
    """Calls as ShareGPT's text, without their ids; None where they are none of a function by name and arguments."""
    if not isinstance(calls, list) or not calls:
        return None
    functions: list[object] = []
    for call in calls:
        function = (
            call.get("function") if isinstance(call, dict) and call.get("type", "function") == "function" else None
        )
        if not _is_call(function):
            return None
        functions.append(function)
    return json.dumps(functions[0] if len(functions) == 1 else functions, ensure_ascii=False)


def keys_outside(calls: object) -> set[str]:
    """What calls say that their text does not hold."""
    listed = calls if isinstance(calls, list) else []
    return {str(key) for call in listed if isinstance(call, dict) for key in call if key not in _HELD}


def _is_call(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"name", "arguments"} and isinstance(value["name"], str)
