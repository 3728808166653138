"""What a run shows while it goes on: a live line below its messages on a terminal, plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Protocol, cast, runtime_checkable

from prefsmith.cli.progress import WINDOW, Position, Progress
from prefsmith.cli.signals import unwound_by_signals
from prefsmith.cli.terminal import Outlet, Stream, printable
from prefsmith.wording import counted

EVERY_STEP = 100
"""Runs of at most so many steps print a plain line for each."""

FIRST_STEPS = 10
"""Of longer runs these are printed, then one for each percent, or after `LONGEST_SILENCE`, whichever comes first."""

LONGEST_SILENCE = 30.0
"""Seconds."""


@runtime_checkable
class Screen(Protocol):
    """Where lines go."""

    @property
    def live(self) -> bool:
        """Whether a live line shows every step, so that steps need no lines of their own."""
        ...

    def put(self, text: str) -> None:
        """Show a permanent line."""
        ...

    def move(self, position: Position | None) -> None:
        """Say where the run stands; None where none is going on."""
        ...


class PlainLines:
    """Lines that are there at once, for whoever reads them.

    Args:
        outlet: where they go.
    """

    live = False

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet

    def put(self, text: str) -> None:
        """Write a line."""
        self.outlet.write(printable(text) + "\n")
        self.outlet.flush()

    def move(self, position: Position | None) -> None:
        """Nothing: the lines say it."""


class Display:
    """What a command hands to `fit`: `say` for its lines, `watch` for its rows of metrics.

    Args:
        screen: where lines go. Where it has no live line, steps are lines, of long runs not all.
        clock: seconds.
    """

    def __init__(self, screen: Screen, clock: Callable[[], float]) -> None:
        self.screen, self.clock = screen, clock
        self._position: Position | None = None
        self._progress: Progress | None = None
        self._warnings = self._percent = 0
        self._last: Mapping[str, object] = {}
        self._shown, self._shown_at = True, 0.0

    def say(self, text: str) -> None:
        """Show a message; those that begin with `warning:` are counted."""
        self._warnings += text.startswith("warning:")
        self.screen.put(text)

    def watch(self, row: Mapping[str, object], steps: int) -> None:
        """Take a row of metrics of a run of `steps` steps; where it cannot follow the last row, another run begins."""
        if row.get("split") is not None:
            self._put(row, steps)
            return
        step = cast("int", row["step"])
        if self._position is not None and (step <= self._position.step or steps != self._position.steps):
            self.finish()
        progress = self._progress = self._progress or self._begin(steps)
        self._position = progress.add(row, self.clock())
        self.screen.move(self._position)
        self._last, self._shown = row, self._due(step, steps, progress.done)
        if self._shown:
            self._shown_at, self._percent = self.clock(), 100 * step // steps
            self._put(row, steps)

    def finish(self) -> None:
        """Show the last step, where it was not, and the run in a line; nothing where there was none."""
        if self._progress is None or self._position is None:
            return
        if not self._shown:
            self._put(self._last, self._progress.steps)
        told = f", {counted(self._warnings, 'warning')} above" if self._warnings else ""
        self.screen.put(self._progress.summary(self._position) + told)
        self._progress = self._position = None
        self._warnings = 0
        self.screen.move(None)

    def _begin(self, steps: int) -> Progress:
        if self.screen.live:
            self.screen.put(f"  metrics.jsonl has every step; the live line shows means of the last {WINDOW}")
        elif steps > EVERY_STEP:
            self.screen.put("  metrics.jsonl has every step; of these, not all are printed")
        return Progress(steps)

    def _due(self, step: int, steps: int, done: int) -> bool:
        """Whether a step becomes a permanent line; `done` steps were seen."""
        if self.screen.live or step == steps:
            return step == steps
        if steps <= EVERY_STEP or done <= FIRST_STEPS:
            return True
        return 100 * step // steps > self._percent or self.clock() - self._shown_at >= LONGEST_SILENCE

    def _put(self, row: Mapping[str, object], steps: int) -> None:
        from prefsmith.train.monitor import line_of  # inside: it needs torch, which a run has loaded by then

        self.screen.put(line_of(row, steps))


@contextmanager
def display(
    stream: Stream | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Display]:
    """What shows a run while the context is open; whatever ends it, the terminal is left clean.

    Args:
        stream: where to; standard output if None.
        environment: TERM, NO_COLOR, CI and their kin.
        clock: seconds.

    Raises:
        Signalled: SIGTERM or SIGHUP came to a live line while nobody else listened.
    """
    outlet = Outlet(sys.stdout if stream is None else stream)
    with ExitStack() as stack:
        if takes_live_line(outlet, environment):
            from prefsmith.cli.live_lines import LiveLines  # inside: rich is needed on terminals alone

            stack.enter_context(unwound_by_signals())
            shown = Display(stack.enter_context(LiveLines(outlet, environment, clock)), clock)
        else:
            shown = Display(PlainLines(outlet), clock)
        stack.callback(shown.finish)
        yield shown


def takes_live_line(outlet: Outlet, environment: Mapping[str, str]) -> bool:
    """Whether a line can be drawn anew: a terminal that moves its cursor, with somebody in front of it."""
    terminal = environment.get("TERM", "" if os.name == "posix" else "windows").lower()
    unattended = environment.get("CI", "").lower() not in ("", "0", "false")
    return outlet.isatty() and terminal not in ("", "dumb", "unknown") and not unattended
