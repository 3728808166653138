"""Files of answers: several to a prompt, empty ones too, and what is none."""

import json

import pytest

from prefsmith.data.completions import read_completions
from prefsmith.errors import DataError


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_answers_by_prompt_in_order(tmp_path):
    rows = [
        {"prompt": "b", "completion": "1", "tokens": 3},
        {"prompt": "a", "completion": ""},
        {"prompt": "b", "completion": "2"},
    ]
    found = read_completions(written(tmp_path / "a.jsonl", *rows))
    assert [group.prompt for group in found.prompts] == ["b", "a"] and found.rows == 3
    assert found.texts == {'"b"': ("1", "2"), '"a"': ("",)}


def test_what_generate_writes_and_what_others_call_it(tmp_path):
    question = read_completions(written(tmp_path / "q.jsonl", {"question": "a", "response": "x"}))
    assert question.texts == {'"a"': ("x",)}
    chat = {"prompt": [{"role": "user", "content": "hi"}], "completion": [{"role": "assistant", "content": "ho"}]}
    found = read_completions(written(tmp_path / "c.jsonl", chat))
    assert list(found.texts.values()) == [("ho",)]
    dialogue = read_completions(
        written(tmp_path / "d.jsonl", {"prompt": "\n\nHuman: hi\n\nAssistant:", "completion": " ho"})
    )
    assert dialogue.prompts[0].prompt_key() == found.prompts[0].prompt_key()  # as every other file is read


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"prompt": "a"}, "data.column"),
        ({"completion": "a"}, "data.column"),
        ({"prompt": "a", "completion": None}, "data.type"),
        ({"prompt": "a", "completion": 3}, "data.type"),
    ],
)
def test_a_row_without_prompt_or_answer_is_named(tmp_path, row, code):
    with pytest.raises(DataError) as caught:
        read_completions(written(tmp_path / "a.jsonl", row))
    assert caught.value.code == code and caught.value.where.endswith("a.jsonl:1")


def test_a_file_without_rows_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"data\.no_rows"):
        read_completions(written(tmp_path / "a.jsonl"))
