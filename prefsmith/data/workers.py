"""Processes that encode: worth their start where much is to do, and the tokenizer uses one core or cores are many.

They are started anew, not forked: a process that has threads cannot be. Chunks come back in order. A worker ends when
its line is closed, whichever way this process ends; Ctrl-C does not reach it, for it has a session of its own.
"""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe

from prefsmith.data.chunks import Chunk
from prefsmith.data.encode import Encoder
from prefsmith.data.ranking import Pairs
from prefsmith.data.views import Wanted

AHEAD = 2
"""Chunks that a worker has got and not yet given back."""
PATIENCE = 10.0
"""Seconds that a worker has to end by itself."""


@dataclass(frozen=True, slots=True)
class Task:
    """Rows for a worker.

    Args:
        first: place of the first.
        lines: the groups, as they are stored.
    """

    first: int
    lines: Sequence[bytes]


class WorkersLost(Exception):
    """A worker could not be used, or died."""


class Workers:
    """Processes with the same encoder; a context, which leaves none behind.

    Args:
        number: how many.
        encoder: of the run.
        wanted: the labels that each loss term takes.
        pairs: which completions of a ranked list are compared.
    """

    def __init__(self, number: int, encoder: Encoder, wanted: Sequence[Wanted], pairs: Pairs) -> None:
        self.number = number
        self._job = (encoder, tuple(wanted), pairs)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lines: list[Connection] = []

    def __enter__(self) -> "Workers":
        try:
            job = pickle.dumps(self._job)
        except Exception as error:  # a tokenizer may hold anything
            raise WorkersLost(f"the tokenizer cannot be sent to another process: {error}") from error
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

    def chunks(self, tasks: Iterable[Task]) -> Iterator[Chunk]:
        """What became of the rows, in the order of the tasks.

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


def worth_it(seconds: float, cores: int, *, parallel: bool) -> bool:
    """Whether workers gain more than they cost.

    Args:
        seconds: that this process alone would still take.
        cores: that there are.
        parallel: whether the tokenizer uses all cores by itself; most of the rest then runs on one.
    """
    return cores > 1 and seconds > 40 if not parallel else cores >= 4 and seconds > 60


def cores() -> int:
    """Those that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
