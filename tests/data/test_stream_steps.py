"""Which groups share a step, in which order, and whose answers are lent to whom."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import encoded_groups

from prefsmith.data import stream
from prefsmith.data.stream import Stream, WithMismatched
from prefsmith.errors import ConfigError


def ids(step):
    return [group.group.id for group in step.groups]


def asked(*prompts):
    """Groups with the given prompts."""
    groups = encoded_groups(len(prompts), kind="unpaired")
    return [
        replace(group, group=replace(group.group, prompt=prompt)) for group, prompt in zip(groups, prompts, strict=True)
    ]


def lend(group, answers):
    """Stands in for the encoder: writes down whose answers came."""
    return replace(group, group=replace(group.group, tags=tuple(each.content for each in answers)))


def order(count, seed, epoch):
    return stream.order(count, seed, epoch).tolist()


def lenders(groups):
    """For each group the number of the group whose answers it was lent; tiny's answers are called number-place."""
    return [[tag.split("-")[0] for tag in group.group.tags] for group in WithMismatched(groups, lend)]


def test_the_order_is_the_same_everywhere():
    """Frozen: another order would change every run that goes on."""
    assert (order(8, 0, 0), order(8, 0, 1), order(8, 1, 0)) == FROZEN


FROZEN = ([4, 1, 5, 0, 2, 7, 3, 6], [2, 1, 0, 6, 3, 4, 5, 7], [1, 3, 2, 7, 0, 5, 6, 4])


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 3), st.integers(0, 3))
def test_two_rows_stand_in_one_order_however_many_others_there_are(few, more, seed, epoch):
    assert [row for row in order(few + more, seed, epoch) if row < few] == order(few, seed, epoch)


@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3))
def test_every_group_stands_once_in_every_epoch(count, pairs_per_step, epochs, rivals):
    groups = encoded_groups(count, completions=1 + rivals)
    made = Stream(groups, pairs_per_step=pairs_per_step, epochs=epochs, seed=3)
    steps = list(made.steps())
    assert len(steps) == len(made) and [step.number for step in steps] == list(range(1, len(steps) + 1))
    for epoch in range(epochs):
        here = [step for step in steps if step.epoch == epoch]
        assert [each for step in here for each in ids(step)] == [f"g{row}" for row in order(count, 3, epoch)]
        sizes = [sum(len(group.views[0]) for group in step.groups) for step in here]
        assert all(pairs_per_step <= size < pairs_per_step + rivals for size in sizes[:-1])
        assert 0 < sizes[-1] < pairs_per_step + rivals


def test_a_step_takes_whole_groups_until_it_has_its_pairs():
    """Three comparisons each: two groups make six of four wanted, and the last group stays alone."""
    made = Stream(encoded_groups(5, completions=4), pairs_per_step=4, epochs=1, seed=0)
    assert [len(step.groups) for step in made.steps()] == [2, 2, 1]


def test_steps_count_the_labels_of_the_first_loss():
    groups = [replace(group, views=(group.views[0], group.views[0])) for group in encoded_groups(4)]
    assert len(Stream(groups, pairs_per_step=2, epochs=1, seed=0)) == 2


def test_steps_may_begin_anywhere_and_end_early():
    made = Stream(encoded_groups(9), pairs_per_step=2, epochs=2, seed=0, max_steps=7)
    steps = list(made.steps())
    assert len(made) == len(steps) == 7 and [step.epoch for step in steps] == [0] * 5 + [1] * 2
    assert list(made.steps(3)) == steps[3:] and list(made.steps(7)) == []


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        (("a", "b", "c"), [["1", "1"], ["2", "2"], ["0", "0"]]),
        (("a", "a", "b"), [["2", "2"], ["2", "2"], ["0", "0"]]),
        (("a", "b", "a", "a"), [["1", "1"], ["2", "2"], ["1", "1"], ["1", "1"]]),
    ],
    ids=["next", "past its own prompt", "round"],
)
def test_the_next_group_with_another_prompt_lends_all_its_answers(prompts, expected):
    assert lenders(asked(*prompts)) == expected


def test_one_prompt_has_nobody_to_lend_from():
    with pytest.raises(ConfigError) as caught:
        WithMismatched(asked("a", "a"), lend)
    assert (caught.value.code, caught.value.where) == ("train.lonely_prompt", "rows:1") and caught.value.fix


@pytest.mark.parametrize(("prompts", "step"), [("aaaa", 1), ("abc", 2)], ids=["same prompt", "short last step"])
def test_a_step_with_one_prompt_is_refused_before_the_run(prompts, step):
    """Two ratings a group, four a step: of three groups the last is alone."""
    with pytest.raises(ConfigError, match=rf"step {step} \(epoch 0\)") as caught:
        Stream(asked(*prompts), pairs_per_step=4, epochs=1, seed=0, add_mismatched=lend)
    assert caught.value.code == "train.lonely_prompt"
    assert caught.value.where == "train.pairs_per_step=4" and caught.value.fix


def test_lent_answers_come_from_the_same_step():
    made = Stream(asked(*"abcdef"), pairs_per_step=4, epochs=1, seed=0, add_mismatched=lend)
    for step in made.steps():
        numbers = [each.removeprefix("g") for each in ids(step)]
        lent = [group.group.tags[0].split("-")[0] for group in step.groups]
        assert lent == numbers[1:] + numbers[:1]
