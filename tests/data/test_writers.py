"""Who wrote a side: read where files say it, turned round with the side, kept in a line on disk."""

import pytest
from tiny import write_rows

from prefsmith.data.codec import group_of_line, group_to_line
from prefsmith.data.groups import read_groups
from prefsmith.data.votes.read import read_judgements

PAIR = {"prompt": "q", "chosen": "a", "rejected": "b"}
SIDES = {"prompt": "q", "response_a": "a", "response_b": "b", "model_a": "x", "model_b": "y"}


def writers(path, *rows):
    reading = read_groups(write_rows(path / "rows.jsonl", rows))
    return [[(each.content, each.writer) for each in group.completions] for group in reading.groups]


@pytest.mark.parametrize("names", [("chosen_model", "rejected_model"), ("writer_chosen", "writer_rejected")])
def test_columns_name_both(tmp_path, names):
    assert writers(tmp_path, {**PAIR, names[0]: "x", names[1]: "y"}) == [[("a", "x"), ("b", "y")]]


def test_a_row_that_is_turned_round_takes_them_along(tmp_path):
    """Fault: the loser is put down to the winner."""
    found = writers(tmp_path, {**SIDES, "winner": "a"}, {**SIDES, "winner": "b"}, {**SIDES, "winner": "tie"})
    assert found == [[("a", "x"), ("b", "y")], [("b", "y"), ("a", "x")], [("a", "x"), ("b", "y")]]


@pytest.mark.parametrize("missing", [{"rejected_model": None}, {"rejected_model": 3}, {}])
def test_one_name_alone_says_nothing(tmp_path, missing):
    assert writers(tmp_path, {**PAIR, "chosen_model": "x", **missing}) == [[("a", None), ("b", None)]]


def test_entries_of_a_list_name_theirs(tmp_path):
    row = {"prompt": "q", "completions": [{"text": "a", "score": 1, "model": "x"}, {"text": "b", "score": 2}]}
    assert writers(tmp_path, row) == [[("a", "x"), ("b", None)]]


def test_votes_are_on_sides_with_writers(tmp_path):
    row = {
        "prompt": "q",
        "a": "s",
        "b": "t",
        "model_a": "x",
        "model_b": "y",
        "votes": [{"annotator": "m", "vote": "a"}],
    }
    (pair,) = read_judgements(write_rows(tmp_path / "votes.jsonl", [row])).pairs
    assert [each.writer for each in pair.group.completions] == ["x", "y"]


def test_a_line_keeps_them_and_older_lines_are_read(tmp_path):
    """Fault: a spooled row forgets who wrote it."""
    rows = ({**PAIR, "chosen_model": "x", "rejected_model": "y"},)
    (group,) = read_groups(write_rows(tmp_path / "rows.jsonl", rows)).groups
    assert group_of_line(group_to_line(group)) == group
    (plain,) = read_groups(write_rows(tmp_path / "plain.jsonl", [PAIR])).groups
    line = group_to_line(plain)
    assert b"null,[]],[" in line and group_of_line(line) == plain
