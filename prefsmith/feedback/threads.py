"""Work on several items at a time, which can be stopped without losing what is under way."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def as_they_come(
    work: Callable[[Item], Result], items: Sequence[Item], most: int, stop: threading.Event
) -> Iterator[tuple[int, Future[Result]]]:
    """The number of an item and what became of it, in the order in which they are done.

    Once `stop` is set no further item is begun, and those under way still come. Ctrl-C while we wait sets it, and is
    passed on behind the last of them; a second one is passed on at once.

    Args:
        work: what is done with an item, in a thread.
        items: begun in their order.
        most: under way at a time.
        stop: also told to whoever else should hurry.
    """
    interrupt: KeyboardInterrupt | None = None
    todo = iter(enumerate(items))
    under_way: dict[Future[Result], int] = {}
    with ThreadPoolExecutor(most) as pool:
        try:
            while True:
                while not stop.is_set() and len(under_way) < most and (one := next(todo, None)) is not None:
                    under_way[pool.submit(work, one[1])] = one[0]
                if not under_way:
                    break
                try:
                    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                except KeyboardInterrupt as raised:
                    if interrupt is not None:
                        raise
                    interrupt = raised
                    stop.set()
                    continue
                for future in done:
                    yield under_way.pop(future), future
        finally:
            stop.set()
    if interrupt is not None:
        raise interrupt
