"""Pieces of work of which some wait for others, done by several processes; who did what changes no result."""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work.

    Args:
        name: unique.
        work: a function of a module, so that another process finds it.
        arguments: of the work; they and what it returns travel between processes.
        returns: the type of what it returns.
        folder: that it writes into, and nobody else before it is done.
        after: names of the tasks that have to be done before; listed before this one.
    """

    name: str
    work: Callable[..., Any]
    arguments: tuple[object, ...]
    returns: Any
    folder: Path
    after: tuple[str, ...] = ()


Done = Callable[[Task, Any], Any]


def run_tasks(
    tasks: Sequence[Task], workers: int, done: Done, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Do every task.

    Args:
        tasks: in an order that keeps `after`.
        workers: processes; 1 does them here, one after the other.
        done: is told of each as it is done, with what it returned; what it returns itself is the task's result.
        known: results of tasks that are done already.

    Returns:
        The result of each. An exception of a task ends all that wait, and is raised here.
    """
    results = dict(known or {})
    waiting = [task for task in tasks if task.name not in results]
    if workers == 1:
        for task in waiting:
            results[task.name] = done(task, task.work(*task.arguments))
        return results
    running: dict[Future[Any], Task] = {}
    # Spawned: a fork of a process that has threads, as torch has, may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
        try:
            while waiting or running:
                ready = [task for task in waiting if all(name in results for name in task.after)]
                for task in ready[: workers - len(running)]:
                    running[pool.submit(task.work, *task.arguments)] = task
                    waiting.remove(task)
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    task = running.pop(future)
                    results[task.name] = done(task, future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _begin() -> None:
    """One thread: models this small are slower on many, and one gives the same numbers again. No life of its own."""
    torch.set_num_threads(1)
    if (parent := multiprocessing.parent_process()) is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)  # whoever killed it goes on in the same folder

        Thread(target=follow, daemon=True).start()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
