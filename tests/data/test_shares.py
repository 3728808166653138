"""How a step's groups are dealt out to several processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import encoded_groups

from prefsmith.data.pack import plan, shares

CASES = st.tuples(st.integers(0, 30), st.integers(1, 9), st.integers(20, 200), st.integers(0, 99))


def tokens(groups, members):
    return sum(groups[index].tokens for index in members)


@given(CASES)
def test_every_group_once_as_many_micro_batches_for_each_none_over_the_budget(case):
    count, processes, budget, seed = case
    groups = encoded_groups(count, seed=seed, answer=(1, 30))
    dealt = shares(groups, budget, processes)
    assert len(dealt) == processes
    assert len({len(own) for own in dealt}) == 1
    assert sorted(index for own in dealt for members in own for index in members) == list(range(count))
    largest = max([budget, *(group.tokens for group in groups)])
    assert all(tokens(groups, members) <= largest for own in dealt for members in own)


@given(CASES)
def test_one_process_has_the_plan(case):
    count, _, budget, seed = case
    groups = encoded_groups(count, seed=seed, answer=(1, 30))
    assert shares(groups, budget, 1) == [plan(groups, budget)]


def test_no_more_micro_batches_than_the_budget_asks_for():
    """Ten groups of one size, three to a budget: four micro-batches, and two of two for two processes."""
    groups = encoded_groups(10, prompt=(5, 5), answer=(4, 4))
    size = groups[0].tokens
    dealt = shares(groups, 3 * size, 2)
    assert [[len(members) for members in own] for own in dealt] == [[3, 2], [3, 2]]


def of_sizes(*sizes):
    """Groups of so many tokens: two answers of one each, and a prompt."""
    return [encoded_groups(1, prompt=(size - 2, size - 2), answer=(1, 1))[0] for size in sizes]


def test_there_are_more_where_levelling_would_pass_the_budget():
    """6 + 6 and 4 + 4 + 4 fit into twelve; the largest first, each where least is, gives 6 + 4 + 4 and 6 + 4."""
    groups = of_sizes(6, 6, 4, 4, 4)
    assert len(plan(groups, 12)) == 2
    assert [[tokens(groups, members) for members in own] for own in shares(groups, 12, 2)] == [[8, 4], [6, 6]]


def test_every_other_round_is_dealt_backwards():
    groups = of_sizes(9, 7, 5, 3)
    assert [[tokens(groups, members) for members in own] for own in shares(groups, 9, 2)] == [[9, 3], [7, 5]]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_get_about_as_many_tokens(processes):
    groups = encoded_groups(96, prompt=(5, 60), answer=(1, 80))
    loads = [sum(tokens(groups, members) for members in own) for own in shares(groups, 600, processes)]
    assert max(loads) < 1.02 * min(loads)


def test_there_are_empty_ones_where_groups_are_few():
    assert shares(encoded_groups(1), 100, 3) == [[[0]], [[]], [[]]]
