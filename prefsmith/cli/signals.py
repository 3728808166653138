"""SIGTERM and SIGHUP end a command through its exits, which wipe live lines and remove what is half written."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Signalled(KeyboardInterrupt):
    """A signal, as an exception that no `except Exception` holds up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def unwound_by_signals() -> Iterator[None]:
    """Raise `Signalled` on the first signal while the context is open; later ones cannot hold up the exits.

    Where signals are ignored (nohup) they stay so, and where somebody else listens, as a run does in its steps, it goes
    on listening. Python delivers signals to the main thread alone; elsewhere the context does nothing.
    """
    before = {}

    def unwind(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise Signalled(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, unwind)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
