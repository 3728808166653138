"""The rules, on stories whose numbers are counted by hand."""

import pytest
from story.rules import RULES, SAD, UPBEAT, happy_end, upbeat_share, words


def test_words_are_runs_of_letters_in_small_ones():
    assert words('"Don\'t cry," said Tim.\nHe ran home') == ["don't", "cry", "said", "tim", "he", "ran", "home"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Tim was happy and ran", 20.0),
        ("Happy HAPPY Tim, so sad.", 20.0),
        ("Tim cried and was sad", -40.0),
        ("happiness is unhappy saddle", 0.0),  # whole words only
        ("", 0.0),
        ("... !", 0.0),
    ],
)
def test_upbeat_words_less_sad_ones_in_a_hundred(text, number):
    assert upbeat_share(text) == pytest.approx(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Tim was sad. Then he smiled.", 100.0),
        ("Tim was happy. Then he cried.", -100.0),
        ("Tim was happy. He ran home.", 0.0),
        ("Tim was happy. He cried, and he smiled.", 0.0),
        ("Tim smiled. He was sad and he cri", 100.0),  # a sentence that was cut is no sentence
        ('Tim said, "I am so happy!" He', 100.0),
        ("Tim was happy and", 0.0),
        ("", 0.0),
    ],
)
def test_the_last_whole_sentence_is_happy_or_sad(text, number):
    assert happy_end(text) == number


def test_no_word_is_both_and_each_rule_has_its_own_score():
    assert not UPBEAT & SAD
    assert (RULES["share"].score, RULES["last"].score) == (upbeat_share, happy_end)
