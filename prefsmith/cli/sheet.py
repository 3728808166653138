"""A page of text for a terminal: headings, labelled lines, tables; wrapped to the width, whatever is in them.

Texts of the user's are never markup. What cannot be seen is written as an escape, and a run of right-to-left text
cannot reorder what stands around it. Colour only repeats what marks and words say.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from prefsmith.cli.terminal import JOINER, Outlet

LABELS = 12
"""Cells of the column of labels."""
NARROW = 60
"""Cells below which a label stands in front of its text, not beside it."""
WIDEST = 120
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
"""Kinds of characters, in Unicode's words, that turn the order of a line."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Signs with a meaning. A user's text that holds one of them is written as an escape.

    Args:
        opening: in front of what is scored.
        closing: behind it.
        line_end: in the place of a line end.
        gap: around what is not shown.
    """

    opening: str = "\u27e6"
    closing: str = "\u27e7"
    line_end: str = "\u21b5"
    gap: str = "\u22ef"

    @classmethod
    def for_encoding(cls, encoding: str) -> "Marks":
        """These, or plain ones where the encoding has them not."""
        try:
            "".join((cls().opening, cls().closing, cls().line_end, cls().gap)).encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return cls("[[", "]]", r"\n", "...")
        return cls()


def visible(text: str, marks: Marks) -> str:
    """Text in which everything can be seen: line ends by their mark, other control characters as escapes."""
    if text.isascii() and text.isprintable():
        return text
    signs = {sign for sign in (marks.opening, marks.closing, marks.line_end, marks.gap) if not sign.isascii()}

    def seen(character: str) -> bool:
        return character.isprintable() and character not in signs

    joiners = {match.start() for match in JOINER.finditer(text)}
    return "".join(
        marks.line_end
        if character == "\n"
        else character
        if seen(character) or (index in joiners and seen(text[index - 1]) and seen(text[index + 1]))
        else _escape(character)
        for index, character in enumerate(text)
    )


def _escape(character: str) -> str:
    code = ord(character)
    if character in "\t\r":
        return {"\t": r"\t", "\r": r"\r"}[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Sheet:
    """Lines of text that fit a width.

    Args:
        width: cells of a line.
        marks: signs with a meaning.
    """

    def __init__(self, width: int, marks: Marks) -> None:
        self.width, self.marks = max(20, min(width, WIDEST)), marks
        self.lines: list[Text] = []
        self._wrapper = Console(width=self.width, color_system=None, legacy_windows=False)

    def head(self, text: str) -> None:
        """Begin a section."""
        if self.lines:
            self.lines.append(Text())
        self.put(text, indent=0, style="bold")

    def put(
        self, text: str | Text, *, indent: int = 2, hang: int = 0, style: str = "", first: Text | None = None
    ) -> None:
        """A paragraph.

        Args:
            text: a plain one may hold anything; a rich one is shown as it is.
            indent: cells in front of every line.
            hang: more of them in front of every line but the first.
            style: of a plain text.
            first: stands in front of the first line instead of its indent, and is as wide as indent and hang.
        """
        body = Text(visible(text, self.marks), style) if isinstance(text, str) else text
        below = Text(" " * (indent + hang))
        for line in body.wrap(self._wrapper, max(8, self.width - indent - hang), overflow="fold"):
            line.rstrip()
            self.lines.append((first or Text(" " * indent)) + isolated(line) if line.plain else Text())
            first = below

    def pair(self, label: str, text: str | Text, *, indent: int = 2, style: str = "") -> None:
        """A text beside its label, or behind it on a narrow page."""
        name = Text(visible(label, self.marks), style or "bold")
        if self.width >= NARROW:
            filler = " " * max(1, LABELS - cell_len(name.plain))
            first = Text(" " * indent) + name + Text(filler)
            self.put(text, indent=indent, hang=LABELS, first=first)
        else:
            body = Text(visible(text, self.marks)) if isinstance(text, str) else text
            self.put(name + Text(": ") + body, indent=indent, hang=2)

    def more(self, text: str, *, deeper: int = 0) -> None:
        """A further line below the text of a pair."""
        self.put(text, indent=(2 + LABELS if self.width >= NARROW else 4) + deeper, hang=2)

    def table(self, rows: Sequence[Sequence[str]], *, indent: int = 2) -> None:
        """Columns of numbers: the first column to the left, the others to the right."""
        widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
        gap = "  " if sum(widths) + 2 * len(widths) + indent <= self.width else " "
        for number, row in enumerate(rows):
            cells = [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
            self.lines.append(Text(" " * indent + gap.join(cells), "dim" if number == 0 else ""))

    def verbatim(self, line: str) -> None:
        """A line that is to be copied: never broken, whatever its length."""
        self.lines.append(Text(visible(line, self.marks)))

    def print(self, outlet: Outlet) -> None:
        """Hand the lines over, with colour where that is a terminal that wants it."""
        console = Console(file=outlet, width=self.width, highlight=False, markup=False, emoji=False, soft_wrap=True)  # pyright: ignore[reportArgumentType]  it writes, flushes, and knows whether it is a terminal
        for line in self.lines:
            console.print(line)
        outlet.flush()


def isolated(line: Text) -> Text:
    """The line with every stretch of one style that has right-to-left letters closed off from what is around it."""
    if not _turns(line.plain):
        return line
    borders = sorted({border for span in line.spans for border in (span.start, span.end)})
    joined = Text()
    for part in line.divide(borders):
        joined += Text(FIRST_STRONG_ISOLATE) + part + Text(POP_ISOLATE) if _turns(part.plain) else part
    return joined


def _turns(text: str) -> bool:
    return not text.isascii() and any(unicodedata.bidirectional(each) in RIGHT_TO_LEFT for each in text)
