"""What an audit proposes is applied to the rows that it names, counted, and to no other file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_rows

from prefsmith.config import DataConfig
from prefsmith.data.audited import AuditFile, in_ranges, key_of, ranges
from prefsmith.data.prepare import Preparation
from prefsmith.data.views import Wanted
from prefsmith.errors import ConfigError, DataError
from prefsmith.files import file_digest
from prefsmith.records import Comparison, Completion, Group


def rows(count):
    return [
        {"prompt": f"p{n}", "chosen": f"good {n}", "rejected": f"bad {n}", "weight": 2.0} for n in range(1, count + 1)
    ]


def write_audit(folder, file, *entries, name=None):
    path = folder / "audit.yaml"
    files = [{"name": name or str(file), "digest": {"sha256": file_digest(file)}, "entries": list(entries)}]
    path.write_text(json.dumps({"kind": "audit", "version": 1, "files": files}))
    return str(path)


def prepared(train, audit, **settings):
    said = []
    config = {"train": str(train), "audit": audit, "eval_fraction": 0, "cache": "none", **settings}
    preparation = Preparation(DataConfig(**config), [Wanted("dpo", "pairwise")], said.append)
    return preparation.read(None), preparation.record, said


def test_rows_are_left_out_and_weighed(tmp_path):
    lines = [json.dumps(row) for row in rows(6)]
    lines[1], lines[4] = '{"prompt": "cut', json.dumps({**rows(5)[4], "chosen": True})
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines))
    audit = write_audit(
        tmp_path,
        file,
        {"code": "broken.unreadable", "weight": 0, "lines": "2"},
        {"code": "broken.type", "weight": 0, "lines": 5},
        {"code": "repeated.rows", "weight": 0, "lines": "3"},
        {"code": "repeated.near_rows", "weight": 0.5, "lines": "3-4, 6"},
        {"code": "mine", "weight": 0.5, "lines": "6"},
    )
    sides, record, said = prepared(file, audit)
    kept = {row.group.source.rpartition(":")[2]: row.group.comparisons[0].weight for row in sides.train}
    assert kept == {"1": 2.0, "4": 1.0, "6": 0.5}
    assert (record["train"]["rows"], record["train"]["groups"], record["train"]["rejected"]) == (6, 3, 0)
    assert record["train"]["audit"] == {
        "path": audit,
        "left_out": 3,
        "weighed": 2,
        "left_out_by": {"broken.unreadable": 1, "repeated.rows": 1, "repeated.near_rows": 1, "broken.type": 1},
        "weighed_by": {"repeated.near_rows": 2, "mine": 1},
    }
    assert any("3 rows left out" in line for line in said) and any("2 rows weighed anew" in line for line in said)


def test_a_file_that_was_changed_is_refused(tmp_path):
    file = write_rows(tmp_path / "rows.jsonl", rows(3))
    audit = write_audit(tmp_path, file, {"code": "x", "weight": 0, "lines": "1"})
    write_rows(tmp_path / "rows.jsonl", rows(4))
    with pytest.raises(DataError, match="changed after its audit") as caught:
        prepared(file, audit)
    assert (caught.value.code, caught.value.where) == ("data.audit_file", str(file))


def test_another_file_is_refused_and_another_held_out_file_is_read(tmp_path):
    audited = write_rows(tmp_path / "rows.jsonl", rows(3))
    other = write_rows(tmp_path / "other.jsonl", rows(4))
    audit = write_audit(tmp_path, audited, {"code": "x", "weight": 0, "lines": "1"})
    with pytest.raises(DataError, match="knows nothing of this file"):
        prepared(other, audit)
    sides, record, _ = prepared(audited, audit, eval=str(other))
    assert (len(sides.train), len(sides.held_out)) == (2, 4) and "audit" not in record["eval"]


def test_the_same_rows_elsewhere_are_known_by_their_digest(tmp_path):
    file = write_rows(tmp_path / "rows.jsonl", rows(3))
    audit = write_audit(tmp_path, file, {"code": "x", "weight": 0, "lines": "1-2"}, name="elsewhere/named.jsonl")
    assert len(prepared(file, audit)[0].train) == 1


def test_a_cache_without_the_audit_is_not_taken(tmp_path):
    file = write_rows(tmp_path / "rows.jsonl", rows(4))
    audit = write_audit(tmp_path, file, {"code": "x", "weight": 0, "lines": "1"})
    cache = str(tmp_path / "kept")
    assert len(prepared(file, None, cache=cache)[0].train) == 4
    assert len(prepared(file, audit, cache=cache)[0].train) == 3
    sides, record, _ = prepared(file, audit, cache=cache)
    assert (len(sides.train), record["train"]["audit"]["left_out"]) == (3, 1), "also when taken from the cache"
    audit = write_audit(tmp_path, file, {"code": "x", "weight": 0, "lines": "1-2"})
    assert len(prepared(file, audit, cache=cache)[0].train) == 2, "an audit.yaml that was changed counts"


def test_the_id_of_a_row_that_is_left_out_may_come_again(tmp_path):
    file = write_rows(tmp_path / "rows.jsonl", [{**row, "id": name} for row, name in zip(rows(3), "aba", strict=True)])
    audit = write_audit(tmp_path, file, {"code": "broken.id", "weight": 0, "lines": "3"})
    assert [row.group.id for row in prepared(file, audit)[0].train] == ["a", "b"]


def test_rows_in_memory_have_no_audit(tmp_path):
    file = write_rows(tmp_path / "rows.jsonl", rows(3))
    audit = write_audit(tmp_path, file)
    group = Group("a", "memory:1", "p", (Completion("x"), Completion("y")), (Comparison(0, 1),))
    config = DataConfig(audit=audit, cache="none")
    with pytest.raises(ConfigError, match="rows are in memory"):
        Preparation(config, [Wanted("dpo", "pairwise")], print).read([group])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: {path: x}", "no audit.yaml"),
        ("kind: audit\nfiles:\n- {name: a, digest: {}, entries: [{code: x, weight: 0, lines: 3-1}]}", "3-1"),
        ("kind: audit\nfiles:\n- {name: a, digest: {}, entries: [{code: x, weight: 0, lines: one}]}", "one"),
        ("kind: audit\nfiles:\n- {name: a, digest: {}, entries: [{code: x, weight: -1}]}", "weight"),
        ("kind: audit\nfiles:\n- {name: a, digest: {}, entries: [{code: x, weight: 0, rows: 1-200000000}]}", "than"),
        ("kind: audit\nfiles:\n- {name: a, digest: {}, entry: []}", "entry"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_audit_is_refused(tmp_path, text, said):
    path = tmp_path / "audit.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        AuditFile.read(str(path))
    assert said in str(caught.value) and str(path) in str(caught.value)


@given(st.sets(st.integers(1, 60)))
def test_ranges_say_the_same_numbers(numbers):
    text = in_ranges(sorted(numbers))
    assert {n for start, end in ranges(text) for n in range(start, end + 1)} == numbers
    assert all(end + 1 < start for (_, end), (start, _) in zip(ranges(text), ranges(text)[1:], strict=False)), "joined"


def test_a_place_is_named_by_what_stands_behind_the_file():
    assert [key_of(place) for place in ("a:b/c.jsonl:12", "x.parquet:row 3", "x.json:1 row 2")] == [
        "12",
        "row 3",
        "1 row 2",
    ]
