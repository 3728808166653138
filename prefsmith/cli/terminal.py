"""What goes to the terminal: lines that cannot move the cursor or reorder others, whoever wrote the text."""

import re
import sys
import unicodedata
from contextlib import suppress
from typing import Protocol, runtime_checkable

REPLACEMENT = "\ufffd"

JOINER = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
"""Between letters of scripts that join, and inside emoji: there it is spelling, and it cannot reorder anything."""


def say(line: str) -> None:
    """Print a line; a reader who has gone away (`| head`) stops the printing, not the training."""
    with suppress(BrokenPipeError):
        print(encodable(printable(line), getattr(sys.stdout, "encoding", None)), flush=True)


def complain(message: str) -> None:
    """Print a message to standard error, where there is somebody to take it."""
    with suppress(OSError):
        print(encodable(printable(message), getattr(sys.stderr, "encoding", None)), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Text from users without control characters and marks of direction: each becomes a visible U+FFFD.

    So it cannot move the cursor, change colours, or turn round what follows it. Line ends stay.
    """
    if text.isascii() and text.isprintable():
        return text
    joiners = {match.start() for match in JOINER.finditer(text)}
    return "".join(
        character if index in joiners or _is_harmless(character) else REPLACEMENT
        for index, character in enumerate(text)
    )


def _is_harmless(character: str) -> bool:
    return character.isprintable() or character == "\n" or unicodedata.category(character) == "Zs"


def encodable(text: str, encoding: str | None) -> str:
    """Text with escapes in the place of what the encoding does not have, so that printing it cannot fail."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def cut(text: str, width: int) -> str:
    r"""Printable text on one line of at most `width` cells of a terminal; `...` says that it goes on.

    Wide characters take two cells, combining marks none, and neither is cut in two. A line end is shown as `\n`.
    """
    from rich.cells import cell_len, split_graphemes  # inside: commands that cut nothing start without it

    line = printable(text).replace("\n", "\\n")
    if cell_len(line) <= width:
        return line
    end, room = 0, width - len("...")
    for _, stop, cells in split_graphemes(line)[0]:
        room -= cells
        if room < 0:
            break
        end = stop
    return line[:end] + "..."[: max(0, width)]


@runtime_checkable
class Stream(Protocol):
    """Standard output, or what stands in for it."""

    def write(self, text: str, /) -> int:
        """Take the text; returns its length."""
        ...

    def flush(self) -> None:
        """Hand over what was written."""
        ...

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        ...


class Outlet:
    """A stream that a run can write to whatever becomes of it: a failure ends the printing, not the run.

    A reader who has gone away is no news; any other failure (a full disk) is told once on standard error.

    Args:
        stream: standard output; None where the process was started without one.
    """

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write the text as far as the encoding has it; returns its length."""
        if self.stream is not None:
            try:
                self.stream.write(encodable(text, self.encoding))
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        if self.stream is not None:
            try:
                self.stream.flush()
            except OSError as error:
                self._give_up(error)

    def isatty(self) -> bool:
        """Whether somebody watches at a terminal."""
        return self.stream is not None and self.stream.isatty()

    def _give_up(self, error: OSError) -> None:
        self.stream = None
        if not isinstance(error, BrokenPipeError):
            complain(f"warning: nothing more can be printed ({error.strerror or error}); the run goes on")
