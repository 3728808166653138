"""Texts of the user's as they are shown in a message: on one line, cut, with control characters visible."""

import json
from collections.abc import Iterable, Mapping


def excerpt(text: str, width: int = 60) -> str:
    """The beginning of a text. Control characters and marks that change the direction of text are written as escapes.

    Args:
        text: any text.
        width: most characters of it; a cut one ends in `…`.
    """
    cut = text if len(text) <= width else text[: max(width - 1, 1)] + "…"
    return "".join(each if each.isprintable() else _escape(each) for each in cut)


def excerpt_names(names: Iterable[str], most: int = 16) -> str:
    """Names of columns or files, as a list in words."""
    known = list(names)
    shown = ", ".join(excerpt(name, 40) for name in known[:most]) or "nothing"
    return f"{shown} and {len(known) - most} more" if len(known) > most else shown


def excerpt_row(values: Mapping[str, object], width: int = 300) -> str:
    """A row in the manner of JSON, each cell and the whole cut."""
    cells = [f'"{excerpt(name, 40)}": {_cell(value)}' for name, value in values.items()]
    return excerpt("{" + ", ".join(cells) + "}", width)


def _cell(value: object) -> str:
    if isinstance(value, str):
        return '"' + excerpt(value, 48) + '"'
    try:
        return excerpt(json.dumps(value, ensure_ascii=False), 48)
    except (TypeError, ValueError, RecursionError):
        return excerpt(repr(type(value).__name__))


def _escape(character: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character) or f"\\u{ord(character):04x}"
