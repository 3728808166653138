"""The other end of `pool`: a process that does a job on what it is sent: `python -m prefsmith.data.worker FD`."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import cast

from prefsmith.data.processes import Job


def serve(line: Connection) -> None:
    """Work until the other end is closed."""
    # What comes through this line is sent by the process that started this one.
    job = cast("Job", line.recv())
    for task in _tasks(line):
        line.send(job(task))


def _tasks(line: Connection) -> Iterator[object]:
    """Taken from the line as they come: if each end wrote and neither read, both would wait for ever."""
    taken: SimpleQueue[object] = SimpleQueue()

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
