"""A model that tells stories in words of its own, and stories written by hand."""

import pytest
from tiny import save_model

WORDS = ("lily", "tim", "ran", "home", "and", "the", "dog", "happy", "smiled", "friend", "sad", "cried", "lost", ".")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Knows fourteen words, says any of them after any other, and takes 20 tokens."""
    return save_model(tmp_path_factory.mktemp("teller"), WORDS, max_position_embeddings=20)


@pytest.fixture(scope="session")
def told():
    """Makes a story as it is measured; its words are those of the text unless they are given."""
    from story.measures import Story

    from prefsmith.evaluate.samples import Answer
    from prefsmith.records import Group

    def told(text="ran", opening="Lily", *, score=0.0, kl=0.0, loss=1.0, words=None):
        answer = Answer(Group(opening, "made:1", opening, ()), (1, 2), (3, 4), text, False)
        return Story(answer, score, kl, loss, text.split() if words is None else words)

    return told
