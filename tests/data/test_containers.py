"""What a name stands for, whatever holds the rows, and what is said of a file that is something else."""

import csv
import gzip
import io
import json
import lzma
import os
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planted import WORDS
from tiny import save_model

from prefsmith.data.containers import open_container
from prefsmith.data.groups import read_groups
from prefsmith.data.rejects import Rejects
from prefsmith.errors import DataError
from prefsmith.files import file_digest

ROWS = [
    {"prompt": "q", "chosen": 'yes, "so"\nit is', "rejected": "no\t", "prob": 0.75, "weight": 2.0},
    {"prompt": "ü\u2028", "chosen": "up", "rejected": "'down'", "prob": 1.0, "weight": 1.0},
    {"prompt": "last", "chosen": " a", "rejected": "b\r\n", "prob": 0.0, "weight": 0.5},
]


def as_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_table(rows, delimiter=","):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


PLAIN = {
    "a.jsonl": as_lines(ROWS),
    "a.json": json.dumps(ROWS, indent=2).encode(),
    "a.csv": as_table(ROWS),
    "a.tsv": as_table(ROWS, "\t"),
    "A.CSV": as_table(ROWS),
}
PACKED = {
    **PLAIN,
    **{f"{name}.gz": gzip.compress(content) for name, content in PLAIN.items()},
    **{f"{name}.xz": lzma.compress(content) for name, content in PLAIN.items()},
}


def written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", [*PACKED, "a.parquet"])
def test_every_container_gives_the_same_groups(tmp_path, name):
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(PACKED[name])
    (tmp_path / "same.jsonl").write_bytes(PLAIN["a.jsonl"])
    expected, found = read_groups(tmp_path / "same.jsonl").groups, read_groups(tmp_path / name).groups
    assert [replace(each, id="", source="") for each in found] == [replace(each, id="", source="") for each in expected]
    assert [each.completions[0].text for each in found] == [row["chosen"] for row in ROWS]


@pytest.mark.parametrize("name", [name for name in PACKED if name.endswith((".gz", ".xz"))])
@pytest.mark.parametrize("damage", ["cut", "flipped", "not packed"])
def test_a_damaged_packed_file_is_one_clear_error(tmp_path, name, damage):
    """Flipped bits may show as a wrong row first: the file is read to its end before the row is blamed."""
    plain = PLAIN[name.rpartition(".")[0]] * 50
    whole = gzip.compress(plain) if name.endswith(".gz") else lzma.compress(plain)
    content = {"cut": whole[:-25], "flipped": bytearray(whole), "not packed": plain}[damage]
    if damage == "flipped":
        content[len(whole) // 2] ^= 255
    path = written(tmp_path / name, bytes(content))
    code = "data.gzip" if name.endswith(".gz") else "data.xz"
    for skip in (False, True):
        with pytest.raises(DataError) as caught:
            list(open_container(path).rows(Rejects(skip=skip)))
        assert (caught.value.code, caught.value.where) == (code, str(path))
        assert "damaged" in caught.value.what and "again" in caught.value.fix


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz"])
def test_a_wrong_row_of_a_damaged_file_is_not_blamed(tmp_path, name):
    """Stored without compression, a changed byte changes one row and nothing else, until the checksum at the end."""
    rows = ROWS * 2000  # more than is read at once
    plain = {".jsonl": as_lines(rows), ".json": json.dumps(rows).encode(), ".csv": as_table(rows)}
    changed = gzip.compress(plain[name[1:-3]], 0).replace(b"last", b'"as,', 1)
    with pytest.raises(DataError, match=r"\[data\.gzip\]"):
        list(open_container(written(tmp_path / name, changed)).rows(Rejects()))


FOREIGN = {
    "page": (b"\n<!DOCTYPE html>\n<html><body>Sign in</body>", "a web page", "raw"),
    "page in capitals": (b"<HTML lang='en'>", "a web page", "raw"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "Git LFS", "git lfs pull"),
    "gzip": (gzip.compress(b"{}"), "gzip", ".gz"),
    "xz": (lzma.compress(b"{}"), "xz", ".xz"),
    "parquet": (b"PAR1\x15\x04", "parquet", ".parquet"),
    "zip": (b"PK\x03\x04\x14\x00", "zip", "unpack"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", "PDF", "CSV"),
    "binary": (bytes(range(32)) * 9, "binary", "text"),
    "nothing but zeros": (bytes(100), "binary", "text"),
}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv.gz"])
@pytest.mark.parametrize(("content", "says", "fix"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_something_else_is_called_by_its_name(tmp_path, name, content, says, fix):
    path = written(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(DataError) as caught:
        read_groups(path, rejects=Rejects(skip=True))
    assert (caught.value.code, caught.value.where) == ("data.content", str(path))
    assert says in caught.value.what and fix in caught.value.fix


def test_text_that_mentions_such_things_is_read(tmp_path):
    row = {"prompt": "<html> PAR1 \x1b", "chosen": "\x00", "rejected": "%PDF"}
    path = written(tmp_path / "a.jsonl", as_lines([row]))
    assert read_groups(path).groups[0].completions[0].text == "\x00"
    path = written(tmp_path / "a.csv", b"prompt,chosen,rejected\n<html>,\x1b[31mred,PK\x03\x04\n")
    assert read_groups(path).groups[0].completions[1].text == "PK\x03\x04"


@pytest.mark.parametrize("name", ["a.jsonl", "a.json.xz", "a.csv", "a.tsv.gz"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, name):
    content = {".xz": lzma.compress(b""), ".gz": gzip.compress(b"")}.get(name[-3:], b"")
    with pytest.raises(DataError, match=r"\[data\.no_rows\] the file is empty"):
        read_groups(written(tmp_path / name, content))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.txt", "a.txt"),
        ("a.tar.gz", "a.tar.gz"),
        ("a", "not read: a"),
        ("a.xlsx", "a.xlsx"),
        ("a.jsonl.bz2", "bz2"),
        ("a.jsonl.gz.gz", "not read"),
        ("a.jsonl.xz.gz", "not read"),
        ("a.pkl", "a.pkl"),
        ("a.parquet.gz", "compressed inside"),
    ],
)
def test_an_unknown_suffix_names_those_that_are_known(tmp_path, name, says):
    path = written(tmp_path / name, b"x")
    with pytest.raises(DataError) as caught:
        open_container(path)
    assert (caught.value.code, caught.value.where) == ("data.container", str(path)) and says in caught.value.what
    assert "unpack" in caught.value.fix or all(each in caught.value.fix for each in (".jsonl", ".csv", ".xz", "hub:"))


def test_a_folder_that_is_no_dataset_says_what_it_holds(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "pairs\x1b.jsonl").write_bytes(PLAIN["a.jsonl"])
    with pytest.raises(DataError) as caught:
        read_groups(tmp_path / "folder")
    assert (caught.value.code, caught.value.where) == ("data.folder", str(tmp_path / "folder"))
    assert "pairs\\u001b.jsonl" in caught.value.what and "name one file" in caught.value.fix


def test_a_models_folder_is_no_data(tmp_path):
    with pytest.raises(DataError) as caught:
        read_groups(save_model(tmp_path / "MODEL", WORDS))
    assert caught.value.code == "data.folder" and "--model" in caught.value.fix


@pytest.fixture
def no_hub(monkeypatch):
    """Whoever asks the hub fails the test."""
    import datasets

    def asked(*_args, **_options):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(datasets, "load_dataset", asked)
    monkeypatch.setattr(datasets, "load_dataset_builder", asked)


@pytest.mark.parametrize(
    "name", ["org/name", "pairs.jsonl", "folder/pairs.csv", "./org/name", "~/none", "HUB:org/name"]
)
def test_a_local_path_that_is_not_there_is_never_looked_up(no_hub, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        read_groups(name)
    assert (caught.value.code, caught.value.where) == ("data.file", name)
    assert "never looked up" in caught.value.fix
    assert ("hub:org/name" in caught.value.fix) == (name == "org/name")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="pipe"):
        read_groups(tmp_path / "a.jsonl")


def test_the_digest_is_that_of_the_file_on_the_disk(tmp_path):
    path = written(tmp_path / "a.csv.gz", PACKED["a.csv.gz"])
    assert open_container(path).digest() == {"sha256": file_digest(path)}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.csv.gz", "a.json.xz"])
def test_no_more_is_read_than_is_asked_for(tmp_path, name):
    """What stands behind the limit is never seen, though it is no row of any kind."""
    rows = [{"prompt": f"{number}", "chosen": "x" * 1000, "rejected": "y"} for number in range(300)]
    content = {"l": as_lines, "n": lambda rows: json.dumps(rows)[:-1].encode(), "v": as_table}[name.split(".")[1][-1]](
        rows
    )
    broken = content + b'\xff"{[, \n"'
    packed = {"gz": gzip.compress, "xz": lzma.compress}.get(name[-2:], bytes)(broken)
    path = written(tmp_path / name, packed)
    assert [group.prompt for group in read_groups(path, limit=3).groups] == ["0", "1", "2"]
    with pytest.raises(DataError):
        read_groups(path)
