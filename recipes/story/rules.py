"""Which of two stories is better: rules that a program can check, on the words of the text."""

import re
from collections.abc import Callable
from dataclasses import dataclass

UPBEAT = frozenset({
    "happy", "happily", "smile", "smiled", "smiles", "laugh", "laughed", "fun", "love", "loved", "loves", "good",
    "great", "nice", "kind", "proud", "friend", "friends", "best", "play", "played", "playing", "beautiful", "excited",
    "thank", "thanked", "hug", "hugged", "helped", "enjoyed", "safe", "wonderful", "joy",
})  # fmt: skip
SAD = frozenset({
    "sad", "scared", "cry", "cried", "crying", "hurt", "lost", "angry", "bad", "mad", "afraid", "broke", "broken",
    "fell", "sorry", "worried", "mean", "alone",
})  # fmt: skip
WORD = re.compile(r"[a-z']+")
SENTENCE = re.compile(r"[^.!?]+[.!?]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """A number for a story.

    Args:
        name: what it measures, as the report says it.
        unit: of the number.
        score: larger is better.
    """

    name: str
    unit: str
    score: Callable[[str], float]


def words(text: str) -> list[str]:
    """Its words in small letters, in order."""
    return WORD.findall(text.lower())


def upbeat_share(text: str) -> float:
    """Upbeat words less sad ones, in each hundred words; 0 for a text without words."""
    own = words(text)
    return 100 * _net(own) / max(1, len(own))


def happy_end(text: str) -> float:
    """100 where the last whole sentence has more upbeat words than sad ones, -100 where it has fewer, else 0.

    So a mean over stories counts them in each hundred.
    """
    sentences = SENTENCE.findall(text)
    net = _net(words(sentences[-1])) if sentences else 0
    return 100.0 * ((net > 0) - (net < 0))


def _net(own: list[str]) -> int:
    return sum((word in UPBEAT) - (word in SAD) for word in own)


RULES = {
    "share": Rule("upbeat words less sad ones", "in 100 words", upbeat_share),
    "last": Rule("happy last sentences less sad ones", "in 100 stories", happy_end),
}
