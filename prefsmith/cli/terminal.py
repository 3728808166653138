"""What goes to the terminal: lines that cannot move the cursor, whoever wrote the text in them."""

import sys
from contextlib import suppress


def say(line: str) -> None:
    """Print a line; a reader who has gone away (`| head`) stops the printing, not the training."""
    with suppress(BrokenPipeError):
        print(printable(line), flush=True)


def printable(text: str) -> str:
    """Text from users without control characters, so that it cannot move the cursor or change colours."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def complain(message: str) -> None:
    """Print a message to standard error."""
    print(printable(message), file=sys.stderr, flush=True)
