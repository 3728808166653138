"""Parquet: nested cells, nulls, values that JSON does not have, and damaged files."""

import json
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefsmith.data.columnar import ROWS_AT_ONCE
from prefsmith.data.containers import open_container
from prefsmith.data.groups import read_groups
from prefsmith.data.rejects import Rejects
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Message

ASK = {"role": "user", "content": "q"}


def parquet(path, rows, schema=None):
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def test_lists_and_structs_are_messages(tmp_path):
    answer = {"role": "assistant", "content": "yes"}
    rows = [{"prompt": [ASK], "chosen": answer, "rejected": {**answer, "content": "no"}}]
    group = read_groups(parquet(tmp_path / "a.parquet", rows)).groups[0]
    assert group.prompt == (Message("user", "q"),)
    assert [each.messages[0].content for each in group.completions] == ["yes", "no"]


def test_rows_are_counted_from_one_over_all_batches(tmp_path):
    count = 2 * ROWS_AT_ONCE + 3
    rows = [{"prompt": str(number), "chosen": "yes", "rejected": "no"} for number in range(1, count + 1)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=ROWS_AT_ONCE // 2 + 1)
    assert [(row.source, row.values["prompt"]) for row in open_container(path).rows(Rejects())] == [
        (f"{path}:row {number}", str(number)) for number in range(1, count + 1)
    ]


def test_a_field_that_other_messages_have_is_not_there_where_it_is_null(tmp_path):
    """A struct has every field in every row: an answer without a call must not look as if it had one."""
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "clock"}]}
    said = {"role": "assistant", "content": "no", "tool_calls": None}
    rows = [{"prompt": [ASK], "chosen": [call], "rejected": [said]}]
    group = read_groups(parquet(tmp_path / "a.parquet", rows)).groups[0]
    assert group.completions[0].messages[0].extra == {"tool_calls": [{"name": "clock"}]}
    assert group.completions[1].messages[0].extra == {}

    silent = {**said, "content": None}
    path = parquet(tmp_path / "b.parquet", [{"prompt": [ASK], "chosen": [call], "rejected": [silent]}])
    with pytest.raises(DataError) as caught:
        read_groups(path)
    assert caught.value.where == f"{path}:row 1" and caught.value.code == "data.type"


def test_numbers_of_every_kind_are_numbers_and_texts_are_not(tmp_path):
    schema = pa.schema([("prompt", pa.large_string()), ("chosen", pa.dictionary(pa.int8(), pa.string())),
                        ("rejected", pa.string()), ("prob", pa.decimal128(4, 2)), ("weight", pa.int8()),
                        ("when", pa.timestamp("ns"))])  # fmt: skip
    row = {"prompt": "q", "chosen": "yes", "rejected": "no", "prob": Decimal("0.25"), "weight": 2,
           "when": datetime(2026, 1, 2)}  # fmt: skip
    reading = read_groups(parquet(tmp_path / "a.parquet", [row], schema))
    assert reading.groups[0].comparisons == (Comparison(0, 1, prob=0.25, weight=2.0),)
    assert reading.schema.unused == ("when",)

    path = parquet(tmp_path / "b.parquet", [{"prompt": "q", "chosen": "yes", "rejected": "no", "prob": "0.25"}])
    with pytest.raises(DataError, match=r"prob is '0\.25', not a number"):
        read_groups(path)


@pytest.mark.parametrize(("cell", "says"), [(None, "null"), (b"yes", "of the type bytes"), (7, "the number 7")])
def test_a_cell_that_is_no_text_is_refused_and_can_be_skipped(tmp_path, cell, says):
    path = parquet(tmp_path / "a.parquet", [{"prompt": "q", "chosen": cell, "rejected": "no"}])
    with pytest.raises(DataError, match=says) as caught:
        read_groups(path)
    assert caught.value.where == f"{path}:row 1"
    rejects = Rejects(skip=True)
    with pytest.raises(DataError, match=r"data\.no_rows"):
        read_groups(path, rejects=rejects)
    rejects.write(tmp_path / "rejected.jsonl")  # bytes are no JSON
    assert json.loads((tmp_path / "rejected.jsonl").read_text())["row"]["rejected"] == "no"


def test_a_text_that_is_not_utf8_costs_its_own_row_alone(tmp_path):
    texts = pa.Array.from_buffers(pa.string(), 3, pa.array([b"yes", b"caf\xe9", b"up"], pa.binary()).buffers())
    rest = pa.array(["a", "b", "c"])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([rest, texts, rest], names=["prompt", "chosen", "rejected"]), path)
    with pytest.raises(DataError) as caught:
        read_groups(path)
    assert (caught.value.code, caught.value.where) == ("data.encoding", f"{path}:row 2")
    reading = read_groups(path, rejects=Rejects(skip=True))
    assert [group.source for group in reading.groups] == [f"{path}:row 1", f"{path}:row 3"] and reading.rows == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "html"])
def test_a_damaged_file_is_one_clear_error(tmp_path, damage):
    rows = [{"prompt": str(number), "chosen": f"yes {number}", "rejected": "no"} for number in range(500)]
    path = parquet(tmp_path / "a.parquet", rows)
    whole = path.read_bytes()
    content = {"cut": whole[:-9], "empty": b"", "html": b"<!doctype html>", "flipped": bytearray(whole)}[damage]
    if damage == "flipped":
        content[4:40] = bytes(36)
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_groups(path, rejects=Rejects(skip=True))
    assert caught.value.code == ("data.content" if damage == "html" else "data.parquet")
    assert caught.value.where == str(path) and caught.value.fix and "\n" not in caught.value.what


def test_two_columns_of_one_name_are_refused(tmp_path):
    one = pa.array(["x"])
    pq.write_table(pa.Table.from_arrays([one, one, one], names=["prompt", "chosen", "chosen"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="two columns are named chosen"):
        read_groups(tmp_path / "a.parquet")


def test_a_limit_reads_one_batch(tmp_path, monkeypatch):
    rows = [{"prompt": str(number), "chosen": "yes", "rejected": "no"} for number in range(10 * ROWS_AT_ONCE)]
    path = parquet(tmp_path / "a.parquet", rows)
    made = []

    def counted(self, *arguments, **options):
        for batch in original(self, *arguments, **options):
            made.append(batch.num_rows)
            yield batch

    original = pq.ParquetFile.iter_batches
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    assert len(read_groups(path, limit=3).groups) == 3
    assert made == [ROWS_AT_ONCE]
