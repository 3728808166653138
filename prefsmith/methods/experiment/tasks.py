"""Pieces of work of which some wait for others, done by several processes; who did what changes no result."""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work.

    Args:
        name: unique.
        work: a function of a module, so that another process finds it.
        arguments: of the work; they and what it returns travel between processes.
        after: names of the tasks that have to be done before; listed before this one.
    """

    name: str
    work: Callable[..., Any]
    arguments: tuple[object, ...]
    after: tuple[str, ...] = ()


Done = Callable[[str, Any], None]


def run_tasks(tasks: Sequence[Task], workers: int, done: Done) -> Mapping[str, Any]:
    """Do every task.

    Args:
        tasks: in an order that keeps `after`.
        workers: processes; 1 does them here, one after the other.
        done: is told of each as it is done, with what it returned.

    Returns:
        What each returned. An exception of a task ends all that wait, and is raised here.
    """
    if workers == 1:
        return _here(tasks, done)
    results: dict[str, Any] = {}
    waiting, running = list(tasks), dict[Future[Any], str]()
    # Spawned: a fork of a process that has threads, as torch has, may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        try:
            while waiting or running:
                ready = [task for task in waiting if all(name in results for name in task.after)]
                for task in ready[: workers - len(running)]:
                    running[pool.submit(task.work, *task.arguments)] = task.name
                    waiting.remove(task)
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=lambda each: running[each]):
                    name = running.pop(future)
                    results[name] = future.result()
                    done(name, results[name])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _here(tasks: Sequence[Task], done: Done) -> Mapping[str, Any]:
    results: dict[str, Any] = {}
    for task in tasks:
        results[task.name] = task.work(*task.arguments)
        done(task.name, results[task.name])
    return results


def _one_thread() -> None:
    """Models this small are slower on many threads; and one thread gives the same numbers again."""
    torch.set_num_threads(1)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
