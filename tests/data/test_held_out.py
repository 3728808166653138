"""Benchmarks of pairs are read as they are published, and nothing else is guessed."""

import pytest
from tiny import write_rows

from prefsmith.data.held_out import read_held_out, usual_columns
from prefsmith.data.rejects import Rejects
from prefsmith.errors import DataError

ROW = {"prompt": "q", "a": "one", "b": "two"}


def read(path, rows, **changes):
    return read_held_out(write_rows(path / "rows.jsonl", rows), **{"columns": {}, **changes})


@pytest.mark.parametrize("verdict", ["human", "gold"])
def test_a_benchmark_of_pairs_is_turned_by_its_verdicts(tmp_path, verdict):
    rows = [{**ROW, verdict: "a"}, {**ROW, verdict: "b"}, {**ROW, verdict: "tie"}]
    groups = read(tmp_path, rows).groups
    assert [group.completions[0].content for group in groups] == ["one", "two", "one"]
    assert [group.comparisons[0].prob for group in groups] == [1.0, 1.0, 0.5]


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "human": "a", "gold": "b"},  # two verdicts: it is not clear which one is meant
        {**ROW, "human": "perhaps"},
        {**ROW, "human": 1},  # between a and b it may count from 0 or from 1
        {"prompt": "q", "chosen": "x", "rejected": "y", "a": "1", "b": "2", "human": "a"},
    ],
)
def test_what_is_not_clear_is_not_taken(row):
    assert "winner" not in usual_columns(row)


def test_a_verdict_of_a_later_row_that_names_neither_side_is_refused(tmp_path):
    rows = [{**ROW, "human": "a"}, {**ROW, "human": "c"}]
    with pytest.raises(DataError, match="names neither a nor b"):
        read(tmp_path, rows)
    rejects = Rejects(skip=True)
    assert len(read(tmp_path, rows, rejects=rejects).groups) == 1 and rejects.counts() == {"data.winner": 1}


def test_what_a_row_is_about_comes_from_its_subset_or_source(tmp_path):
    pair = {"prompt": "q", "chosen": "x", "rejected": "y"}
    assert read(tmp_path, [{**pair, "source": "web", "subset": "hard"}]).groups[0].tags == ("hard",)
    assert read(tmp_path, [{**pair, "source": "web"}]).groups[0].tags == ("web",)
    assert read(tmp_path, [{**pair, "source": "web", "tags": ["own"]}]).groups[0].tags == ("own",)
    assert read(tmp_path, [{**pair, "source": {"url": "x"}}]).groups[0].tags == ()
    assert read(tmp_path, [{**pair, "source": "web", "id": "7"}], columns={"tags": "id"}).groups[0].tags == ("7",)


def test_a_map_that_is_given_counts(tmp_path):
    row = {**ROW, "human": "a", "c": "three", "judge": "c"}
    columns = {"chosen": "a", "rejected": "c", "winner": "judge"}
    assert read(tmp_path, [row], columns=columns).groups[0].completions[0].content == "three"


@pytest.mark.parametrize(
    ("name", "rows", "refused", "tags"),
    [("hhh_alignment", 123, {}, 4), ("llmbar", 698, {"data.identical": 1}, 13), ("judgebench", 379, {}, 17)],
)
def test_public_benchmarks(shared_data, name, rows, refused, tags):
    rejects = Rejects(skip=True)
    reading = read_held_out(shared_data / f"{name}.jsonl.gz", columns={}, rejects=rejects)
    assert reading.rows == rows and rejects.counts() == refused
    assert len({tag for group in reading.groups for tag in group.tags}) == tags
    assert {comparison.prob for group in reading.groups for comparison in group.comparisons} == {1.0}
