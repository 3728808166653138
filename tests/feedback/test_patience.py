"""Waiting between attempts, and what a run may spend."""

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.errors import ConfigError, TrainingError
from prefsmith.feedback.budget import Budget
from prefsmith.feedback.patience import Patience, asked_wait

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def test_waits_double_up_to_a_limit_and_end():
    patience = Patience(8, first=1.0, longest=30.0)
    assert [patience.wait(attempt, None, 0.5) for attempt in range(1, 10)] == [1, 2, 4, 8, 16, 30, 30, 30, None]
    assert Patience(10**6).wait(10**5, None, 0.5) == 60.0


@given(st.floats(0, 300), st.integers(1, 5), st.floats(0, 0.999))
def test_a_server_that_says_how_long_is_given_that_time(asked, attempt, luck):
    wait = Patience(5).wait(attempt, asked, luck)
    assert wait is not None and asked <= wait <= asked + 0.5


def test_a_server_that_asks_for_more_than_we_have_is_not_waited_for():
    assert Patience(5).wait(1, 300.5, 0.0) is None


@pytest.mark.parametrize("headers, seconds", [
    ({}, None), ({"retry-after": "7"}, 7.0), ({"retry-after": "0.5"}, 0.5), ({"retry-after": "-1"}, None),
    ({"retry-after": "nan"}, None), ({"retry-after": "inf"}, None), ({"retry-after": "soon"}, None),
    ({"retry-after-ms": "250", "retry-after": "7"}, 0.25), ({"retry-after-ms": "x", "retry-after": "7"}, 7.0),
    ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0), ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
])  # fmt: skip
def test_what_a_server_asks_for(headers, seconds):
    assert asked_wait(headers, NOW) == seconds


def test_a_budget_of_requests_is_kept_by_many_threads():
    budget, refused = Budget(max_requests=50), []

    def spend():
        for _ in range(20):
            try:
                budget.take_request()
            except TrainingError as error:
                refused.append(error)

    threads = [threading.Thread(target=spend) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.requests == 50 and len(refused) == 50
    assert refused[0].exit_code == 4 and refused[0].code == "judge.budget" and "max_requests" in refused[0].where


def test_a_budget_of_tokens_stops_the_request_behind_the_one_that_reached_it():
    budget = Budget(max_tokens=100)
    budget.take_request()
    budget.add_tokens(90, 9)
    budget.take_request()
    budget.add_tokens(1, None)
    with pytest.raises(TrainingError, match="100 tokens is spent"):
        budget.take_request()


def test_a_budget_of_tokens_needs_a_server_that_counts_them():
    with pytest.raises(ConfigError) as found:
        Budget(max_tokens=100).add_tokens(None, None)
    assert found.value.code == "judge.usage" and "max_requests" in found.value.fix
    Budget(max_requests=1).add_tokens(None, None)
