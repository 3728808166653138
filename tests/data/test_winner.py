"""Who won, row by row: which words and numbers name a side, what becomes of a row, and what is refused."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from tiny import write_rows

from prefsmith.data.groups import read_groups
from prefsmith.data.rejects import Rejects
from prefsmith.data.winner import Sides
from prefsmith.errors import ConfigError, DataError
from prefsmith.records import Comparison, Message

TIES = ["tie", "Tie", "tie (bothbad)", "TIE (both bad)", "equal", "draw", "tied"]


@pytest.mark.parametrize(
    ("first", "second", "firsts", "seconds", "neither"),
    [
        ("a", "b", ["a", "A", " a ", "[[A]]", "model_a", "Assistant A", "response-a"], ["b", "model_b"],
         [0, 1, 2, "0", "1", 1.0, True, False, None, "", "c", "a b", "a>b", "not a", "ab", "human_a", "model", ["a"]]),
        ("response_a", "response_b", ["response_a", "a", "model_a", "Response A"], ["response_b", "b", "model_b"],
         [0, 1, -1, "response", "response_c", "gpt-4", "neither", "both", "response_a response_a"]),
        ("responseA", "responseB", ["responseA", "a", "A"], ["responseB", "B"], ["response"]),
        ("left_answer", "right_answer", ["left", "left_answer"], ["right"], ["answer", "l", "first"]),
        ("response_0", "response_1", [0, "0", 0.0, "0.0", "response_0", "model 0"], [1, "1", "response_1"], ["a", 0.5]),
        ("answer1", "answer2", [1, "1", "answer_1"], [2, "2.0"], [1.5, "first", True]),
        ("answer", "answer_2", ["answer"], ["answer_2", 2, "2"], ["", "b"]),
        ("good text", "bad text", ["good"], ["bad"], ["text"]),
    ],
)  # fmt: skip
def test_what_names_a_side(first, second, firsts, seconds, neither):
    sides = Sides(first, second, "winner")
    assert [sides.names(value) for value in firsts] == ["first"] * len(firsts)
    assert [sides.names(value) for value in seconds] == ["second"] * len(seconds)
    assert [sides.names(value) for value in neither] == [None] * len(neither)
    assert [sides.names(value) for value in TIES] == ["tie"] * len(TIES)


ROW = {"prompt": "q", "a": "one", "b": "two", "human": "a"}
MAP = {"chosen": "a", "rejected": "b", "winner": "human"}


def read(folder, rows, **options):
    return read_groups(write_rows(folder / "rows.jsonl", rows), **options)


def test_a_row_is_turned_round_and_a_tie_is_a_half(tmp_path):
    rows = [ROW, {**ROW, "human": "b"}, {**ROW, "human": "tie"}]
    reading = read(tmp_path, rows, columns=MAP)
    assert [[each.text for each in group.completions] for group in reading.groups] == [
        ["one", "two"],
        ["two", "one"],
        ["one", "two"],
    ]
    assert [group.comparisons for group in reading.groups] == [
        (Comparison(0, 1),),
        (Comparison(0, 1),),
        (Comparison(0, 1, prob=0.5),),
    ]
    assert reading.notes == {"turned round, since human names b": 1, "kept as ties, with probability 0.5": 1}
    described = reading.schema.describe()
    assert "chosen from a, rejected from b, winner from human" in described
    assert "turned round where human names b; a tie is prob 0.5" in described


@pytest.mark.parametrize(
    ("row", "chosen"),
    [
        ({"prompt": "q", "response_a": "one", "response_b": "two", "winner": "model_b"}, "two"),
        ({"prompt": "q", "response_a": "one", "response_b": "two", "preference": "A"}, "one"),
        ({"question": "q", "answer_1": "one", "answer_2": "two", "preferred": 2}, "two"),
        ({"prompt": "q", "response_0": "one", "response_1": "two", "better_response_id": 1}, "two"),
        ({"instruction": "q", "a": "one", "b": "two", "winner": "b"}, "two"),
    ],
)
def test_common_layouts_need_no_map(tmp_path, row, chosen):
    reading = read(tmp_path, [row])
    assert reading.groups[0].completions[0].text == chosen and "winner" in reading.schema.columns
    assert "turned round where" in reading.schema.describe()


def test_whole_dialogues_may_be_compared(tmp_path):
    """As in LMSYS arenas, where the columns model_a and model_b name the models."""
    ask = {"role": "user", "content": "q"}
    sides = {f"conversation_{name}": [ask, {"role": "assistant", "content": name}] for name in "ab"}
    row = {"model_a": "gpt-4", "model_b": "claude-1", "winner": "model_b", **sides}
    rows = [row, {**row, "winner": "tie (bothbad)"}]
    reading = read(tmp_path, rows)
    assert reading.schema.format == "dialogue" and reading.groups[0].prompt == (Message("user", "q"),)
    assert [group.completions[0].content for group in reading.groups] == ["b", "a"]
    assert reading.groups[1].comparisons[0].prob == 0.5


def test_a_column_called_winner_beside_chosen_is_not_read(tmp_path):
    """Files that were turned round already keep the old column; turning them again would reverse every other row."""
    row = {"prompt": "q", "chosen": "yes", "rejected": "no", "winner": "model_b"}
    reading = read(tmp_path, [row])
    assert reading.groups[0].completions[0].text == "yes" and reading.schema.unused == ("winner",)


def test_chosen_and_rejected_are_taken_before_a_layout_that_has_to_be_turned(tmp_path):
    row = {"prompt": "q", "response_a": "one", "response_b": "two", "winner": "b", "chosen": "yes", "rejected": "no"}
    assert read(tmp_path, [row]).groups[0].completions[0].text == "yes"


def test_a_row_that_is_refused_is_not_counted_as_turned_round(tmp_path):
    same = {**ROW, "b": "one", "human": "b"}
    assert not read(tmp_path, [ROW, same], columns=MAP, rejects=Rejects(skip=True)).notes


@pytest.mark.parametrize("value", [None, "", "c", 0, "gpt-4", True, "a,b", "\x1b[31m", 1.7, ["a"]])
def test_a_verdict_that_names_nobody_is_refused_with_its_row(tmp_path, value):
    rows = [ROW, {**ROW, "human": value}]
    with pytest.raises(DataError) as caught:
        read(tmp_path, rows, columns=MAP)
    assert (caught.value.code, caught.value.where) == ("data.winner", f"{tmp_path / 'rows.jsonl'}:2")
    assert "neither a nor b" in caught.value.what and "a, b, or tie" in caught.value.fix
    assert "\x1b" not in str(caught.value)
    rejects = Rejects(skip=True)
    assert len(read(tmp_path, rows, columns=MAP, rejects=rejects).groups) == 1 and len(rejects.rows) == 1


@pytest.mark.parametrize(("columns", "value"), [("12", 0), ("01", 2), ("12", "3"), ("12", -1)])
def test_a_number_that_no_column_has_stops_everything(tmp_path, columns, value):
    """Were such rows skipped, those left would be read by the wrong count: of 0 and 1, 1 is the second."""
    row = {"prompt": "q", **{f"response_{each}": each for each in columns}, "winner": int(columns[0])}
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, [row, {**row, "winner": value}], rejects=Rejects(skip=True))
    assert (caught.value.code, caught.value.where) == ("data.winner_number", f"{tmp_path / 'rows.jsonl'}:2")
    assert f"response_{columns[0]} or {columns[0]}" in caught.value.fix


def test_a_row_without_a_verdict_is_refused(tmp_path):
    with pytest.raises(DataError, match="missing human"):
        read(tmp_path, [ROW, {key: ROW[key] for key in ("prompt", "a", "b")}], columns=MAP)


@pytest.mark.parametrize("verdict", ["b", "tie", "model_a"])
def test_a_verdict_that_would_not_be_read_stops_the_reading(tmp_path, verdict):
    """Without the third entry of the map every row would train on a, also where b won."""
    with pytest.raises(DataError) as caught:
        read(
            tmp_path, [{**ROW, "human": verdict}], columns={"chosen": "a", "rejected": "b"}, rejects=Rejects(skip=True)
        )
    assert caught.value.code == "data.winner" and "data.columns.winner=human" in caught.value.fix


def test_other_columns_are_not_taken_for_verdicts(tmp_path):
    row = {"prompt": "q", "response_1": "one", "response_2": "two", "id": "1", "turn": 2, "grade": "a", "human": 7}
    assert read(tmp_path, [row], columns={"chosen": "response_1", "rejected": "response_2"}).groups


def test_a_winner_beside_a_probability_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"\[data\.winner\] human says who won, and prob how probably"):
        read(tmp_path, [{**ROW, "prob": 0.8}], columns=MAP)


@pytest.mark.parametrize("options", [{"columns": {"winner": "human"}}, {"columns": MAP, "format": "rating"}])
def test_a_winner_of_nothing_is_refused(tmp_path, options):
    with pytest.raises(ConfigError, match=r"\[data\.columns\] a winner is named") as caught:
        read(tmp_path, [ROW], **options)
    assert "data.columns.chosen" in caught.value.fix


@pytest.mark.parametrize(
    ("row", "proposed"),
    [
        (ROW, "data.columns.chosen=a data.columns.rejected=b data.columns.winner=human"),
        ({"text": "q", "left": "x", "right": "y", "choice": "right"},
         "data.columns.prompt=<your column> data.columns.chosen=left data.columns.rejected=right "
         "data.columns.winner=choice"),
        ({"prompt": "q", "model_a": "m", "model_b": "n", "text_a": "an answer", "text_b": "another", "gold": "b"},
         "data.columns.chosen=text_a data.columns.rejected=text_b data.columns.winner=gold"),
    ],
)  # fmt: skip
def test_an_uncommon_layout_is_answered_with_the_map_to_type(tmp_path, row, proposed):
    with pytest.raises(DataError) as caught:
        read(tmp_path, [row])
    assert caught.value.code == "data.column" and proposed in caught.value.fix
    words = dict(
        each.removeprefix("data.columns.").split("=") for each in proposed.split(" ") if "<" not in each and "=" in each
    )
    assert read(tmp_path, [row], columns={"prompt": next(iter(row)), **words}).groups


def test_what_is_wrong_with_a_turned_row_is_named_by_its_own_column(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, [ROW, {**ROW, "human": "b", "a": " "}], columns=MAP)
    assert caught.value.code == "data.empty" and "a (rejected) is empty" in caught.value.what


@pytest.mark.parametrize(("name", "refused"), [("llmbar", 1), ("autoj_pairwise", 5)])
def test_real_files_are_turned_round_as_their_column_says(shared_data, name, refused):
    """Against the file itself: which text won, how many ties; identical pairs are refused."""
    import gzip

    path, rejects = shared_data / f"{name}.jsonl.gz", Rejects(skip=True)
    reading = read_groups(path, columns=MAP, rejects=rejects)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert rejects.counts() == {"data.identical": refused} and reading.rows == len(rows)
    for group in reading.groups:
        row = rows[int(group.source.rpartition(":")[2]) - 1]
        first, second = ("b", "a") if row["human"] == "b" else ("a", "b")
        assert [each.text for each in group.completions] == [row[first], row[second]]
        assert group.comparisons == (Comparison(0, 1, prob=0.5 if row["human"] == "tie" else 1.0),)
    used = Counter(rows[int(group.source.rpartition(":")[2]) - 1]["human"] for group in reading.groups)
    assert reading.notes["turned round, since human names b"] == used["b"]
    assert reading.notes["kept as ties, with probability 0.5"] == used["tie"]


def test_a_table_names_its_winner_too(tmp_path):
    rows = "prompt,response_1,response_2,winner\nq,one,two,2\nq,three,four,1.0\nq,five,six,tie\n"
    (tmp_path / "a.csv").write_text(rows)
    groups = read_groups(tmp_path / "a.csv").groups
    assert [group.completions[0].text for group in groups] == ["two", "three", "five"]
    assert [replace(group.comparisons[0]).prob for group in groups] == [1.0, 1.0, 0.5]
