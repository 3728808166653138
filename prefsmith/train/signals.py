"""SIGTERM, SIGINT and SIGHUP ask a run to save and end; a second one ends it at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class Stopped(BaseException):
    """A signal came to what may be left where it is."""


class StopSignals:
    """While the context is open, the first signal is remembered in `caught` and the second has its usual effect.

    Python delivers signals to the main thread alone; elsewhere the context does nothing.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, Any] = {}
        self._raises = False

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, which means to go on
                    self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is done while this is open changes nothing, and takes longer than whoever stops us may wait.

        Raises:
            Stopped: a signal came.
        """
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.caught = number
        self._restore()
        if self._raises:
            raise Stopped

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
