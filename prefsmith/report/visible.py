"""Text that somebody else wrote, so that a reader sees what is in it and nothing in it acts on the page."""

import re
import unicodedata

KEPT = {"\n", "\t", "\u200c", "\u200d", "\u00ad"}
"""Line ends and tabs; joiners and soft hyphens, which scripts and emoji need and which only act on their neighbours."""
_UNUSUAL = re.compile(r"[^\n\t -~]")
"""Characters that have to be looked at one by one."""


def visible(text: str) -> str:
    """The text with control characters, marks of direction and lone surrogates made visible, all else as it is."""
    return _UNUSUAL.sub(lambda found: found[0] if _plain(found[0]) else _shown(found[0]), text)


def on_one_line(text: str) -> str:
    """The same, with line ends as spaces."""
    return " ".join(visible(text).split())


def clipped(text: str, most: int) -> str:
    """The text, or its first characters and how many are left out."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


def _plain(character: str) -> bool:
    return character in KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _shown(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"  # there are pictures of control characters, and few fonts have them
