"""What comes next is made in a thread while what is there is used."""

from collections.abc import Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 0.1
"""Seconds after which a thread that waits looks whether it is still wanted."""


class _End:
    """Nothing comes behind this but an error, if there was one."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Filler(Generic[T]):
    """Makes values in a thread, one more than was taken."""

    def __init__(self, source: Iterator[T]) -> None:
        self.source = source
        self.queue: Queue[T | _End] = Queue(1)
        self.unwanted = Event()
        self.thread = Thread(target=self._fill, name="prefsmith-prefetch", daemon=True)

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for value in self.source:
                if not self._put(value):
                    return
        except BaseException as caught:
            error = caught
        self._put(_End(error))

    def _put(self, value: T | _End) -> bool:
        while not self.unwanted.is_set():
            try:
                self.queue.put(value, timeout=PATIENCE)
            except Full:
                continue
            return True
        return False


def prefetched(source: Iterator[T]) -> Iterator[T]:
    """The same values in the same order, one ahead.

    An error of the source is raised where its value would have come. The thread ends when the source does, or when
    nobody asks any more: the iterator is closed or forgotten.

    Args:
        source: is asked in one other thread only.
    """
    filler = _Filler(source)
    filler.thread.start()
    try:
        while not isinstance(value := filler.queue.get(), _End):
            yield value
        if value.error is not None:
            raise value.error
    finally:
        filler.unwanted.set()
        filler.thread.join()
