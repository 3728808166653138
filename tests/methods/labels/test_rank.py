"""Rankings: who stands above whom is what the votes say, whoever comes first in the file."""

import csv
import json

import pytest

from prefsmith.errors import ConfigError, DataError
from prefsmith.methods.labels.official import read_official, tau
from prefsmith.methods.labels.rank import Ranking, rank_votes

COLUMNS = ["srclang", "trglang", "srcIndex", "segmentId", "judgeID", "system1Id", "system1rank", "system2Id",
           "system2rank", "rankingID"]  # fmt: skip


def wmt(folder, rows):
    """Rows of segment, judge, two systems and their ranks."""
    path = folder / "rankings.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for segment, judge, first, rank, second, other in rows:
            writer.writerow(["x", "y", segment, segment, judge, first, rank, second, other, 1])
    return path


def table(folder, text):
    path = folder / "official.txt"
    path.write_text(text)
    return path


PAIRS = (("good", 1, "fair", 2), ("fair", 1, "poor", 3), ("poor", 4, "good", 2), ("good", 1, "tied", 1))
ROWS = [(segment, judge, *pair) for segment in range(6) for judge in ("j", "k") for pair in PAIRS]


@pytest.mark.parametrize("order", ["bradley-terry", "borda", "copeland"])
def test_draws_that_leave_a_system_out_say_nothing_of_it(tmp_path, order):
    """Fault: the fit of such a draw raises, or gives NaN for all; or its strengths have another zero."""
    pairs = [("a", 1, "b", 2), ("b", 1, "c", 2), ("a", 2, "c", 1)]
    rows = [(segment, "j", *pairs[segment % 3]) for segment in range(60)] + [(60, "j", "a", 1, "rare", 2)]
    (contest,) = rank_votes(wmt(tmp_path, rows), Ranking(order=order))["contests"]
    found = {each["name"]: each for each in contest["items"]}
    assert all(found[name]["draws"] == 200 for name in "abc") and 100 < found["rare"]["draws"] < 160
    assert found["rare"]["score"] < -1 if order == "bradley-terry" else found["rare"]["score"] == 0
    assert found["rare"]["high"] < found["a"]["low"]
    apart = [(1, "j", "a", 1, "b", 2), (2, "j", "b", 1, "c", 2)]  # half of the draws have one prompt alone
    (contest,) = rank_votes(wmt(tmp_path, apart), Ranking(order=order))["contests"]
    assert all(each["low"] <= each["score"] <= each["high"] for each in contest["items"])


def test_below_forty_draws_there_is_no_interval(tmp_path, monkeypatch):
    monkeypatch.setattr("prefsmith.methods.labels.rank.LEAST_DRAWS", 190)
    rows = [(segment, "j", "a", 1, "b", 2) for segment in range(30)] + [(60, "j", "a", 1, "rare", 2)]
    (contest,) = rank_votes(wmt(tmp_path, rows), Ranking(order="borda"))["contests"]
    assert [each["name"] for each in contest["items"] if each["low"] is None] == ["rare"]


def test_a_seed_below_zero_is_refused():
    with pytest.raises(ConfigError) as caught:
        Ranking(seed=-1)
    assert caught.value.code == "label.value"


@pytest.mark.parametrize("order", ["bradley-terry", "borda", "copeland"])
def test_the_lower_rank_is_better_and_equal_ranks_are_ties(tmp_path, order):
    found = rank_votes(wmt(tmp_path, ROWS), Ranking(order=order))
    (contest,) = found["contests"]
    scores = {each["name"]: each["score"] for each in contest["items"]}
    assert scores["good"] > scores["fair"] > scores["poor"] and contest["votes"] == 48
    assert contest["condorcet_winner"] is None  # nobody was compared with all
    assert contest["prompts"] == 6 and contest["triples"] == {"cyclic": 0, "transitive": 1}
    assert all(each["low"] <= each["score"] <= each["high"] for each in contest["items"])
    json.dumps(found, allow_nan=False)


def test_the_same_two_shown_again_are_a_further_pair(tmp_path):
    """A judge's second look is a vote of its own, and no second vote on one pair."""
    rows = [(1, "j", "a", 1, "b", 2), (1, "j", "b", 1, "a", 2), (1, "k", "a", 1, "b", 2)]
    found = rank_votes(wmt(tmp_path, rows), Ranking(order="borda"))
    assert found["pairs"]["read"] == 2 and found["contests"][0]["votes"] == 3
    assert {each["name"]: each["score"] for each in found["contests"][0]["items"]} == pytest.approx(
        {"a": 2 / 3, "b": 1 / 3}
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [((1, "j", "a", 0, "b", 1), "system1rank"), ((1, "j", "a", "x", "b", 1), "system1rank"),
     ((1, "", "a", 1, "b", 2), "judgeID"), ((1, "j", "a", 1, "a", 2), "itself")],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path, row, said):
    with pytest.raises(DataError) as caught:
        rank_votes(wmt(tmp_path, [*ROWS, row]), Ranking())
    assert caught.value.code == "votes.cell" and said in caught.value.what and caught.value.where
    assert rank_votes(wmt(tmp_path, [*ROWS, row]), Ranking(skip_bad=True))["refused"] == {"votes.cell": 1}


def test_a_condorcet_cycle_of_systems_is_said(tmp_path):
    rows = [
        (segment, "j", *pair) for segment in range(3) for pair in (("a", 1, "b", 2), ("b", 1, "c", 2), ("c", 1, "a", 2))
    ]
    (contest,) = rank_votes(wmt(tmp_path, rows), Ranking())["contests"]
    assert [each["score"] for each in contest["items"]] == pytest.approx([0, 0, 0], abs=1e-9)
    assert contest["triples"] == {"cyclic": 1, "transitive": 0} and contest["condorcet_winner"] is None
    assert contest["kemeny"]["count"] == 3


def test_answers_of_each_prompt_are_a_contest_of_their_own(tmp_path):
    path = tmp_path / "votes.jsonl"
    rows = [{"prompt": prompt, "completions": ["x", "y", "z"], "votes": [
        {"left": 0, "right": 1, "verdict": "left", "annotator": "ann"},
        {"left": 1, "right": 2, "verdict": "left", "annotator": "ann"}]} for prompt in ("p", "q")]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = rank_votes(path, Ranking(of="answers", order="borda"))
    assert [[each["name"] for each in contest["items"]] for contest in found["contests"]] == [["x", "y", "z"]] * 2
    assert found["contests"][0]["items"][0]["low"] is None  # one prompt shows no scatter
    with pytest.raises(DataError) as caught:
        rank_votes(path, Ranking())
    assert caught.value.code == "label.systems"


def test_the_order_of_a_table(tmp_path):
    found = rank_votes(
        wmt(tmp_path, ROWS), Ranking(), against=table(tmp_path, "good 0.9 (1.0, 1.0)\n+++\npoor -0.5\nnew 2\n")
    )
    assert found["against"]["kendall_tau"] == 1.0 and found["against"]["systems"] == 2
    assert (found["against"]["only_there"], found["against"]["only_here"]) == (1, 2)
    for text in ("good\n", "good x\n", "else 1\n", "\u00a0\n", "good nan\n", "good 1\ngood 2\n"):
        with pytest.raises(DataError) as caught:
            rank_votes(wmt(tmp_path, ROWS), Ranking(), against=table(tmp_path, text))
        assert caught.value.code == "label.official"
    assert read_official(table(tmp_path, "a -0.0 (5.0, 6.0)\n")) == {"a": 0.0}


def test_kendall_s_tau_by_hand():
    """One of three pairs reversed: 1/3. One pair tied in the first list: (2 - 0) / sqrt(2 x 3)."""
    assert tau([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
    assert tau([1, 1, 3], [1, 2, 3]) == pytest.approx(2 / 6**0.5)
    assert tau([3, 2, 1], [1, 2, 3]) == -1 and tau([1, 1], [1, 2]) != tau([1, 1], [1, 2])


def test_systems_of_wmt_stand_as_in_the_official_table(shared_data):
    """Of the smallest of three language pairs; docs/labels.md has all."""
    votes, table = shared_data / "wmt16_rankings.tur-eng.csv.gz", shared_data / "wmt16_official.tur-eng.txt"
    found = rank_votes(votes, Ranking(), against=table)
    assert found["contests"][0]["votes"] == 10188 and found["against"]["kendall_tau"] == 1
    assert found["contests"][0]["condorcet_winner"] == "newstest2016.online-B.0.tr-en"
