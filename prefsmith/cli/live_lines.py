"""Lines on a terminal with a live one below them, drawn by rich."""

import sys
from collections.abc import Callable, Mapping
from typing import TextIO, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from prefsmith.cli.progress import Position, duration, line
from prefsmith.cli.terminal import Outlet, cut, printable

MARGIN = 3
"""Cells that the live line leaves free: terminals echo Ctrl-C as ^C behind it, and a wrapped line cannot be wiped."""


class LiveLines:
    """Lines on a terminal, with a live line below that says where the run stands.

    While the context is open, what others print to standard output or error goes above the live line, too. The cursor
    stays visible throughout, so that a process that is killed leaves the terminal as it was.

    Args:
        outlet: the terminal.
        environment: TERM, NO_COLOR and their kin.
        clock: seconds.
    """

    live = True

    def __init__(self, outlet: Outlet, environment: Mapping[str, str], clock: Callable[[], float]) -> None:
        self.console = Console(
            file=cast("TextIO", outlet),
            force_terminal=True,
            force_interactive=True,
            force_jupyter=False,
            markup=False,
            emoji=False,
            highlight=False,
            _environ=environment,
        )
        self.clock = clock
        self._stand: Position | float = clock()  # where the run stands, or since when there is none
        self._marks = ("━", "╌") if outlet.encoding.lower().startswith("utf") else ("#", "-")
        self._live = Live(
            self,
            console=self.console,
            transient=True,
            redirect_stdout=outlet.stream is sys.stdout,
            redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
        )

    def __enter__(self) -> "LiveLines":
        self._live.start(refresh=True)
        self.console.show_cursor(True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def put(self, text: str) -> None:
        """Print a line above the live one."""
        style = "bold yellow" if text.startswith("warning:") else ""
        self.console.print(Text(printable(text), style=style), soft_wrap=True)

    def move(self, position: Position | None) -> None:
        """Show where the run stands, when the line is drawn next."""
        self._stand = self.clock() if position is None else position

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live line, as wide as the terminal is now."""
        width, stand, now = max(1, console.width - MARGIN), self._stand, self.clock()
        if isinstance(stand, Position):
            bar, text = line(stand, now, width, marks=self._marks)
            yield Text.assemble((bar, "cyan"), text, end="")
        else:
            yield Text(cut(f"working {duration(now - stand)}", width), end="")
