"""The grammar writes what it accepts, and the reward is what its formula says."""

import math
from collections import Counter

import pytest

from prefsmith.feedback.reviews import PROMPTS, WORDS, is_review, true_reward, write_reviews


def test_reviews_are_of_the_grammar_and_begin_with_a_prompt():
    reviews = write_reviews(2_000, seed=0)
    assert all(is_review(review.prompt + review.completion) for review in reviews)
    assert {review.prompt for review in reviews} == set(PROMPTS) and len(PROMPTS) == 12
    words = Counter(word for review in reviews for word in (review.prompt + review.completion).split())
    assert set(words) == set(WORDS) and len(set(WORDS)) == len(WORDS)
    assert max(len((review.prompt + review.completion).split()) for review in reviews) == 16


def test_the_seed_decides():
    assert write_reviews(5, seed=1) == write_reviews(5, seed=1) != write_reviews(5, seed=2)


@pytest.mark.parametrize(
    ("text", "total"),
    [
        (" great", 1.0),
        (" not great", -0.5),
        (" not very great", 1.0),  # only the word behind "not" is turned
        (" awful and the plot was not bad .", -1.5 + 0.5),
        (" superb . i loved it .", 1.5 + 1.2),
        (" long . i saw it .", 0.0),
        ("", 0.0),
    ],
)
def test_rewards_worked_out_by_hand(text, total):
    assert true_reward(text) == pytest.approx(3 * math.tanh(total / 3))


@pytest.mark.parametrize(
    "text",
    [
        "the film was great",
        "the film was great and the plot is bad",
        "the film was very very great and the plot is bad .",
        "the film was great and the plot is bad . i it loved .",
        "the film was great and the plot is bad . the cast",
        "the great was film and the plot is bad .",
    ],
)
def test_other_texts_are_no_reviews(text):
    assert not is_review(text)


def test_moods_hang_together():
    """Good words come with good verbs: without the hidden mood they would be independent."""
    rewards = [true_reward(review.completion) for review in write_reviews(3_000, seed=0)]
    average = sum(rewards) / len(rewards)
    assert abs(average) < 0.15
    assert 0.9 < (sum((reward - average) ** 2 for reward in rewards) / len(rewards)) ** 0.5 < 1.4
