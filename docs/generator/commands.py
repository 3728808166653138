"""docs/commands.md: the help of every command, as it is printed."""

from collections.abc import Iterator
from io import StringIO

from cyclopts import App
from rich.console import Console

from prefsmith.cli.main import app

WIDTH = 100


def commands_region() -> str:
    """The help of the program and of each of its commands, at a fixed width."""
    return "\n\n".join(
        f"## {' '.join(('prefsmith', *words))}\n\n```text\n{_help(words)}\n```" for words in _commands(app)
    )


def _commands(of: App, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, the program itself first."""
    yield before
    for name in of:
        if not name.startswith("-"):
            yield from _commands(of[name], (*before, name))


def _help(words: tuple[str, ...]) -> str:
    printed = StringIO()
    console = Console(file=printed, width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    app.help_print(list(words), console=console)
    return "\n".join(line.rstrip() for line in printed.getvalue().strip("\n").split("\n"))
