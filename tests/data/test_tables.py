"""CSV and TSV: where rows begin, what a cell is, and what a file is refused for."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.data.containers import open_container
from prefsmith.data.groups import read_groups
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import LONGEST_ROW
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Rating

HEAD = b"prompt,chosen,rejected\n"


def table(path, content):
    path.write_bytes(content)
    return path


def rows(path, *, skip=False):
    return list(open_container(path).rows(Rejects(skip=skip)))


def test_a_row_stands_at_the_line_where_it_begins(tmp_path):
    """Cells hold line ends and blank lines stand between rows, so rows and lines are not the same count."""
    content = b'\xef\xbb\xbfprompt,chosen\r\n"a\r\nb",c\r\n\r\n\r\nd,"e\n\n"\r\nf,g'
    path = table(tmp_path / "a.csv", content)
    assert [(row.source, row.values) for row in rows(path)] == [
        (f"{path}:2", {"prompt": "a\r\nb", "chosen": "c"}),
        (f"{path}:6", {"prompt": "d", "chosen": "e\n\n"}),
        (f"{path}:9", {"prompt": "f", "chosen": "g"}),
    ]


@given(
    cells=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)] * 3), min_size=1
    )
)
def test_whatever_the_csv_module_writes_is_read_again(tmp_path_factory, cells):
    """Texts with quotes, commas, line ends of every kind."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("x", "y", "z"), *cells])
    lines = path.read_bytes().split(b"\n")
    found = rows(path)
    assert [tuple(row.values.values()) for row in found] == cells
    for row in found:
        begin = lines[int(row.source.rpartition(":")[2]) - 1].decode("utf-8")
        first = row.values["x"].split("\n")[0].replace('"', '""')
        assert begin.startswith((first, '"' + first))


def test_a_cell_that_is_empty_is_a_missing_value(tmp_path):
    path = table(tmp_path / "a.csv", HEAD.strip() + b',system,id\nq,yes,no,,\nq,yes,no,"",7\n')
    first, second = read_groups(path).groups
    assert first.prompt == second.prompt == "q"
    assert (first.id, second.id) == (f"{path}:2", "7")


@pytest.mark.parametrize("name", ["prompt", "chosen", "rejected"])
def test_a_text_that_must_be_there_is_not_taken_for_an_empty_one(tmp_path, name):
    cells = {"prompt": "q", "chosen": "yes", "rejected": "no", name: ""}
    path = table(tmp_path / "a.csv", HEAD + ",".join(cells.values()).encode() + b"\n")
    with pytest.raises(DataError) as caught:
        read_groups(path)
    assert (caught.value.code, caught.value.where) == ("data.empty", f"{path}:2") and name in caught.value.what


@pytest.mark.parametrize(
    ("cell", "prob"), [("0.8", 0.8), ("1", 1.0), (" 1e-1 ", 0.1), (".5", 0.5), ("0.", 0.0), ("+0.25", 0.25)]
)
def test_a_number_in_a_table_is_a_number(tmp_path, cell, prob):
    path = table(tmp_path / "a.csv", f"prompt,chosen,rejected,prob,weight\nq,yes,no,{cell},3\n".encode())
    assert read_groups(path).groups[0].comparisons == (Comparison(0, 1, prob=prob, weight=3.0),)


@pytest.mark.parametrize(
    "cell", ["", "high", '"0,8"', "80%", "nan", "inf", "1_0", "0x1", "\u0661", "true", "1.5", "-0.1"]
)
def test_what_is_no_probability_is_refused(tmp_path, cell):
    path = table(tmp_path / "a.csv", f"prompt,chosen,rejected,prob\nq,yes,no,{cell}\n".encode())
    with pytest.raises(DataError) as caught:
        read_groups(path)
    assert caught.value.code in ("data.type", "data.probability") and caught.value.where == f"{path}:2"


@pytest.mark.parametrize(
    ("cell", "value"),
    [("true", 1), ("TRUE", 1), ("True", 1), ("1", 1), ("1.0", 1), (" false ", 0), ("False", 0), ("0", 0), ("0.0", 0)],
)
def test_a_label_in_a_table_is_a_label(tmp_path, cell, value):
    path = table(tmp_path / "a.tsv", f"prompt\tcompletion\tlabel\nq\tyes\t{cell}\n".encode())
    assert read_groups(path).groups[0].ratings == (Rating(0, float(value)),)


@pytest.mark.parametrize("cell", ["", "yes", "2", "-1", "0.5", "good", "t"])
def test_what_is_no_label_is_refused(tmp_path, cell):
    path = table(tmp_path / "a.csv", f"prompt,completion,label\nq,yes,{cell}\n".encode())
    with pytest.raises(DataError, match=r"\[data\.label\]"):
        read_groups(path)


@pytest.mark.parametrize("row", [{"prob": "0.8"}, {"weight": "2"}, {"label": "true", "completion": "x"}])
def test_numbers_as_text_are_taken_from_tables_alone(tmp_path, row):
    """JSON has numbers: a text in the place of one says that something is wrong."""
    rows = {"prompt": "q", **({} if "label" in row else {"chosen": "yes", "rejected": "no"}), **row}
    path = table(tmp_path / "a.jsonl", json.dumps(rows).encode())
    with pytest.raises(DataError) as caught:
        read_groups(path)
    assert caught.value.code in ("data.type", "data.label")


BROKEN = {
    "never closed": (HEAD + b'q,yes,no\nq,"yes,no\nq,yes,no\n', 3, "never ends"),
    "text behind a quote": (HEAD + b'q,"yes" he said,no\n', 2, "quotes"),
    "carriage returns": (b"prompt,chosen\rq,yes\rq,no\r", 1, "carriage return"),
    "name twice": (b"prompt,chosen,chosen\nq,yes,no\n", 1, "chosen more than once"),
    "semicolons": (b"prompt;chosen;rejected\nq;yes;no\n", 1, "one column"),
    "tabs": (b"prompt\tchosen\trejected\nq\tyes\tno\n", 1, "'\\t'"),
}


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(("content", "line", "says"), BROKEN.values(), ids=BROKEN)
def test_a_table_that_cannot_be_taken_apart_stops_everything(tmp_path, content, line, says, skip):
    """Behind a wrong quote nobody knows where rows begin, so skipping it would make rows that nobody wrote."""
    path = table(tmp_path / "a.csv", content)
    with pytest.raises(DataError) as caught:
        read_groups(path, rejects=Rejects(skip=skip))
    assert (caught.value.code, caught.value.where) == ("data.csv", f"{path}:{line}")
    assert says in caught.value.what and caught.value.fix


RAGGED = b'q,yes\n"q\n\n",yes,no,more\nq,caf\xe9,no\nq,"yes\n\xff",no\n'


def test_rows_with_too_few_or_many_cells_or_foreign_bytes_are_skipped_one_by_one(tmp_path):
    path = table(tmp_path / "a.csv", HEAD + RAGGED + b"q,yes,no\n")
    rejects = Rejects(skip=True)
    reading = read_groups(path, rejects=rejects)
    assert [group.source for group in reading.groups] == [f"{path}:9"] and reading.rows == 5
    assert rejects.rows[2]["reason"] == "the row is not UTF-8 text"
    assert [(row["where"], row["code"]) for row in rejects.rows] == [
        (f"{path}:2", "data.csv"),
        (f"{path}:3", "data.csv"),
        (f"{path}:6", "data.encoding"),
        (f"{path}:7", "data.encoding"),
    ]
    rejects.write(tmp_path / "rejected.jsonl")
    assert json.loads((tmp_path / "rejected.jsonl").read_text().splitlines()[0])["row"] == ["q", "yes"]


@pytest.mark.parametrize("line", RAGGED.splitlines()[:1])
def test_a_ragged_row_says_how_many_cells_it_has(tmp_path, line):
    path = table(tmp_path / "a.csv", HEAD + line + b"\n")
    with pytest.raises(DataError, match="2 cells and the header 3: prompt, chosen, rejected") as caught:
        read_groups(path)
    assert caught.value.where == f"{path}:2"


def test_a_header_of_another_encoding_is_refused(tmp_path):
    path = table(tmp_path / "a.csv", "prompt,chosen,rejected\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"\[data\.encoding\]") as caught:
        read_groups(path)
    assert caught.value.where == f"{path}:1"


def test_a_long_cell_is_read_and_a_row_without_end_is_bounded(tmp_path):
    """The csv module would stop at 131,072 characters, which a long dialogue has."""
    long = "x" * 300_000
    path = table(tmp_path / "a.csv", HEAD + f"q,{long},no\n".encode() * 30)  # together longer than a row may be
    assert [group.completions[0].text for group in read_groups(path).groups] == [long] * 30
    for name, row in {"b": b"q," + b"y" * (LONGEST_ROW + 5), "c": b'q,"' + (b"y" * 999 + b"\n") * 9000}.items():
        path = table(tmp_path / f"{name}.csv", HEAD + row + b",no\n")
        with pytest.raises(DataError) as caught:
            read_groups(path, rejects=Rejects(skip=True))
        assert (caught.value.code, caught.value.where) == ("data.long_line", f"{path}:2")


def test_the_column_of_an_index_has_no_name_and_is_not_read(tmp_path):
    """As pandas writes a table with its index."""
    path = table(tmp_path / "a.csv", b",prompt,chosen,rejected\n0,q,yes,no\n")
    assert read_groups(path).schema.unused == ("column 1",)


def test_a_header_alone_has_no_rows(tmp_path):
    with pytest.raises(DataError, match=r"\[data\.no_rows\]"):
        read_groups(table(tmp_path / "a.csv", HEAD))


def test_a_real_table_without_preferences_is_refused_by_its_columns(shared_data):
    path = shared_data / "wmt16_rankings.deu-eng.csv.gz"
    with pytest.raises(DataError, match="no preference data") as caught:
        read_groups(path)
    assert caught.value.where == f"{path}:2"
    assert "srclang, trglang" in caught.value.what and "newstest2016.jhu-syntax" in caught.value.what
