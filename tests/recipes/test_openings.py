"""Openings: three sets that share none, the recipe's own and those of a file."""

import pytest
from story.openings import SENTENCES, own_openings, read_openings
from tiny import write_rows

from prefsmith.errors import DataError


def texts(groups):
    return [group.prompt for group in groups]


@pytest.mark.parametrize("seed", range(5))
def test_no_opening_and_no_sentence_is_in_two_sets(seed):
    sets = own_openings(seed)
    groups = (sets.train, sets.unseen, sets.words)
    assert [len(set(texts(each))) for each in groups] == [64, 64, 64]
    assert len(set(texts(sets.all()))) == 192
    sentences = [{group.source for group in each} for each in groups]
    assert len(set().union(*sentences)) == sum(map(len, sentences)) == len(SENTENCES)


def test_another_seed_deals_the_sentences_anew_and_the_same_seed_does_not():
    assert texts(own_openings(0).train) == texts(own_openings(0).train) != texts(own_openings(1).train)


def test_openings_are_whole_sentences_with_who_they_are_about():
    made = texts(own_openings(0).all())
    assert not [text for text in made if "{" in text or "}" in text]
    assert "One day, Lily saw a little bird. She" in made and "One day, Tim saw a little bird. He" in made


def test_a_file_is_dealt_out_without_repeating_a_prompt(tmp_path):
    rows = [{"prompt": f"Story {number}", "chosen": "a", "rejected": "b"} for number in (*range(10), 3, 4)]
    sets = read_openings(write_rows(tmp_path / "openings.jsonl", rows), seed=0)
    assert [len(each) for each in (sets.train, sets.unseen, sets.words)] == [3, 3, 4]
    assert len(set(texts(sets.all()))) == 10
    assert texts(sets.all()) != [f"Story {number}" for number in range(10)]


def test_too_few_openings_are_refused(tmp_path):
    path = write_rows(tmp_path / "openings.jsonl", [{"prompt": f"Story {number}"} for number in range(5)])
    with pytest.raises(DataError) as caught:
        read_openings(path, seed=0)
    assert caught.value.code == "data.no_rows" and "5 different" in caught.value.what and "6" in caught.value.fix


def test_a_chat_is_no_opening(tmp_path):
    rows = [{"prompt": f"Story {number}"} for number in range(6)]
    chat = {"prompt": [{"role": "user", "content": "Tell me a story"}]}
    path = write_rows(tmp_path / "openings.jsonl", [*rows, chat])
    with pytest.raises(DataError) as caught:
        read_openings(path, seed=0)
    assert caught.value.code == "data.type" and caught.value.where.endswith("openings.jsonl:7")
