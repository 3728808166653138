"""Short reviews from a grammar, and the reward that is true of them: a world in which every answer is known.

    the NOUN was|is [very|rather|not|so] ADJECTIVE and|but the NOUN was|is [...] ADJECTIVE . [i VERB it .]

A review has one hidden mood, which decides between good and bad words.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from prefsmith.feedback.world import Example, Use
from prefsmith.records import Group

GOOD = {"great": 1.0, "lovely": 0.8, "superb": 1.5, "fine": 0.4, "moving": 0.7}
BAD = {"awful": -1.5, "boring": -0.8, "weak": -0.6, "bland": -0.4, "bad": -1.0}
NEUTRAL = ("long", "short", "loud", "old")
VERBS = {"loved": 1.2, "liked": 0.6, "saw": 0.0, "hated": -1.2, "skipped": -0.6}
NOUNS = ("film", "plot", "cast", "score", "ending", "dialogue")
ADVERBS = ("very", "rather", "not", "so", "")
COPULAS = ("was", "is")

WORDS = ("the", *COPULAS, "and", "but", "i", "it", ".", *GOOD, *BAD, *NEUTRAL, *VERBS, *NOUNS, *filter(None, ADVERBS))
PROMPTS = tuple(f"the {noun} {copula}" for noun in NOUNS for copula in COPULAS)

_VALUES = {**GOOD, **BAD, **VERBS}
_LARGEST = 3.0
_NEUTRAL_SHARE, _VERDICT_SHARE = 0.25, 0.6
_PHRASE = (
    f"the ({'|'.join(NOUNS)}) ({'|'.join(COPULAS)})( ({'|'.join(filter(None, ADVERBS))}))?"
    f" ({'|'.join((*GOOD, *BAD, *NEUTRAL))})"
)
_REVIEW = re.compile(rf"{_PHRASE} (and|but) {_PHRASE} \.( i ({'|'.join(VERBS)}) it \.)?")


def write_reviews(count: int, seed: int) -> list[Example]:
    """Reviews drawn from the grammar: the first three words of each, and the rest of it."""
    random = Random(seed)
    return [_review(random) for _ in range(count)]


def true_reward(text: str) -> float:
    """How favourable a text is, in nats, in [-3, 3].

        r = 3 tanh(s / 3),   s = sum of the words' values; a word behind "not" counts -1/2

    Reward and KL are on one scale: two reviews whose rewards differ by r are told apart with odds exp(r).
    """
    words = text.split()
    neighbours = pairwise(["", *words])
    total = sum(_VALUES.get(word, 0.0) * (-0.5 if before == "not" else 1.0) for before, word in neighbours)
    return _LARGEST * math.tanh(total / _LARGEST)


def is_review(text: str) -> bool:
    """Whether the grammar can write the text."""
    return _REVIEW.fullmatch(" ".join(text.split())) is not None


@dataclass(frozen=True, slots=True)
class Reviews:
    """Reviews, to be written to their end. There are twelve prompts, and each use asks all of them."""

    name: str = "reviews"
    words: Sequence[str] = WORDS
    longest: int = 24
    longest_text: int = 32
    criteria: Sequence[str] = ("V1", "V2", "V3", "A1", "A2", "A3", "A4", "A5")

    def examples(self, count: int, seed: int) -> list[Example]:
        """Reviews to learn from."""
        return write_reviews(count, seed)

    def prompts(self, use: Use = "measured", count: int = len(PROMPTS), seed: int = 0) -> list[Group]:
        """Every prompt of the grammar."""
        return [Group(prompt, f"grammar:{line}", prompt, ()) for line, prompt in enumerate(PROMPTS, 1)]

    def reward(self, prompt: str, answer: str) -> float:
        """How favourable what the policy wrote is, in nats."""
        return true_reward(answer)

    def well_formed(self, prompt: str, answer: str) -> bool:
        """Whether the grammar can write the review."""
        return is_review(f"{prompt}{answer}")


def _review(random: Random) -> Example:
    mood = random.random()
    words = [*_phrase(random, mood), random.choice(("and", "but")), *_phrase(random, mood), "."]
    if random.random() < _VERDICT_SHARE:
        weights = [max(0.05, mood if value > 0 else 1 - mood) if value else 1.0 for value in VERBS.values()]
        words += ["i", random.choices(tuple(VERBS), weights)[0], "it", "."]
    return Example(" ".join(words[:3]), "".join(f" {word}" for word in words[3:]))


def _phrase(random: Random, mood: float) -> list[str]:
    noun, copula, adverb = random.choice(NOUNS), random.choice(COPULAS), random.choice(ADVERBS)
    if random.random() < _NEUTRAL_SHARE:
        adjective = random.choice(NEUTRAL)
    else:
        adjective = random.choice(tuple(GOOD if random.random() < mood else BAD))
    return ["the", noun, copula, *filter(None, [adverb]), adjective]
