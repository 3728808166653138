"""Beginnings of stories in three sets that share none: to train on, to test on, and to learn the model's words from."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

from prefsmith.data.prompts import read_prompts
from prefsmith.errors import DataError
from prefsmith.records import Group

GIRLS = ("Lily", "Anna", "Mia", "Sara", "Lucy", "Amy", "Sue", "Emma")
BOYS = ("Tim", "Ben", "Sam", "Tom", "Max", "Jack", "Leo", "Bob")
SENTENCES = (
    "Once upon a time, there was a little {child} named {name}. {They}",
    "One day, {name} went to the park. {They}",
    "{name} had a big red ball. {They}",
    "{name} was playing with a toy car. {They}",
    "One day, {name} saw a little bird. {They}",
    "{name} and Mom went to the store. They",
    "{name} liked to draw in the garden. {They}",
    "It was raining, and {name} was at home. {They}",
    "{name} found a shiny box under the bed. {They}",
    "{name} wanted to bake a cake with Dad. They",
    "In the morning, {name} heard a loud noise. {They}",
    "{name} had a small dog that liked to run. The dog",
)
FEWEST = 2
"""Openings of a set: an interval needs to see how far openings scatter."""


@dataclass(frozen=True, slots=True)
class Openings:
    """The three sets.

    Args:
        train: stories that go on from these are compared and trained on.
        unseen: only measured.
        words: the starting model's stories from these say which words it knows.
        disjoint: in what the sets differ, for the report.
    """

    train: list[Group]
    unseen: list[Group]
    words: list[Group]
    disjoint: str

    def all(self) -> list[Group]:
        """Those of every set."""
        return [*self.train, *self.unseen, *self.words]


def own_openings(seed: int) -> Openings:
    """Sixty-four to a set. A sentence is in one set alone; every set has the same names."""
    sentences = list(SENTENCES)
    Random(seed).shuffle(sentences)
    third = len(sentences) // 3
    train, unseen, words = (_fill(sentences[start : start + third]) for start in range(0, len(sentences), third))
    disjoint = "unseen openings are other sentences than those trained on; the names in them are the same"
    return Openings(train, unseen, words, disjoint)


def read_openings(path: Path, seed: int) -> Openings:
    """The prompts of a file, dealt out at random to the three sets.

    Raises:
        DataError: the file cannot be read, a prompt is a chat, or there are too few for three sets.
    """
    groups = read_prompts(path)
    for group in groups:
        if not isinstance(group.prompt, str):
            what, fix = "the prompt is a list of messages, and a story goes on from text", "give texts"
            raise DataError("data.type", what, where=group.source, fix=fix)
    if len(groups) < 3 * FEWEST:
        what = f"there are {len(groups)} different openings, too few for three sets that share none"
        raise DataError("data.no_rows", what, where=str(path), fix=f"give at least {3 * FEWEST}")
    Random(seed).shuffle(groups)
    third = len(groups) // 3
    disjoint = "unseen openings are other rows of the file than those trained on"
    return Openings(groups[:third], groups[third : 2 * third], groups[2 * third :], disjoint)


def _fill(sentences: Sequence[str]) -> list[Group]:
    made = []
    for sentence, name in product(sentences, (*GIRLS, *BOYS)):
        words = ("girl", "She") if name in GIRLS else ("boy", "He")
        text = sentence.format(name=name, child=words[0], They=words[1])
        made.append(Group(text, f"opening:{SENTENCES.index(sentence) + 1}", text, ()))
    return made
