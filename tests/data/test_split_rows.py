"""Which rows are held out depends on their prompt alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.data.split import digests_of, is_held_out, prompt_digest
from prefsmith.data.split import shared_prompts as shared
from prefsmith.records import Completion, Group, Message


def groups(prompts):
    return [Group(str(row), f"rows:{row}", prompt, (Completion("a"),)) for row, prompt in enumerate(prompts, start=1)]


def split(rows, fraction):
    held = [is_held_out(prompt_digest(row), fraction) for row in rows]
    sides = ([row for row, out in zip(rows, held, strict=True) if out == side] for side in (False, True))
    return tuple(sides)


def shared_prompts(*sides):
    return shared(*(digests_of(b"".join(map(prompt_digest, rows))) for rows in sides))


@given(st.lists(st.integers(0, 12), max_size=40), st.sampled_from([0.0, 0.1, 0.5, 0.9]))
def test_no_prompt_is_on_both_sides_and_no_row_is_lost(prompts, fraction):
    rows = groups(f"prompt {each}" for each in prompts)
    train, held = split(rows, fraction)
    assert shared_prompts(train, held) == 0
    assert sorted((*train, *held), key=rows.index) == rows
    assert train == [row for row in rows if row in train] and held == [row for row in rows if row in held]


@given(st.lists(st.text(max_size=3), max_size=30), st.lists(st.text(max_size=3), max_size=30))
def test_further_rows_move_none(first, more):
    before, after = split(groups(first), 0.3), split(groups([*first, *more]), 0.3)
    assert before == tuple(side[: len(old)] for side, old in zip(after, before, strict=True))


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_the_share_is_that_which_was_asked_for(fraction):
    """Within four standard deviations of 4000 draws."""
    held = split(groups(f"prompt {each}" for each in range(4000)), fraction)[1]
    assert abs(len(held) / 4000 - fraction) < 4 * (fraction * (1 - fraction) / 4000) ** 0.5


def test_a_larger_share_holds_out_the_same_rows_and_more():
    rows = groups(f"prompt {each}" for each in range(200))
    assert {row.id for row in split(rows, 0.1)[1]} < {row.id for row in split(rows, 0.3)[1]}


def test_nothing_is_held_out_of_a_share_of_zero():
    assert split(groups("abc"), 0.0)[1] == []


def test_messages_with_the_same_words_in_other_roles_are_another_prompt():
    asked, told = (Message("user", "hi"),), (Message("system", "hi"),)
    assert shared_prompts(groups([asked]), groups([told, "hi", asked, asked])) == 2
