"""Pairs with a judge's numbers: where they stand, what they become, and when they clash."""

import pytest
from tiny import write_rows

from prefsmith.data.groups import read_groups
from prefsmith.errors import DataError
from prefsmith.records import Comparison

PAIR = {"prompt": "q", "chosen": "a", "rejected": "b"}
SIDES = {"prompt": "q", "response_a": "a", "response_b": "b", "sa": 3, "sb": 5}


def read(path, *rows, **options):
    return read_groups(write_rows(path / "rows.jsonl", rows), **options)


def numbers(group):
    return [each.score for each in group.completions], group.comparisons[0].score_gap


@pytest.mark.parametrize(
    "names",
    [
        ("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"), ("chosen-rating", "rejected-rating"),
        ("chosen_rating", "rejected_rating"),
    ],
)  # fmt: skip
def test_scores_of_both_sides_under_the_names_that_files_have(tmp_path, names):
    reading = read(tmp_path, {**PAIR, names[0]: 8, names[1]: 6.5})
    assert numbers(reading.groups[0]) == ([8.0, 6.5], 1.5)
    assert not reading.schema.unused


def test_ultrafeedback_binarized(tmp_path):
    """As it is published: the prompt a text, the sides whole dialogues."""
    ask, yes, no = ({"role": role, "content": text} for role, text in
                    (("user", "q"), ("assistant", "a"), ("assistant", "b")))  # fmt: skip
    row = {"prompt": "q", "prompt_id": "f0", "chosen": [ask, yes], "rejected": [ask, no], "messages": [ask, yes],
           "score_chosen": 6.0, "score_rejected": 7.0}  # fmt: skip
    group = read(tmp_path, row).groups[0]
    assert numbers(group) == ([6.0, 7.0], -1.0), "a judge may disagree with the label, and is kept as it is"
    assert [each.content for each in group.completions] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"score_chosen": 1}, "whose scores contradict the label, kept as labelled"),
        ({"score_chosen": 2}, "with equal scores of chosen and rejected, kept as labelled"),
        ({"prob": 0.0}, "whose scores contradict the label, kept as labelled"),
        ({"prob": 0.0, "score_chosen": 1}, None), ({"prob": 0.5}, None), ({"prob": 0.5, "score_chosen": 2}, None),
        ({}, None), ({"score_rejected": None}, None),
    ],
)  # fmt: skip
def test_a_judge_that_says_otherwise_than_the_label_is_counted(tmp_path, changes, note):
    row = {**PAIR, "prob": 1.0, "score_chosen": 3, "score_rejected": 2, **changes}
    reading = read(tmp_path, row)
    assert reading.notes == ({note: 1} if note else {})
    assert reading.groups[0].comparisons[0].prob == row["prob"]


def test_a_margin_is_a_gap_alone(tmp_path):
    assert numbers(read(tmp_path, {**PAIR, "margin": -0.5}).groups[0]) == ([None, None], -0.5)


def test_without_numbers_nothing_is_known(tmp_path):
    assert numbers(read(tmp_path, PAIR).groups[0]) == ([None, None], None)
    one = read(tmp_path, {**PAIR, "score_chosen": 3})
    assert numbers(one.groups[0]) == ([None, None], None) and one.schema.unused == ("score_chosen",)
    half = read(tmp_path, {**PAIR, "score_chosen": 3, "score_rejected": None})
    assert numbers(half.groups[0]) == ([3.0, None], None)


@pytest.mark.parametrize(("winner", "texts", "scores"), [
    ("a", ["a", "b"], [3.0, 5.0]), ("b", ["b", "a"], [5.0, 3.0]), ("tie", ["a", "b"], [3.0, 5.0]),
])  # fmt: skip
def test_scores_turn_with_the_sides(tmp_path, winner, texts, scores):
    columns = {"score_chosen": "sa", "score_rejected": "sb"}
    group = read(tmp_path, {**SIDES, "winner": winner}, columns=columns).groups[0]
    assert [each.content for each in group.completions] == texts
    assert numbers(group) == (scores, scores[0] - scores[1])
    assert group.comparisons[0].prob == (0.5 if winner == "tie" else 1.0)


BOTH = {**PAIR, "score_chosen": 8, "score_rejected": 6, "margin": 1}


def test_scores_and_a_margin_are_one_too_many(tmp_path):
    with pytest.raises(DataError, match=r"score_chosen and score_rejected say .* and so does margin") as caught:
        read(tmp_path, BOTH)
    assert (caught.value.code, caught.value.where) == ("data.scores", f"{tmp_path / 'rows.jsonl'}:1")
    assert "data.columns.margin=margin, or data.columns.score_chosen=score_chosen" in caught.value.fix


@pytest.mark.parametrize(("named", "expected"), [("margin", 1.0), ("score_chosen", 2.0)])
def test_the_one_that_is_meant_can_be_named(tmp_path, named, expected):
    reading = read(tmp_path, BOTH, columns={named: named})
    assert reading.groups[0].comparisons == (Comparison(0, 1, score_gap=expected),)
    assert reading.schema.unused == (("score_chosen", "score_rejected") if named == "margin" else ("margin",))


def test_a_margin_beside_a_winner_is_refused(tmp_path):
    with pytest.raises(DataError, match="winner says who won, and margin by how much chosen is better") as caught:
        read(tmp_path, {**SIDES, "winner": "b", "margin": 2})
    assert caught.value.code == "data.winner"


@pytest.mark.parametrize(("changes", "code", "says"), [
    ({"score_chosen": "high"}, "data.type", "score_chosen is 'high', not a number"),
    ({"score_rejected": float("inf")}, "data.type", "score_rejected is inf, not a finite number"),
    ({"score_rejected": True}, "data.type", "score_rejected is True, not a number"),
])  # fmt: skip
def test_a_number_that_is_none_is_refused(tmp_path, changes, code, says):
    good = {**PAIR, "score_chosen": 8, "score_rejected": 6}
    with pytest.raises(DataError) as caught:
        read(tmp_path, good, {**good, **changes})
    assert (caught.value.code, caught.value.where) == (code, f"{tmp_path / 'rows.jsonl'}:2")
    assert says in caught.value.what


@pytest.mark.parametrize("late", ["margin", "score_chosen", "chosen-rating"])
def test_numbers_that_only_later_rows_have_are_refused(tmp_path, late):
    with pytest.raises(DataError, match=f"the row has {late}, which the first row lacks"):
        read(tmp_path, PAIR, {**PAIR, late: 1})


def test_a_table_may_write_numbers_as_text(tmp_path):
    (tmp_path / "a.csv").write_text("prompt,chosen,rejected,score_chosen,score_rejected\nq,a,b,8,6.5\nq,c,d,7,\n")
    groups = read_groups(tmp_path / "a.csv").groups
    assert [numbers(group) for group in groups] == [([8.0, 6.5], 1.5), ([7.0, None], None)]
