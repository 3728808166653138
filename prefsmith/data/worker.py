"""The other end of `workers`: a process that encodes what it is sent. Run as `python -m prefsmith.data.worker FD`."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import cast

from prefsmith.data.chunks import encode_chunk
from prefsmith.data.codec import group_of_line
from prefsmith.data.encode import Encoder
from prefsmith.data.ranking import Pairs
from prefsmith.data.views import Wanted, label
from prefsmith.data.workers import Task


def serve(line: Connection) -> None:
    """Encode until the other end is closed."""
    # What comes through this line is sent by the process that started this one.
    encoder, wanted, pairs = cast("tuple[Encoder, tuple[Wanted, ...], Pairs]", line.recv())
    for task in _tasks(line):
        rows = [label(group_of_line(each), wanted, pairs) for each in task.lines]
        line.send(encode_chunk(encoder, rows, task.first, len(wanted)))


def _tasks(line: Connection) -> Iterator[Task]:
    """Taken from the line as they come: if each end wrote and neither read, both would wait for ever."""
    taken: SimpleQueue[Task | None] = SimpleQueue()

    def take() -> None:
        with suppress(EOFError, OSError):
            while True:
                taken.put(line.recv())
        taken.put(None)

    Thread(target=take, daemon=True).start()
    while (task := taken.get()) is not None:
        yield task


if __name__ == "__main__":
    with suppress(EOFError, OSError), Connection(int(sys.argv[1])) as end:
        serve(end)
