"""A file of votes as a judge, through the reader of judgements."""

import json

import pytest

from prefsmith.errors import DataError
from prefsmith.feedback.opening import open_judge
from prefsmith.feedback.settings import judge_config, judge_word
from prefsmith.records import Completion, Group

pytest.importorskip("prefsmith.data.votes.read", reason="judgements cannot be read yet")

ROWS = [
    {
        "prompt": "Count.", "a": "one", "b": "three",
        "votes": [{"annotator": "ann", "vote": "b"}, {"annotator": "ben", "vote": "tie"}],
    },
    {"prompt": "Sing.", "a": "la", "b": "lo", "votes": [{"annotator": "ann", "vote": "a"}]},
]  # fmt: skip


def pair(prompt, first, second):
    return Group("row", "g:1", prompt, (Completion(first), Completion(second)))


def said(path, groups, **more):
    with open_judge(judge_config(judge_word(str(path)) | more, "--judge")) as judge:
        votes = judge.votes(groups)
    better = {"left": lambda vote: vote.left, "right": lambda vote: vote.right}
    return [
        {vote.annotator: better.get(vote.verdict, lambda vote: vote.verdict)(vote) for vote in each} for each in votes
    ], judge.describe()


def test_votes_of_a_file_are_found_whichever_way_round(tmp_path):
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    groups = [
        pair("Count.", "one", "three"),
        pair("Count.", "three", "one"),
        pair("Sing.", "lo", "la"),
        pair("x", "y", "z"),
    ]
    votes, facts = said(path, groups)
    assert votes == [{"ann": 1, "ben": "tie"}, {"ann": 0, "ben": "tie"}, {"ann": 1}, {}]
    assert facts["name"] == "votes.jsonl" and facts["pairs_without_votes"] == 1 and json.dumps(dict(facts))
    assert said(path, groups, annotator="ben")[0][0] == {"ben": "tie"}
    with pytest.raises(DataError, match=r"judge\.votes"):
        said(path, groups, annotator="bob")


def test_a_file_that_holds_no_votes_is_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "p", "chosen": "a", "rejected": "b"}) + "\n")
    with pytest.raises(DataError):
        said(path, [pair("p", "a", "b")])
