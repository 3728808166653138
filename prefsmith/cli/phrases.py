"""Numbers, places and commands in words."""

import shlex
from collections.abc import Sequence
from pathlib import Path

FEW_PLACES = 5
"""Places of a kind that are named."""


def command_lines(words: Sequence[str], width: int) -> list[str]:
    """The command in lines that can be copied whole; a word is never broken."""
    lines = [""]
    for word in _with_values(words):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return [
        "  " * (1 + (number > 0)) + line + (" \\" if number + 1 < len(lines) else "")
        for number, line in enumerate(lines)
    ]


def _with_values(words: Sequence[str]) -> list[str]:
    """Each word quoted, an option together with its value."""
    joined: list[str] = []
    option = False
    for word in words:
        if option and not word.startswith("--"):
            joined[-1] += f" {shlex.quote(word)}"
        else:
            joined.append(shlex.quote(word))
        option = word.startswith("--") and "=" not in word
    return joined


def place_words(places: Sequence[str], count: int) -> str:
    """Where rows stand: `pairs.jsonl:3, :5, :9 and 12 more`. The folder was named with the file."""
    shown: list[str] = []
    before = ""
    for place in places[:FEW_PLACES]:
        file, found, line = place.rpartition(":")
        if not found:
            shown.append(place)
            continue
        shown.append(f":{line}" if file == before else f"{Path(file).name}:{line}")
        before = file
    more = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return ", ".join(shown) + more


def share_of(number: int, total: int, noun: str) -> str:
    """`all 40 rows`, or `3 of 40 rows (7.5 %)`."""
    if number == total:
        return f"all {total:,} {noun}s" if total != 1 else f"the only {noun}"
    return f"{number:,} of {total:,} {noun}s ({percent(number, total)})"


def percent(part: float, whole: float) -> str:
    """A share that is never rounded to all or to nothing where it is neither."""
    share = 100 * part / whole
    if 99.5 <= share < 100:
        return "over 99 %"
    if 0 < share < 0.1:
        return "under 0.1 %"
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.1f} %"


def shortened(text: str, most: int) -> str:
    """At most so many characters; `...` says that it goes on."""
    return text if len(text) <= most else text[: most - 3] + "..."


def duration_words(seconds: float) -> str:
    """Rounded to what such a forecast can know."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 10 else f"{round(hours)} h"
