"""Posts and their summaries: what a summary tells is read back exactly, and is worth what the formula says."""

from collections import Counter
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.feedback.posts import (
    ACTIONS,
    DAYS,
    DEEDS,
    FEELINGS,
    PLACES,
    ROLES,
    THINGS,
    WORDS,
    Posts,
    facts_of,
    is_held_out,
    told_in,
    true_reward,
    write_post,
    write_summary,
)

POST = "we had soup . my sister likes my car . my boss broke my bike on monday . i feel angry . should i leave ? tl;dr"
FACTS = {"who": "boss", "deed": "broke", "thing": "bike", "day": "monday", "feeling": "angry", "action": "leave"}
WORLD = Posts()


def test_the_facts_of_a_post_are_those_of_its_event_and_not_of_what_stands_beside_it():
    assert facts_of(POST) == FACTS


@pytest.mark.parametrize(
    ("summary", "worth"),
    [
        (" my boss broke my bike and i feel angry . should i leave ?", 5 - 1.2),
        (" my boss broke my bike .", 3 - 0.5),
        (" someone broke something .", 1 - 0.3),
        (" so basically someone broke something .", 1 - 0.5),
        (" my boss broke my bike on monday .", 3 - 0.7),  # said in the post, of no use
        (" my boss broke my bike on friday .", 3 - 2 - 0.7),
        (" my boss broke my bike in the attic .", 3 - 2 - 0.8),  # the post says nothing of a place
        (" my sister broke my bike .", 2 - 2 - 0.5),  # she is in the post, and did not do it
        (" my boss broke my car .", 2 - 2 - 0.5),
        (" my boss broke my bike and i feel sad .", 3 - 2 - 0.9),
        (" my boss broke my bike . should i wait ?", 3 - 2 - 0.8),
        (" boss broke bike angry leave", -2 - 0.5),  # a list of words is no summary
        (" my boss broke my bike . my boss broke my bike .", -2 - 1.0),
        ("", -2.0),
    ],
)
def test_a_summary_is_worth_what_it_keeps_less_what_it_invents_and_its_length(summary, worth):
    assert true_reward(POST, summary) == pytest.approx(worth, abs=1e-12)


def test_sums_are_exact_so_that_equal_summaries_tie():
    one, other = " my boss broke something on monday .", " someone broke my bike on monday ."
    assert true_reward(POST, one) == true_reward(POST, f"{one} ") and true_reward(POST, other) == 2 - 0.6


@given(
    st.sampled_from(["", "so basically ", "long story short "]),
    st.sampled_from(["someone", *(f"my {role}" for role in ROLES)]),
    st.sampled_from(DEEDS),
    st.sampled_from(["something", *(f"my {thing}" for thing in THINGS)]),
    st.sampled_from(["", *(f" in the {place}" for place in PLACES)]),
    st.sampled_from(["", *(f" on {day}" for day in DAYS)]),
    st.sampled_from(["", *(f" and i feel {feeling}" for feeling in FEELINGS)]),
    st.sampled_from(["", *(f" should i {action} ?" for action in ACTIONS)]),
)
def test_no_summary_is_worth_more_than_all_facts_and_nothing_else(opener, who, deed, thing, place, day, feels, asks):
    summary = f" {opener}{who} {deed} {thing}{place}{day}{feels} .{asks}"
    assert told_in(summary) is not None
    assert -17 < true_reward(POST, summary) <= 3.8


def test_people_leave_out_and_slip_but_write_no_nonsense():
    random, told = Random(0), Counter()
    for _ in range(2000):
        summary = told_in(write_summary(POST, random))
        assert summary is not None
        told.update(name for name, value in summary.items() if value == FACTS.get(name))
        told.update("wrong" for name, value in summary.items() if name != "opener" and value != FACTS.get(name))
    shares = {name: count / 2000 for name, count in told.items()}
    assert 0.3 < shares["feeling"] < shares["action"] < shares["who"] < shares["deed"] < 1
    assert 0.05 < shares["wrong"] < 0.3


def test_nothing_that_is_measured_or_judged_is_learnt_from():
    learnt = {each.prompt for each in WORLD.examples(400, 1)} | {str(g.prompt) for g in WORLD.prompts("train", 300, 1)}
    assert not any(map(is_held_out, learnt))
    for use in ("held out", "measured", "judged"):
        asked = [str(group.prompt) for group in WORLD.prompts(use, 60, 1)]
        assert all(map(is_held_out, asked)) and len({*asked}) == 60
    random = Random(2)
    assert 0.07 < fmean(is_held_out(write_post(random)) for _ in range(2000)) < 0.13


def test_a_seed_gives_the_same_posts_and_uses_and_seeds_have_their_own():
    asked = [tuple(str(group.prompt) for group in WORLD.prompts(use, 20, seed))
             for use, seed in (("measured", 0), ("judged", 0), ("measured", 1))]  # fmt: skip
    assert len({*asked}) == 3 and WORLD.prompts("judged", 20, 0) == WORLD.prompts("judged", 20, 0)
    assert WORLD.examples(20, 3) == WORLD.examples(20, 3) != WORLD.examples(20, 4)


def test_everything_is_made_of_its_words_and_fits():
    assert len({*WORDS}) == len(WORDS)
    for each in WORLD.examples(1500, 5):
        prompt, answer = each.prompt.split(), each.completion.split()
        assert {*prompt, *answer} <= {*WORDS} and each.completion.startswith(" ")
        assert len(answer) < WORLD.longest and len(prompt) + WORLD.longest <= WORLD.longest_text
        assert WORLD.well_formed(each.prompt, each.completion)
    (group,) = WORLD.prompts("judged", 1, 0)
    assert told_in(group.completions[0].content) is not None
