"""Rows that cannot be used: each is refused with a code, its place, and what to do."""

import json
from pathlib import Path

import pytest
from tiny import write_rows

from prefsmith.data.groups import read_groups
from prefsmith.data.rejects import Rejects
from prefsmith.errors import DataError, TrainingError

ASK, YES = {"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}
NO = {**YES, "content": "no"}
GOOD = {
    "preference": {"prompt": "q", "chosen": "yes", "rejected": "no", "id": "first"},
    "dialogue": {"chosen": [ASK, YES], "rejected": [ASK, NO]},
    "rating": {"prompt": "q", "completion": "yes", "label": True},
    "messages": {"messages": [ASK, YES]},
    "soft": {"prompt": "q", "chosen": "yes", "rejected": "no", "prob": 0.5},
    "weighed": {"prompt": "q", "chosen": "yes", "rejected": "no", "weight": 1, "tools": []},
    "hh": {"chosen": "\n\nHuman: q\n\nAssistant: yes", "rejected": "\n\nHuman: q\n\nAssistant: no"},
}
BAD = {
    "identical": ("preference", {"chosen": "no"}, "data.identical", "teaches nothing"),
    "identical messages": ("dialogue", {"chosen": [ASK, NO]}, "data.identical", "teaches nothing"),
    "empty": ("preference", {"chosen": ""}, "data.empty", "chosen is empty"),
    "whitespace": ("preference", {"rejected": " \n\t"}, "data.empty", "rejected is empty"),
    "empty answer": ("rating", {"completion": ""}, "data.empty", "completion is empty"),
    "empty message": ("dialogue", {"rejected": [ASK, {**NO, "content": " "}]}, "data.empty", "rejected is empty"),
    "boolean": ("preference", {"chosen": True}, "data.type", "chosen is the boolean true, not a text"),
    "null": ("preference", {"rejected": None}, "data.type", "rejected is null, not a text"),
    "number": ("preference", {"prompt": 3.5}, "data.type", "prompt is the number 3.5, not a text"),
    "not finite": (
        "dialogue",
        {"chosen": [ASK, {**YES, "tool_calls": [{"function": {"name": "f", "arguments": {"x": float("nan")}}}]}]},
        "data.type",
        "chosen[1] holds NaN or Infinity",
    ),
    "tools not finite": ("weighed", {"tools": [{"maximum": float("inf")}]}, "data.type", "tools holds NaN"),
    "mixed forms": ("preference", {"chosen": [YES]}, "data.type", "chosen is a text and rejected a list"),
    "no column": ("preference", {"chosen": ...}, "data.column", "missing chosen; the row has prompt, rejected"),
    "above one": ("soft", {"prob": 1.2}, "data.probability", "prob is 1.2, outside [0, 1]"),
    "below zero": ("soft", {"prob": -0.1}, "data.probability", "outside [0, 1]"),
    "nan": ("soft", {"prob": float("nan")}, "data.probability", "prob is nan"),
    "infinite": ("soft", {"prob": float("inf")}, "data.probability", "prob is inf"),
    "truth": ("soft", {"prob": True}, "data.type", "prob is True, not a number"),
    "text": ("soft", {"prob": "0.7"}, "data.type", "prob is '0.7', not a number"),
    "no probability": ("soft", {"prob": None}, "data.type", "prob is None, not a number"),
    "probability left out": ("soft", {"prob": ...}, "data.column", "missing prob"),
    "weight": ("weighed", {"weight": -1}, "data.weight", "weight is -1, outside [0, 1e+12]"),
    "huge weight": ("weighed", {"weight": 10**400}, "data.weight", "outside [0, 1e+12]"),
    "tools": ("weighed", {"tools": "clock"}, "data.type", "tools is not a list"),
    "surrogate": ("preference", {"chosen": "cut \ud83d"}, "data.encoding", "chosen holds a lone surrogate"),
    "role": ("dialogue", {"chosen": [{**ASK, "role": "usr"}, YES]}, "data.role", "chosen[0] has the role 'usr'"),
    "no role": ("dialogue", {"chosen": [{"content": "q"}, YES]}, "data.role", "the role None"),
    "no message": ("dialogue", {"chosen": ["q", YES]}, "data.type", "is the text 'q', not a message"),
    "parts": ("dialogue", {"chosen": [{**ASK, "content": []}, YES]}, "data.type", "chosen[0].content is a list"),
    "no answer": ("messages", {"messages": [YES, ASK]}, "data.messages", "their roles: assistant, user"),
    "answer alone": ("messages", {"messages": [YES]}, "data.messages", "their roles: assistant"),
    "no messages": ("messages", {"messages": []}, "data.messages", "their roles: none"),
    "messages as text": ("messages", {"messages": "q"}, "data.type", "messages is a text"),
    "diverging": ("dialogue", {"chosen": [{**ASK, "content": "p"}, YES]}, "data.diverge", "do not share a prompt"),
    "diverging hh": ("hh", {"chosen": "\n\nHuman: p\n\nAssistant: a"}, "data.diverge", "do not share a prompt"),
    "no dialogue": ("hh", {"rejected": "no"}, "data.dialogue", "rejected is not a dialogue"),
    "half label": ("rating", {"label": 0.5}, "data.label", "label is 0.5"),
    "text label": ("rating", {"label": "true"}, "data.label", "label is 'true'"),
    "id twice": ("preference", {"id": "first"}, "data.id", "the id 'first' is also that of"),
}


def changed(row, changes):
    return {key: value for key, value in {**row, **changes}.items() if value is not ...}


@pytest.mark.parametrize(("kind", "changes", "code", "says"), BAD.values(), ids=BAD)
def test_a_bad_row_is_refused_with_its_place(tmp_path, kind, changes, code, says):
    row = changed({**GOOD[kind], "id": "second"} if kind == "preference" else GOOD[kind], changes)
    path = write_rows(tmp_path / "rows.jsonl", [GOOD[kind], row])
    with pytest.raises(DataError) as caught:
        read_groups(path)
    assert (caught.value.code, caught.value.where) == (code, f"{path}:2")
    assert says in caught.value.what and caught.value.fix


SIDES = {"prompt": [ASK], "chosen": [YES], "rejected": [NO]}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chosen": [{**ASK, "content": "another"}, YES]}, "data.diverge"),
        ({"chosen": [ASK]}, "data.messages"),
        ({"chosen": []}, "data.messages"),
    ],
    ids=["another prompt", "no answer", "nothing"],
)
def test_a_side_is_the_prompt_and_one_answer(tmp_path, changes, code):
    path = write_rows(tmp_path / "rows.jsonl", [SIDES, {**SIDES, **changes}])
    with pytest.raises(DataError) as caught:
        read_groups(path)
    assert (caught.value.code, caught.value.where) == (code, f"{path}:2") and caught.value.fix


@pytest.mark.parametrize(
    ("row", "format", "missing", "offered"),
    [
        ({"prompt": "q", "chosn": "a", "rejected": "b"}, "auto", "missing chosen", "data.columns.chosen=chosn\n"),
        ({"prompt": "q", "good": "a", "bad": "b"}, "preference", "missing chosen, rejected", "rejected=<your column>"),
        ({"prompt": "q", "completion": "a"}, "rating", "missing label", "data.columns.label=<your column>"),
    ],
    ids=["nearest", "all", "format"],
)
def test_a_missing_column_offers_those_that_are_there(tmp_path, row, format, missing, offered):
    path = write_rows(tmp_path / "rows.jsonl", [row])
    with pytest.raises(DataError) as caught:
        read_groups(path, format=format)
    assert (caught.value.code, caught.value.where) == ("data.column", f"{path}:1")
    assert missing in caught.value.what and offered in caught.value.fix
    assert f"the row has {', '.join(row)}\n" in caught.value.what and json.dumps(row) in caught.value.what


def test_a_mapped_column_that_is_not_there_is_missing(tmp_path):
    """The file's own `chosen` must not step in for the column that the user named."""
    path = write_rows(tmp_path / "rows.jsonl", [GOOD["preference"]])
    with pytest.raises(DataError, match="missing better"):
        read_groups(path, columns={"chosen": "better"})


@pytest.mark.parametrize("kind", [kind for kind in GOOD if kind != "preference"])
def test_every_bad_row_of_a_kind_is_skipped_and_counted(tmp_path, kind):
    bad = [changed(GOOD[kind], changes) for of, changes, _, _ in BAD.values() if of == kind]
    path, rejects = write_rows(tmp_path / "rows.jsonl", [GOOD[kind], *bad, GOOD[kind]]), Rejects(skip=True)
    reading = read_groups(path, rejects=rejects)
    assert (reading.rows, len(reading.groups), len(rejects.rows)) == (len(bad) + 2, 2, len(bad))
    assert [row["where"] for row in rejects.rows] == [f"{path}:{line}" for line in range(2, len(bad) + 2)]
    assert [json.dumps(row["row"]) for row in rejects.rows] == [json.dumps(row) for row in bad]


def test_an_optional_column_that_is_named_but_absent_is_missing(tmp_path):
    """A mistyped name of the probability column would turn soft labels into hard ones."""
    path = write_rows(tmp_path / "rows.jsonl", [{**GOOD["preference"], "sure": 0.7}])
    with pytest.raises(DataError, match=r"missing suer, which data\.columns\.prob names") as caught:
        read_groups(path, columns={"prob": "suer"})
    assert caught.value.where == f"{path}:1" and "'sure'" in caught.value.fix


@pytest.mark.parametrize("late", [{"probability": 0.7}, {"weight": 2}])
def test_a_column_that_begins_behind_the_first_row_is_not_lost(tmp_path, late):
    row = {"prompt": "q", "chosen": "yes", "rejected": "no"}
    path = write_rows(tmp_path / "rows.jsonl", [row, {**row, **dict.fromkeys(late)}, {**row, **late}])
    with pytest.raises(DataError, match="which the first row lacks") as caught:
        read_groups(path)
    assert (caught.value.code, caught.value.where) == ("data.column", f"{path}:3") and caught.value.fix


def test_a_row_may_have_a_system_prompt_and_tools_of_its_own(tmp_path):
    row = {"prompt": "q", "chosen": "yes", "rejected": "no"}
    rows = [row, {**row, "system": "be brief", "tools": [{"name": "t"}], "id": "x"}]
    plain, rich = read_groups(write_rows(tmp_path / "rows.jsonl", rows)).groups
    assert plain.prompt == "q" and not plain.tools
    assert rich.prompt[0].content == "be brief" and rich.tools == ({"name": "t"},) and rich.id == "x"


def test_without_skipping_the_first_bad_row_stops_the_reading(tmp_path):
    rows = [GOOD["rating"], {**GOOD["rating"], "label": 2}, {**GOOD["rating"], "completion": ""}]
    with pytest.raises(DataError, match=r"data\.label"):
        read_groups(write_rows(tmp_path / "rows.jsonl", rows))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
def test_refused_rows_that_cannot_be_written_are_told(tmp_path):
    rejects = Rejects(skip=True)
    rejects.refuse(DataError("data.type", "a number", where="rows:1"), {"prompt": 1})
    with pytest.raises(TrainingError, match="the refused rows cannot be written: No space left") as caught:
        rejects.write(Path("/dev/full"))
    assert caught.value.code == "run.write"
