"""How a file is taken apart into rows, whatever its container, and what is said when that fails."""

import gzip
import json
import os

import pytest

from prefsmith.data.containers import open_container
from prefsmith.data.groups import read_groups
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import LONGEST_ROW
from prefsmith.errors import DataError

ROWS = [{"prompt": "q", "chosen": "yes", "rejected": "no"}, {"prompt": "ü", "chosen": "up", "rejected": "down"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
ARRAY = json.dumps(ROWS, indent=1, ensure_ascii=False).encode()
BOM = b"\xef\xbb\xbf"


def rows(path, *, skip=False):
    return list(open_container(path).rows(Rejects(skip=skip)))


def written(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.ndjson", LINES),
        ("a.json", LINES),
        ("a.json", ARRAY),
        ("a.json", b" \n" + ARRAY + b"\n"),
        ("a.jsonl.gz", LINES),
        ("a.json.gz", ARRAY),
        ("a.jsonl", BOM + LINES),
        ("a.json", BOM + ARRAY),
        ("a.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("a.jsonl", LINES.removesuffix(b"\n")),
    ],
    ids=[
        "jsonl",
        "ndjson",
        "lines-in-json",
        "array",
        "spaced-array",
        "gz",
        "array-gz",
        "bom",
        "array-bom",
        "crlf",
        "no-end",
    ],
)
def test_every_container_gives_the_same_rows(tmp_path, name, content):
    assert [row.values for row in rows(written(tmp_path / name, content))] == ROWS


def test_blank_lines_are_no_rows_and_count_as_lines(tmp_path):
    path = written(tmp_path / "a.jsonl", b"\n" + LINES.replace(b"\n", b"\n  \n"))
    assert [row.source for row in rows(path)] == [f"{path}:2", f"{path}:4"]


def test_a_row_of_an_array_stands_at_the_line_where_it_begins(tmp_path):
    path = written(tmp_path / "a.json", b'[\n{"a": "one\\n"},\n\n\n{"b":\n1}, {"c": 1}]')
    assert [row.source for row in rows(path)] == [f"{path}:2", f"{path}:5", f"{path}:6"]


def test_rows_of_an_array_on_one_line_are_told_apart(tmp_path):
    """As json.dump writes it: rows without an id are known by their place, so it must be theirs alone."""
    path = written(tmp_path / "a.json", json.dumps(ROWS + ROWS[:1]).encode())
    assert [row.source for row in rows(path)] == [f"{path}:1", f"{path}:1 row 2", f"{path}:1 row 3"]
    assert len(read_groups(path).groups) == 3


def test_a_long_array_is_read_in_parts_and_every_row_is_whole(tmp_path):
    """Rows lie across the parts' borders at every place; numbers may end there too."""
    made = [{"n": number, "text": "é\n" * (number * 37 % 5000)} for number in range(300)] + [{"big": "x" * 400_000}]
    path = written(tmp_path / "a.json", json.dumps(made, ensure_ascii=False, indent=0).encode())
    found = rows(path)
    assert [row.values for row in found] == made
    lines = path.read_text("utf-8").split("\n")
    assert all(lines[int(row.source.rpartition(":")[2]) - 1] == "{" for row in found)


def test_a_number_is_not_cut_where_a_part_ends(tmp_path):
    path, rejects = (
        written(tmp_path / "a.json", json.dumps(list(range(10**6, 10**6 + 9_000))).encode()),
        Rejects(skip=True),
    )
    assert list(open_container(path).rows(rejects)) == []
    assert [row["row"] for row in rejects.rows] == list(range(10**6, 10**6 + 9_000))


def test_a_row_of_an_array_that_never_ends_is_bounded(tmp_path):
    path = written(tmp_path / "a.json", b'[{"a": 1},\n{"a": "' + b"x" * (2 * LONGEST_ROW) + b'"}]')
    with pytest.raises(DataError, match=r"data\.long_line") as caught:
        rows(path)
    assert caught.value.where == f"{path}:2"


def test_a_fault_far_into_an_array_is_named_with_its_line(tmp_path):
    good = [json.dumps({"n": number, "text": "x" * 900}) for number in range(500)]
    for bad, says, line in ((b'{"a": 1,\n "b" 2}', "delimiter (line 502)", 501), (b'{"a": "\xff"}', "0xff", 501)):
        path = written(tmp_path / "a.json", ("[" + ",\n".join(good) + ",\n").encode() + bad + b",\n{}]" + b" " * 10**6)
        with pytest.raises(DataError) as caught:
            rows(path)
        assert caught.value.where == f"{path}:{line}" and says in caught.value.what


def test_an_empty_array_has_no_rows(tmp_path):
    assert rows(written(tmp_path / "a.json", b"[]\n")) == []


def test_line_separators_inside_a_text_end_no_line(tmp_path):
    """`str.splitlines` would cut this row in three."""
    path = written(tmp_path / "a.jsonl", '{"a": "x\u2028y\u0085z"}\n'.encode())
    assert [row.values["a"] for row in rows(path)] == ["x\u2028y\u0085z"]


@pytest.mark.parametrize(
    ("content", "code", "line", "says"),
    [
        (b'{"a": 1}\n{"a": \n', "data.json", 2, 'not JSON: Expecting value (column 7) in {"a":'),
        (b"plain\x1b[2J text\n", "data.json", 1, "(column 1) in plain\\u001b[2J text"),
        (b'{"a": 1}\n\n"text"\n', "data.json", 3, "not str"),
        (b"[1, 2]\n", "data.json", 1, "not list"),
        (b"{}\n" + b'{"a": 1, "b": 2, "a": 3}\n', "data.json", 2, "'a' stands twice"),
        (b'{"a": {"b": 1, "b": 2}}\n', "data.json", 1, "'b' stands twice"),
        (b"{}\n" + b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "data.json", 2, "deep"),
        (b'{"a": "caf\xe9"}\n', "data.encoding", 1, "0xe9 at position 10"),
        ("{}".encode("utf-16"), "data.encoding", 1, "UTF-8"),
        (b"{}\n" + b'{"a": "' + b"x" * 10_000_000 + b'"}\n', "data.long_line", 2, "10,000,010 bytes"),
    ],
    ids=["json", "no json", "text", "list", "key twice", "key twice below", "deep", "latin1", "utf16", "long line"],
)
def test_a_bad_line_is_named(tmp_path, content, code, line, says):
    path = written(tmp_path / "a.jsonl", content)
    with pytest.raises(DataError) as caught:
        rows(path)
    assert (caught.value.code, caught.value.where) == (code, f"{path}:{line}")
    assert says in caught.value.what and caught.value.fix


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b'[{"a": 1},\n{"a": 2}', 2, "cut off"),
        (b'[{"a": 1},\n', 2, "not JSON"),
        (b"[", 1, "not JSON"),
        (b'[{"a": 1}\n{"a": 2}]', 2, "lacks a comma"),
        (b'[{"a": 1},\n3]', 2, "not int"),
        (b'[{"a": 1},\n{"a": 1, "a": 2}]', 2, "stands twice"),
        (b'[{"a": 1}]\n[{"a": 2}]', 1, "behind the array"),
        (b"[" + b"[" * 100_000, 1, "deep"),
    ],
    ids=["cut", "cut behind a comma", "cut at once", "no comma", "number", "key twice", "two arrays", "deep"],
)
def test_a_bad_array_is_named(tmp_path, content, line, says):
    """A file that was cut behind a comma would otherwise pass as a shorter one."""
    path = written(tmp_path / "a.json", content)
    with pytest.raises(DataError) as caught:
        rows(path)
    assert (caught.value.code, caught.value.where) == ("data.json", f"{path}:{line}")
    assert says in caught.value.what and caught.value.fix


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gone.jsonl", "data.file"),
        ("folder.jsonl", "data.folder"),
        ("a.txt", "data.container"),
        ("a.gz", "data.container"),
    ],
)
def test_a_path_that_is_no_data_file_is_refused(tmp_path, name, code):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "a.txt").write_text("prompt,chosen\n")
    (tmp_path / "a.gz").write_bytes(gzip.compress(LINES))
    with pytest.raises(DataError) as caught:
        rows(tmp_path / name)
    assert (caught.value.code, caught.value.where) == (code, str(tmp_path / name)) and caught.value.fix


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = written(tmp_path / "a.jsonl", LINES)
    path.chmod(0)
    with pytest.raises(DataError, match=r"\[data\.file\] cannot read the file"):
        rows(path)


def whole_gzip():
    return gzip.compress(LINES * 500)


@pytest.mark.parametrize(
    "content",
    [whole_gzip()[:-20], whole_gzip()[:-12] + b"\0" * 12, LINES, b"\x1f\x8b\x08\x00" + b"\xff" * 40],
    ids=["cut off", "wrong checksum", "not gzip", "damaged"],
)
def test_a_damaged_gzip_is_refused_even_where_bad_rows_are_skipped(tmp_path, content):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        rows(path, skip=True)
    assert (caught.value.code, caught.value.where) == ("data.gzip", str(path)) and caught.value.fix


BAD = [b"{", b"[1]", b'"\xff"', b'{"a":1,"a":2}', b"x" * (LONGEST_ROW + 5)]


def test_skipped_lines_are_written_down_with_place_and_reason(tmp_path):
    path = written(tmp_path / "a.jsonl", LINES + b"\n".join(BAD) + b"\n" + LINES)
    rejects = Rejects(skip=True)
    kept = [row.source for row in open_container(path).rows(rejects)]
    assert kept == [f"{path}:{line}" for line in (1, 2, 8, 9)]
    assert [row["where"] for row in rejects.rows] == [f"{path}:{line}" for line in range(3, 8)]
    assert rejects.counts() == {"data.json": 3, "data.encoding": 1, "data.long_line": 1}


def test_rows_in_are_groups_and_rejected_rows_out(tmp_path):
    """Lines that are no rows and rows that are no groups are refused in different places; both count."""
    bad = [b'{"prompt": "q", "chosen": "a", "rejected": "a"}', b'{"prompt": "q", "chosen": "a", "rejected": "\\ud800"}']
    path = written(tmp_path / "a.jsonl", LINES + b"\n".join([*BAD, *bad]) + b"\n\n" + LINES)
    rejects = Rejects(skip=True)
    reading = read_groups(path, rejects=rejects)
    assert (reading.rows, len(reading.groups), len(rejects.rows)) == (11, 4, 7)

    rejects.write(tmp_path / "rejected.jsonl")
    back = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text("utf-8").splitlines()]
    assert back == rejects.rows
    assert back[-1]["row"]["rejected"] == "\ud800" and back[0]["row"] == "{\n"


def test_a_second_file_does_not_count_the_first_files_rejects(tmp_path):
    path, rejects = written(tmp_path / "a.jsonl", b"{\n" + LINES), Rejects(skip=True)
    assert [read_groups(path, rejects=rejects).rows for _ in range(2)] == [3, 3]


def test_limit_reads_no_further(tmp_path):
    """A bad row behind the limit must not stop a trial with the first rows."""
    path = written(tmp_path / "a.jsonl", LINES + b"{\n")
    assert len(read_groups(path, limit=2).groups) == 2
    assert len(read_groups(path, limit=1).groups) == 1


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{\n"], ids=["empty", "blank", "all bad"])
def test_a_file_without_a_usable_row_is_refused(tmp_path, content):
    path = written(tmp_path / "a.jsonl", content)
    with pytest.raises(DataError) as caught:
        read_groups(path, rejects=Rejects(skip=True))
    assert (caught.value.code, caught.value.where) == ("data.no_rows", str(path)) and caught.value.fix
