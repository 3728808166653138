"""Worlds by name, and that the reviews are what they have always been."""

import hashlib

import pytest

from prefsmith.feedback.reviews import PROMPTS, Reviews
from prefsmith.feedback.world import TrueReward
from prefsmith.feedback.worlds import WORLDS
from prefsmith.records import Completion, Group


def test_worlds_are_found_by_name():
    assert {name: world.name for name, world in WORLDS.items()} == {"reviews": "reviews", "posts": "posts"}


def test_the_same_seed_writes_the_reviews_that_it_always_wrote():
    """Numbers that were published were measured on these."""
    text = "\n".join(each.prompt + each.completion for each in Reviews().examples(500, 3))
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST
    assert [group.prompt for group in Reviews().prompts("judged", 3, 9)] == list(PROMPTS)


@pytest.mark.parametrize("name", WORLDS)
def test_the_true_reward_is_of_the_prompt_and_the_answer(name):
    world = WORLDS[name]
    (first, second) = world.examples(2, 0)
    groups = [Group("a", "x:1", first.prompt, (Completion(first.completion), Completion(second.completion)))]
    wanted = tuple(world.reward(first.prompt, each) for each in (first.completion, second.completion))
    assert TrueReward(world).rewards(groups) == [wanted] and world.well_formed(first.prompt, first.completion)
    assert (world.reward(second.prompt, first.completion) == wanted[0]) == (name == "reviews")


DIGEST = "d2fd51ea107dce7b0fde244f5f2001215735f3544ce43cdfb35202a2f949abea"
