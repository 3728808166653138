"""Tasks that wait for others, here and in processes: the same results, and the first error ends it."""

import math
import operator

import pytest

from prefsmith.methods.experiment.tasks import Task, run_tasks

TASKS = [
    Task("a", operator.add, (1, 2)),
    Task("b", operator.mul, (4, 5), ("a",)),
    Task("c", math.sqrt, (9.0,)),
    Task("d", operator.sub, (9, 5), ("b", "c")),
]


@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_every_task_is_done_after_what_it_waits_for(workers):
    told = []
    results = run_tasks(TASKS, workers, lambda name, result: told.append((name, result)))
    assert results == {"a": 3, "b": 20, "c": 3.0, "d": 4} == dict(told)
    order = [name for name, _ in told]
    assert order.index("a") < order.index("b") < order.index("d") > order.index("c")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_ends_what_waits(workers):
    told = []
    tasks = [Task("wrong", math.sqrt, (-1.0,)), Task("after", operator.add, (1, 2), ("wrong",))]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        run_tasks(tasks, workers, lambda name, result: told.append(name))
    assert told == []
