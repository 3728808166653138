"""Lists of messages that stand as JSON in a cell of text, and ShareGPT's names for turns."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import write_rows

from prefsmith.data.groups import read_groups
from prefsmith.errors import DataError
from prefsmith.records import Completion, Message

ASK, YES, NO = (
    {"role": "user", "content": 'q\n, "so"'},
    {"role": "assistant", "content": "yes"},
    {"role": "assistant", "content": "no"},
)


def as_csv(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS = {"csv": as_csv, "parquet": as_parquet, "jsonl": write_rows}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("lists", "format"),
    [
        ({"prompt": [ASK], "chosen": [YES], "rejected": [NO]}, "preference"),
        ({"prompt": [ASK], "chosen": YES, "rejected": NO}, "preference"),
        ({"chosen": [ASK, YES], "rejected": [ASK, NO]}, "dialogue"),
        ({"messages": [ASK, YES]}, "completion"),
        (
            {"conversations": [{"from": "human", "value": ASK["content"]}, {"from": "gpt", "value": "yes"}]},
            "completion",
        ),
    ],
)
def test_lists_in_text_are_the_lists_they_say(tmp_path, kind, lists, format):
    texts = {name: json.dumps(value) for name, value in lists.items()}
    reading = read_groups(WRITERS[kind](tmp_path / f"a.{kind}", [texts]))
    expected = read_groups(write_rows(tmp_path / "lists.jsonl", [lists])).groups[0]
    assert reading.schema.format == format
    assert (reading.groups[0].prompt, reading.groups[0].completions) == (expected.prompt, expected.completions)
    assert reading.notes == {f"cells of {name} are JSON text, read as messages": 1 for name in texts}


@pytest.mark.parametrize(
    "text",
    ['[1, 2]', '{"a": 1}', '[{"role": "user"}]', '[{"content": "x"}]', '[]', '[{"role": "user", "content": "x"}] is it',
     '[{"role": 7, "content": "x"}]', '"q"', 'say [{"role": "user", "content": "x"}]'],
)  # fmt: skip
def test_other_json_stays_the_text_that_it_is(tmp_path, text):
    row = {"prompt": text, "chosen": "yes", "rejected": "no"}
    reading = read_groups(write_rows(tmp_path / "a.jsonl", [row]))
    assert reading.groups[0].prompt == text and not reading.notes


@pytest.mark.parametrize(
    ("cell", "says"),
    [(str([ASK, YES]), "Python's form"), (json.dumps([ASK, YES])[:-5], "not JSON to its end")],
    ids=["python", "cut off"],
)
def test_a_table_whose_lists_were_written_wrongly_is_refused(tmp_path, cell, says):
    """pandas writes Python's form, which would otherwise be learnt as text, brackets and all."""
    path = as_csv(tmp_path / "a.csv", [{"prompt": "q", "chosen": cell, "rejected": "no"}])
    with pytest.raises(DataError, match=says) as caught:
        read_groups(path)
    assert (caught.value.code, caught.value.where) == ("data.type", f"{path}:2") and "json.dumps" in caught.value.fix


def test_such_a_text_in_json_is_an_answer_like_any_other(tmp_path):
    """An answer about code may well show a list of messages."""
    row = {"prompt": "q", "chosen": str([ASK]), "rejected": '[{"role": "user", "content": "cut'}
    assert read_groups(write_rows(tmp_path / "a.jsonl", [row])).groups[0].completions == (
        Completion(row["chosen"]),
        Completion(row["rejected"]),
    )


def test_a_role_that_nobody_has_is_named(tmp_path):
    path = as_csv(tmp_path / "a.csv", [{"messages": json.dumps([ASK, {**YES, "role": "bot"}])}])
    with pytest.raises(DataError, match=r"data\.role") as caught:
        read_groups(path)
    assert caught.value.where == f"{path}:2"


def test_tools_may_be_json_text(tmp_path):
    tools = [{"name": "clock"}]
    row = {"prompt": "q", "chosen": "yes", "rejected": "no", "tools": json.dumps(tools)}
    assert read_groups(as_csv(tmp_path / "a.csv", [row])).groups[0].tools == tuple(tools)
    path = as_csv(tmp_path / "b.csv", [{**row, "tools": '{"name": "clock"}'}])
    with pytest.raises(DataError, match="tools is not a list"):
        read_groups(path)


def test_turns_of_sharegpt_are_turns(tmp_path):
    """A system turn, and the spelling of files that other tools train on."""
    turns = [{"from": "system", "value": "be brief"}, {"from": "human", "value": "q"}]
    sides = [{"from": "gpt", "value": text} for text in ("yes", "no", "up", "in")]
    rows = [{"conversations": turns, "chosen": sides[index], "rejected": sides[index + 1]} for index in (0, 2)]
    reading = read_groups(write_rows(tmp_path / "a.jsonl", rows))
    assert reading.groups[0].prompt == (Message("system", "be brief"), Message("user", "q"))
    assert [each.content for each in reading.groups[1].completions] == ["up", "in"]


@pytest.mark.parametrize(
    ("name", "format"), [("dpo_en_demo", "preference"), ("dpo_zh_demo", "preference"), ("kto_en_demo", "rating")]
)
def test_real_files_of_another_tool_are_read_whole(shared_data, name, format):
    path = shared_data / "llamafactory_demo" / f"{name}.json.gz"
    reading = read_groups(path)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = json.load(file)
    assert len(reading.groups) == len(rows) == 300 and reading.schema.format == format
    for group, row in zip(reading.groups, rows, strict=True):
        if format == "preference":
            assert [each.content for each in group.completions] == [row["chosen"]["value"], row["rejected"]["value"]]
            assert [turn.content for turn in group.prompt] == [turn["value"] for turn in row["conversations"]]
        else:
            assert group.completions[0].content == row["messages"][-1]["content"]
            assert group.ratings[0].value == float(row["label"])
