"""Text of the package as Markdown that shows it as it is."""

import re
from collections.abc import Iterable, Sequence

import yaml


def prose(text: str) -> str:
    """Text whose characters mean nothing to Markdown, but for code in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if index % 2 else re.sub(r"([<*\[\]])", r"\\\1", part) for index, part in enumerate(parts))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def default(value: object) -> str:
    """A default as YAML writes it; nothing where it says that there is none."""
    if value is None or value == "" or value == {}:
        return ""
    written = yaml.safe_dump(f"{value:g}" if isinstance(value, float) else value, default_flow_style=True)
    return f"`{written.removesuffix('...' + chr(10)).strip().strip(chr(39))}`"
