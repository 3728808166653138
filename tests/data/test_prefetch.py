"""The next value is made while one is used: same values, same order, errors in their place, no thread left behind."""

import threading
from time import monotonic, sleep

import pytest
from tiny import encoded_groups

from prefsmith.data.prefetch import prefetched
from prefsmith.data.stream import Stream


def threads():
    return [each for each in threading.enumerate() if each.name == "prefsmith-prefetch"]


def until(condition):
    end = monotonic() + 20
    while not condition():
        assert monotonic() < end
        sleep(0.01)


def test_values_keep_their_order_and_the_thread_ends():
    assert list(prefetched(iter(range(100)))) == list(range(100))
    until(lambda: not threads())


def test_the_next_value_is_made_while_one_is_used_and_no_more():
    made = []

    def source():
        for number in range(9):
            made.append((number, threading.current_thread().name))
            yield number

    values = prefetched(source())
    assert next(values) == 0
    until(lambda: len(made) == 3)  # one waits to be taken, one to be put
    sleep(0.05)
    assert [number for number, _ in made] == [0, 1, 2] and {name for _, name in made} == {"prefsmith-prefetch"}
    values.close()
    assert not threads() and len(made) == 3


def test_an_error_is_raised_where_its_value_would_have_come():
    def source():
        yield 1
        yield 2
        raise KeyError("third")

    values = prefetched(source())
    assert [next(values), next(values)] == [1, 2]
    with pytest.raises(KeyError, match="third"):
        next(values)
    assert not threads() and list(values) == []


def test_nothing_is_made_before_it_is_asked_for():
    asked = []
    prefetched(asked.append(each) for each in range(3))
    assert not asked and not threads()


def test_a_stream_that_is_left_leaves_no_thread():
    stream = Stream(encoded_groups(9), pairs_per_step=2, epochs=2, seed=0)
    next(stream.steps())
    until(lambda: not threads())


def test_an_error_in_making_a_step_is_raised_at_that_step():
    lent = []

    def add(group, _answers):
        lent.append(group)
        if len(lent) > 4:
            raise ValueError(group.group.source)
        return group

    stream = Stream(encoded_groups(6), pairs_per_step=2, epochs=1, seed=0, add_mismatched=add)
    steps = stream.steps()
    assert [next(steps).number, next(steps).number] == [1, 2]
    with pytest.raises(ValueError, match="rows"):
        next(steps)
