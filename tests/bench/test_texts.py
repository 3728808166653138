"""Real preferences become pairs."""

import gzip
import json

import pytest
from speed import texts
from speed.lengths import Lengths

TURN = "\n\nHuman: hi\n\nAssistant:"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder in the place of the real data; gives what writes a file into it."""
    monkeypatch.setattr(texts, "DATA", tmp_path)

    def write(name, rows):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    return write


def test_a_dialogue_is_cut_behind_the_last_turn_that_both_share(data):
    rows = [
        {"chosen": f"{TURN} hello{TURN} one", "rejected": f"{TURN} hello{TURN} other"},
        {"chosen": f"{TURN} same", "rejected": f"{TURN} same"},
        {"chosen": "no turn", "rejected": "no more"},
    ]
    data("hh_harmless", rows)
    assert texts.preferences("hh_harmless") == [
        {"prompt": f"{TURN} hello{TURN}", "chosen": " one", "rejected": " other"}
    ]


def test_the_likelier_answer_is_the_chosen_one(data):
    rows = [{"prompt": "p", "a": "x", "b": "y", "p_b": share} for share in (0.2, 0.7)]
    data("alpaca_soft", [*rows, {"prompt": "p", "a": "x", "b": "x", "p_b": 0.9}])
    assert [(row["chosen"], row["rejected"]) for row in texts.preferences("alpaca_soft")] == [("x", "y"), ("y", "x")]


def test_data_that_is_not_there_is_named(data):
    with pytest.raises(FileNotFoundError, match="hh_harmless"):
        texts.preferences("hh_harmless")


def test_a_cut_takes_the_end_of_answers_and_their_end_token():
    assert texts._cut(1000, 10, 23) == Lengths(1000, 11, 24)
    assert texts._cut(1000, 24, 500) == Lengths(1000, 24, 24)
