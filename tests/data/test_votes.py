"""Files of judgements: each form, which answer a verdict names in which order, and what is refused or counted."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.data.votes.read import read_judgements
from prefsmith.errors import DataError
from prefsmith.records import Vote

PAIR = {
    "prompt": "q",
    "a": "one two",
    "b": "three",
    "votes": [{"annotator": "ann", "vote": "a"}],
    "judges": {"gpt": "b"},
}
LLMBAR = {"id": "x/1", "subset": "S", "prompt": "q", "a": "one", "b": "two words", "human": "b",
          "judges": {"m/p": {"orig": "b", "swap": "a"}, "m/q": {"orig": "None", "swap": "b"}}}  # fmt: skip
PANDALM = {"pair": "m-1_m.2", "app": "Mail", "prompt": "q", "a": "x y", "b": "z",
           "judges": {"g": "invalid:garbage"},
           "votes": [{"annotator": "ann", "vote": "a"}, {"annotator": "bob", "vote": "tie"}]}  # fmt: skip
MTBENCH = {"id": "m", "question": 103, "model_a": "x", "model_b": "y", "turn": 1, "judges": {"g": "tie"},
           "conversation_a": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a b c"}],
           "conversation_b": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "d"}],
           "votes": [{"annotator": "ann", "vote": "b"}]}  # fmt: skip
AUTOJ = {"id": "j", "scenario": "code", "prompt": "q", "a": "x", "b": "y", "human": "tie"}
UKP = {"id": "u", "topic": "t", "a": "12", "b": "34", "votes": [{"annotator": "w1", "vote": "b", "mace": 0.4}]}
CROWD = {"id": 0, "criterion": "colour", "a": 13, "b": 25, "votes": ["b", "a", "0-1"]}
GROUP = {"prompt": "q", "completions": ["x", "y y", "z"],
         "votes": [{"left": 2, "right": 0, "verdict": "left", "annotator": "ann", "order": 1},
                   {"left": 0, "right": 2, "verdict": "tie", "annotator": "gpt", "role": "judge"},
                   {"left": 1, "right": 2, "verdict": "invalid", "annotator": "ann"}]}  # fmt: skip
ALPACA = {"model": "m", "annotator": "gpt", "key": "k", "gen1": "base", "gen2": "m", "preference": 2.0, "len1": 10,
          "len2": 20}  # fmt: skip


def write(folder, *rows):
    path = folder / "votes.jsonl"
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def read(folder, *rows, **options):
    return read_judgements(write(folder, *rows), **options)


def refused(folder, *rows):
    with pytest.raises(DataError) as caught:
        read(folder, *rows)
    assert caught.value.fix and not any(
        "\n" in part for part in (caught.value.what.split("\n  row:")[0], caught.value.where)
    )
    return caught.value


@pytest.mark.parametrize(
    ("row", "form", "people", "judges"),
    [
        (PAIR, "pairs", ["ann"], ["gpt"]),
        ({**PAIR, "response_a": "x", "response_b": "y"}, "pairs", ["ann"], ["gpt"]),
        (LLMBAR, "llmbar", ["human"], ["m/p", "m/q"]),
        (PANDALM, "pandalm", ["ann", "bob"], ["g"]),
        (MTBENCH, "mtbench", ["ann"], ["g"]),
        (AUTOJ, "autoj", ["human"], []),
        (UKP, "ukpconvarg", ["w1"], []),
        (CROWD, "crowdpareto", ["vote 1", "vote 2", "vote 3"], []),
        (GROUP, "groups", ["ann"], ["gpt"]),
        (ALPACA, "alpaca_eval", [], ["gpt"]),
    ],
)
def test_every_form_is_recognised_and_says_who_is_a_person(tmp_path, row, form, people, judges):
    found = read(tmp_path, row)
    assert (found.form, found.rows) == (form, 1)
    assert [name for name, role in found.roles.items() if role == "person"] == people
    assert [name for name, role in found.roles.items() if role == "judge"] == judges


def test_a_verdict_names_an_answer_in_either_order(tmp_path):
    """`orig` and `swap` both name the answer; what was shown first is another matter."""
    (pair,) = read(tmp_path, LLMBAR).pairs
    assert pair.group.votes == (
        Vote(0, 1, "right", "human"),
        Vote(0, 1, "right", "m/p", 0),
        Vote(1, 0, "right", "m/p", 1),  # answer a, which the swapped presentation shows second
        Vote(0, 1, "invalid", "m/q", 0),
        Vote(1, 0, "left", "m/q", 1),
    )
    assert pair.group.tags == ("subset=S",) and pair.lengths == (1, 2) and pair.group.id == "x/1"


def test_votes_of_a_group_keep_their_presentation(tmp_path):
    first, second = read(tmp_path, GROUP).pairs
    assert [each.text for each in first.group.completions] == ["x", "z"] and first.lengths == (1, 1)
    assert first.group.votes == (Vote(1, 0, "left", "ann", 1), Vote(0, 1, "tie", "gpt"))
    assert [each.text for each in second.group.completions] == ["y y", "z"] and second.lengths == (2, 1)
    assert second.group.votes == (Vote(0, 1, "invalid", "ann"),)


def test_who_wrote_the_answers(tmp_path):
    assert read(tmp_path, PANDALM).pairs[0].methods == ("m-1", "m.2")
    assert read(tmp_path, MTBENCH).pairs[0].methods == ("x", "y")
    assert read(tmp_path, {**PAIR, "model_a": "x", "model_b": "y"}).pairs[0].methods == ("x", "y")
    odd = read(tmp_path, {**PANDALM, "pair": "a_b_c"})
    assert odd.pairs[0].methods is None
    assert [note.count for note in odd.notes if note.what == "pairs that do not say who wrote the answers"] == [1]


def test_only_what_the_assistant_says_is_the_answer(tmp_path):
    (pair,) = read(tmp_path, MTBENCH).pairs
    assert pair.lengths == (3, 1) and pair.group.completions[0].content == "a b c" and pair.group.prompt == "103"


def test_garbage_of_a_judge_is_an_invalid_vote_and_counted(tmp_path):
    found = read(tmp_path, PANDALM, {**PANDALM, "judges": {"g": "I like both"}}, {**PANDALM, "judges": {"g": None}},
                 {**PANDALM, "judges": {"g": "a"}})  # fmt: skip
    said = [pair.group.votes[-1].verdict for pair in found.pairs]
    assert said == ["invalid", "invalid", "invalid", "left"]
    (note,) = found.notes
    assert note.count == 3 and "of g that name no side" in note.what and note.places[1].endswith(":2 ('I like both')")


def test_garbage_of_a_person_is_too(tmp_path):
    (pair,) = read(tmp_path, CROWD).pairs
    assert [vote.verdict for vote in pair.group.votes] == ["right", "left", "invalid"]
    assert not read(tmp_path, CROWD).named and read(tmp_path, UKP).named


@pytest.mark.parametrize("judges", [{"g": "1"}, {"g": "left wins"}])
def test_labels_that_are_all_unknown_are_a_language_of_their_own(tmp_path, judges):
    error = refused(tmp_path, *[{**PANDALM, "judges": judges}] * 3)
    assert (
        error.code == "votes.verdict"
        and "none of the 3 verdicts of judge g" in error.what
        and error.where.endswith(":1")
    )


def test_a_judge_that_never_answers_is_none(tmp_path):
    assert [vote.verdict for pair in read(tmp_path, *[PANDALM] * 2).pairs for vote in pair.group.votes[-1:]] == [
        "invalid"
    ] * 2


@pytest.mark.parametrize("value", [True, False, 3, 2.5])
def test_an_answer_that_is_no_text_is_named_and_has_no_length(tmp_path, value):
    found = read(tmp_path, {**PAIR, "a": value}, PAIR)
    assert found.pairs[0].lengths == (None, 1) and found.pairs[1].lengths == (2, 1)
    (note,) = found.notes
    assert note.count == 1 and ":1 (a is " in note.places[0] and "JSON values" in note.what
    assert found.pairs[0].group.votes  # it was judged, whatever was shown


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        ({"x": 1}, "votes.form", "no judgements"),
        ({"prompt": "q", "a": "x", "b": "y"}, "votes.form", "no judgements"),
        ({**PAIR, "b": None}, "votes.side", "b is None"),
        ({**PAIR, "b": ["x"]}, "votes.side", "no answer"),
        ({**UKP, "a": None}, "votes.side", "a is None"),
        ({**MTBENCH, "conversation_b": "x"}, "votes.side", "conversation_b"),
        ({**MTBENCH, "conversation_b": [{"role": "user"}]}, "votes.side", "a turn of conversation_b"),
        ({**PAIR, "prompt": None}, "votes.prompt", "prompt is None"),
        ({**PAIR, "votes": "a"}, "votes.cell", "votes is 'a'"),
        ({**PAIR, "votes": [{"vote": "a"}]}, "votes.cell", "annotator is None"),
        ({**PAIR, "votes": [{"annotator": "x", "vote": 1}]}, "votes.verdict", "is 1, and not a text"),
        ({**PAIR, "votes": [{"annotator": "x", "vote": "a", "role": "cat"}]}, "votes.cell", "role is 'cat'"),
        ({**PAIR, "votes": [{"annotator": "x", "vote": "a", "order": 2}]}, "votes.order", "is 2"),
        ({**PAIR, "votes": [{"annotator": "x", "vote": "a", "order": True}]}, "votes.order", "is True"),
        ({**PAIR, "votes": [PAIR["votes"][0]] * 2}, "votes.twice", "ann votes twice"),
        ({**PAIR, "votes": [{"annotator": "gpt", "vote": "a"}]}, "votes.role", "gpt is a judge here and a person"),
        ({**PAIR, "judges": ["a"]}, "votes.cell", "judges is ['a']"),
        ({**PAIR, "judges": {"g": {"third": "a"}}}, "votes.cell", "a presentation of g is 'third'"),
        ({**PAIR, "judges": {"g": ["a"]}}, "votes.verdict", "not a text"),
        ({**GROUP, "completions": ["x"]}, "votes.cell", "completions"),
        ({**GROUP, "votes": [{**GROUP["votes"][0], "left": 3}]}, "votes.cell", "left is 3"),
        ({**GROUP, "votes": [{**GROUP["votes"][0], "left": True}]}, "votes.cell", "left is True"),
        ({**GROUP, "votes": [{**GROUP["votes"][0], "right": 2}]}, "votes.cell", "right is 2"),
        ({**GROUP, "votes": [{**GROUP["votes"][0], "verdict": "a"}]}, "votes.verdict", "'a'"),
        ({**GROUP, "votes": [{**GROUP["votes"][0], "order": 0}]}, "votes.order", "shows completion 2 first, and its"),
        ({**GROUP, "votes": [{**GROUP["votes"][1], "order": 1}]}, "votes.order", "shows completion 0 first, and its"),
        ({**GROUP, "votes": [GROUP["votes"][0]] * 2}, "votes.twice", "ann"),
        ({**ALPACA, "preference": 3}, "votes.verdict", "preference is 3"),
        ({**ALPACA, "preference": True}, "votes.verdict", "preference is True"),
        ({**ALPACA, "preference": "m"}, "votes.verdict", "preference is 'm'"),
        ({**ALPACA, "len1": -1}, "votes.cell", "len1 is -1"),
        ({**ALPACA, "len2": 1.5}, "votes.cell", "len2 is 1.5"),
        ({**ALPACA, "annotator": 7}, "votes.cell", "annotator is 7"),
        ({**PAIR, "votes": [], "judges": {}}, "votes.none", "nobody voted"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path, row, code, words):
    error = refused(tmp_path, row)
    assert error.code == code and words in error.what
    assert error.where.endswith("votes.jsonl" if code == "votes.none" else "votes.jsonl:1")


def test_a_later_row_without_a_side(tmp_path):
    short = {name: value for name, value in PAIR.items() if name != "b"}
    error = refused(tmp_path, PAIR, short)
    assert (error.code, error.where.rpartition(":")[2]) == ("votes.column", "2") and "missing b" in error.what


def test_bad_rows_may_be_skipped_and_leave_nothing_behind(tmp_path):
    """Neither notes nor annotators of a refused row are counted, and the counts add up."""
    twice = {**PAIR, "a": True, "judges": {"ghost": "?"}, "votes": [PAIR["votes"][0]] * 2}
    found = read(tmp_path, PAIR, twice, "{", {**PAIR, "b": None}, PAIR, skip_bad=True)
    assert found.refused == {"votes.twice": 1, "data.json": 1, "votes.side": 1}
    assert (found.rows, len(found.pairs), found.notes, set(found.roles)) == (5, 2, (), {"ann", "gpt"})


def test_an_id_names_one_pair(tmp_path):
    """Fault: rows of one annotator each become pairs of one vote, and labels are written that training refuses."""
    row = {"prompt": "q", "a": "x", "b": "y", "votes": ["a"]}
    made = [{**row, "id": name} for name in ("p", 1, "q", "1")]
    assert refused(tmp_path, *made).code == "data.id"
    found = read(tmp_path, *made, skip_bad=True)
    assert [pair.group.id for pair in found.pairs] == ["p", "1", "q"] and found.refused == {"data.id": 1}
    assert len(read(tmp_path, row, row).pairs) == 2  # without ids they may be asked twice
    votes = [{"left": left, "right": 2, "verdict": "left", "annotator": "ann"} for left in (0, 1)]
    group = {"id": "g", "prompt": "q", "completions": ["x", "y", "z"], "votes": votes}
    assert len(read(tmp_path, group).pairs) == 2 and refused(tmp_path, group, group).code == "data.id"


def test_pairs_that_nobody_voted_on_stay_and_are_counted(tmp_path):
    found = read(tmp_path, PAIR, {**PAIR, "votes": [], "judges": None})
    assert len(found.pairs) == 2 and found.notes[0].what == "pairs without any vote" and found.notes[0].count == 1


@pytest.mark.parametrize(
    ("preference", "verdict"),
    [
        (1, "left"),
        (1.0, "left"),
        (2.0, "right"),
        (0, "tie"),
        (1.5, "tie"),
        (1.4999, "left"),
        (1.99, "right"),
        (None, "invalid"),
    ],
)
def test_preferences_of_alpaca_eval(tmp_path, preference, verdict):
    found = read(tmp_path, {**ALPACA, "preference": preference}, {**ALPACA, "key": "other"})
    assert found.pairs[0].group.votes == (Vote(0, 1, verdict, "gpt"),)
    assert found.pairs[0].lengths == (10, 20) and found.unit == "characters"
    assert any("between 1 and 2" in note.what for note in found.notes) == (preference in (1.4999, 1.99))


def test_votes_of_alpaca_eval_on_the_same_answers_come_together(tmp_path):
    other = {**ALPACA, "annotator": "claude", "preference": 1}
    found = read(tmp_path, ALPACA, {**ALPACA, "key": "k2"}, other, {**ALPACA, "model": "n", "gen2": "m"})
    assert [len(pair.group.votes) for pair in found.pairs] == [2, 1, 1] and found.rows == 4
    assert [pair.methods for pair in found.pairs] == [("base", "m"), ("base", "m"), ("base", "n")]
    error = refused(tmp_path, ALPACA, ALPACA)
    assert error.code == "votes.twice" and error.where.endswith(":2") and "votes.jsonl:1" in error.what


def test_annotations_of_alpaca_eval_as_it_writes_them(tmp_path):
    row = {"instruction": "q", "output_1": "abc", "generator_1": "base", "output_2": "de", "generator_2": "m",
           "annotator": "gpt", "preference": 2}  # fmt: skip
    (pair,) = read(tmp_path, row).pairs
    assert (pair.methods, pair.lengths, pair.group.prompt) == (("base", "m"), (3, 2), "q")
    assert [each.text for each in pair.group.completions] == ["abc", "de"]


def test_a_compressed_file_and_one_that_is_none(tmp_path):
    path = tmp_path / "votes.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(PAIR).encode()))
    assert read_judgements(path).digest["sha256"] and read_judgements(path).form == "pairs"
    for name, text in (("no.jsonl", "nothing\n"), ("empty.jsonl", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError):
            read_judgements(tmp_path / name)


def test_names_that_cannot_be_printed_are_written_as_escapes(tmp_path):
    half, steers = "\ud800", "x\x1b[2J"
    votes = [{"annotator": half, "vote": "a"}, {"annotator": steers, "vote": half}]
    found = read(
        tmp_path,
        {**PAIR, "votes": votes, "judges": {half + "j": "b"}, "category": half, "model_a": half, "model_b": "m"},
    )
    assert list(found.roles) == [r"\ud800", r"x\u001b[2J", r"\ud800j"]
    assert found.pairs[0].methods == (r"\ud800", "m") and found.pairs[0].group.tags == (r"category=\ud800",)
    assert "\ud800" not in str(found.notes)


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from(["a", "b", "tie", "", "x\x1b[2J", "invalid", "orig"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["annotator", "vote", "orig", "swap", "left", "right", "verdict", "role"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "row", [PAIR, LLMBAR, PANDALM, MTBENCH, UKP, CROWD, GROUP, ALPACA], ids=lambda row: str(list(row)[:2])
)
@given(data=st.data())
def test_no_cell_makes_anything_but_an_error_of_ours(tmp_path_factory, row, data):
    spoiled = {**row, data.draw(st.sampled_from(sorted(row))): data.draw(CELLS)}
    folder = tmp_path_factory.mktemp("cells")
    try:
        found = read(folder, row, spoiled)
    except DataError as error:
        assert error.where and error.fix and "\x1b" not in str(error)
    else:
        assert found.rows == 2 and all(
            vote.annotator in found.roles for pair in found.pairs for vote in pair.group.votes
        )
