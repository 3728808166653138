"""Tasks that wait for others, here and in processes: the same results, and the first error ends it."""

import math
import operator
from pathlib import Path

import pytest

from prefsmith.methods.experiment.tasks import Task, run_tasks


def task(name, work, arguments, *after):
    return Task(name, work, arguments, float, Path(f"folder-of-{name}"), after)


TASKS = [
    task("a", operator.add, (1, 2)),
    task("b", operator.mul, (4, 5), "a"),
    task("c", math.sqrt, (9.0,)),
    task("d", operator.sub, (9, 5), "b", "c"),
]


@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_every_task_is_done_after_what_it_waits_for(workers):
    told = []

    def done(task, result):
        told.append((task.name, result))
        return -result

    results = run_tasks(TASKS, workers, done)
    assert dict(told) == {"a": 3, "b": 20, "c": 3.0, "d": 4} and results == {"a": -3, "b": -20, "c": -3.0, "d": -4}
    order = [name for name, _ in told]
    assert order.index("a") < order.index("b") < order.index("d") > order.index("c")


def test_what_is_known_is_not_done_again():
    told = []
    results = run_tasks(TASKS, 1, lambda task, result: told.append(task.name) or result, {"a": 7, "c": 8})
    assert told == ["b", "d"] and results == {"a": 7, "b": 20, "c": 8, "d": 4}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_ends_what_waits(workers):
    told = []
    tasks = [task("wrong", math.sqrt, (-1.0,)), task("after", operator.add, (1, 2), "wrong")]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        run_tasks(tasks, workers, lambda task, result: told.append(task.name))
    assert told == []
