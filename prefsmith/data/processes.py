"""Processes that do one kind of work on parts of the rows.

They are started anew, not forked: a process that has threads cannot be. Results come back in order. A worker ends when
its line is closed, whichever way this process ends; Ctrl-C does not reach it, for it has a session of its own.
"""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, Pipe
from typing import Any, TypeVar

AHEAD = 2
"""Tasks that a worker has got and not yet given back."""
PATIENCE = 10.0
"""Seconds that a worker has to end by itself."""


Job = Callable[[Any], Any]
P = TypeVar("P", bound="Pool")


class WorkersLost(Exception):
    """A worker could not be used, or died."""


class Pool:
    """Processes with the same job; a context, which leaves none behind.

    Args:
        number: how many.
        job: what each does with a task; it is sent as a pickle.
        holder: what of it may not be sendable, for the message.
    """

    def __init__(self, number: int, job: Job, holder: str) -> None:
        self.number, self.job, self.holder = number, job, holder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lines: list[Connection] = []

    def __enter__(self: P) -> P:
        try:
            job = pickle.dumps(self.job)
        except Exception as error:  # a tokenizer may hold anything
            raise WorkersLost(f"{self.holder} cannot be sent to another process: {error}") from error
        try:
            for _ in range(self.number):
                self._start()
            for line in self._lines:
                line.send_bytes(job)
        except OSError as error:
            self.__exit__()
            raise WorkersLost(f"a worker could not be started: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines:
            line.close()
        for process in self._processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self) -> None:
        ours, theirs = Pipe()
        with theirs:
            environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "prefsmith.data.worker", str(theirs.fileno())]
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes.append(process)
        self._lines.append(ours)

    def results(self, tasks: Iterable[object]) -> Iterator[Any]:
        """What the job made of the tasks, in their order.

        Raises:
            WorkersLost: a worker died; everything before was yielded.
        """
        waiting: deque[Connection] = deque()
        try:
            for number, task in enumerate(tasks):
                if len(waiting) == AHEAD * self.number:
                    yield waiting.popleft().recv()
                line = self._lines[number % self.number]
                line.send(task)
                waiting.append(line)
            while waiting:
                yield waiting.popleft().recv()
        except (EOFError, OSError) as error:
            raise WorkersLost("a worker died; the next lines on the terminal may say of what") from error


def cores() -> int:
    """Those that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
