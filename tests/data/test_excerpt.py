"""How users' texts are shown in messages, and what is said of rows that are of no known kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_rows

from prefsmith.data.excerpt import excerpt, excerpt_names, excerpt_row
from prefsmith.data.groups import read_groups
from prefsmith.errors import DataError

HOSTILE = "a\x1b[2J\u202etxt\x00\u2028\n\x9b\udc80ü漢"


@given(st.text(max_size=200), st.integers(1, 80))
def test_an_excerpt_is_printable_and_short(text, width):
    shown = excerpt(text, width)
    assert shown.isprintable() and len(shown) <= 6 * width + 1
    if text.isprintable() and len(text) <= width:
        assert shown == text


def test_what_cannot_be_seen_is_written_out():
    assert excerpt(HOSTILE) == "a\\u001b[2J\\u202etxt\\u0000\\u2028\\n\\u009b\\udc80ü漢"


def test_a_row_of_anything_is_shown_on_one_line():
    row = {"a\n": HOSTILE, "b": None, "c": ["x"] * 100, "d": {"e": b"bytes"}, "f": float("nan"), "g": 10**400}
    shown = excerpt_row(row)
    assert shown.isprintable() and len(shown) <= 300
    assert '"b": null' in shown and '"a\\n": "a\\u001b' in shown
    assert excerpt_names([f"n{index}" for index in range(40)]).endswith("n15 and 24 more")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"text": HOSTILE, "rating": 3}, "no preference data"),
        ({"label": 1, "text": "x" * 10_000}, "no preference data"),
        ({HOSTILE * 10: 1}, "no preference data"),
        ({"prompt": "q", "response_a": "x"}, "missing chosen, rejected"),
    ],
)
def test_rows_of_no_known_kind_are_shown_with_the_kinds_that_are_known(tmp_path, row, says):
    with pytest.raises(DataError) as caught:
        read_groups(write_rows(tmp_path / "a.jsonl", [row]))
    error = caught.value
    assert (error.code, error.where) == ("data.column", f"{tmp_path / 'a.jsonl'}:1") and says in error.what
    assert all(line.isprintable() and len(line) < 1000 for line in str(error).splitlines())
    assert excerpt_row(row) in error.what
    for form in ("prompt, chosen, rejected", "prompt, completion, label", "messages", "winner", "data.columns."):
        assert form in error.fix


@pytest.mark.parametrize(
    ("name", "columns"),
    [("imdb_train_labelled.jsonl.xz", "id, movie, rating, label, text"), ("rt_polarity.jsonl.gz", "id, label, text")],
)
def test_real_files_without_preferences_are_refused_by_their_columns(shared_data, name, columns):
    with pytest.raises(DataError, match="no preference data") as caught:
        read_groups(shared_data / name)
    assert f"the row has {columns}\n" in caught.value.what


def test_an_alpaca_file_is_read_with_its_input(tmp_path):
    """Its `input` belongs to the prompt, so reading `instruction` and `output` alone would lose text."""
    row = {"instruction": "Translate.", "input": "Haus", "output": "house"}
    (group,) = read_groups(write_rows(tmp_path / "a.json", [row])).groups
    assert group.prompt == "Translate.\nHaus" and group.completions[0].content == "house"
