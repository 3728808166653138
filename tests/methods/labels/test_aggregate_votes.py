"""From a file of votes to rows that train: every pair is written or counted, and nothing is turned round on the way."""

import json
from collections import Counter

import pytest

from prefsmith.data.groups import read_groups
from prefsmith.data.votes.read import read_judgements
from prefsmith.errors import PrefsmithError
from prefsmith.methods.labels import Wanted, aggregate_votes

NAMED = [{"topic": "t", "a": "1", "b": "2", "votes": [{"annotator": "ann", "vote": "b"}]},
         {"topic": "t", "a": "2", "b": "3", "votes": [{"annotator": "ann", "vote": "a"}]}]  # fmt: skip
TEXTS = [{"id": str(number), "title": "T", "stance": "yes", "text": f"text {number}"} for number in range(1, 4)]


def row(number, *said, a=None, b=None, judges=None):
    names = ("ann", "bob", "cat", "dan")
    votes = [{"annotator": name, "vote": vote} for name, vote in zip(names, said, strict=False)]
    more = {"judges": judges} if judges else {}
    return {"id": f"r{number}", "prompt": f"q{number}", "a": a or f"first {number}", "b": b or f"second {number}",
            "votes": votes, **more}  # fmt: skip


def write(path, rows):
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return path


def make(folder, rows, wanted=None, texts=None, **options):
    votes, out = write(folder / "votes.jsonl", rows), folder / "labels.jsonl"
    where = write(folder / "texts.jsonl", texts) if texts else None
    out.unlink(missing_ok=True)  # of what was made before
    made = aggregate_votes(votes, out, wanted or Wanted(), texts=where, **options)
    return made, [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []


def refused(folder, rows, wanted=None, texts=None):
    with pytest.raises(PrefsmithError) as caught:
        make(folder, rows, wanted, texts)
    assert caught.value.fix
    return caught.value


def test_the_likelier_answer_is_chosen_and_the_votes_stand_beside_it(tmp_path):
    _, (first, second, tie) = make(tmp_path, [row(0, "a", "a", "b"), row(1, "b", "tie"), row(2, "a", "b")])
    assert (first["chosen"], first["rejected"], first["prob"]) == ("first 0", "second 0", round(2 / 3, 12))
    assert (second["chosen"], second["rejected"], second["prob"]) == ("second 1", "first 1", 0.75)
    assert (tie["chosen"], tie["prob"]) == ("first 2", 0.5)
    assert [vote["vote"] for vote in first["votes"]] == ["chosen", "chosen", "rejected"]
    assert second["votes"] == [{"annotator": "ann", "vote": "chosen"}, {"annotator": "bob", "vote": "tie"}]
    assert (first["id"], first["prompt"], first["weight"]) == ("r0", "q0", 1.0)


def test_what_was_written_is_read_for_training_with_its_probability(tmp_path):
    make(tmp_path, [row(0, "a", "a", "b"), row(1, "b", "tie")], Wanted(weights="votes"))
    groups = read_groups(tmp_path / "labels.jsonl").groups
    comparisons = [each.comparisons[0] for each in groups]
    assert [each.prob for each in comparisons] == [pytest.approx(2 / 3), 0.75]
    assert [each.weight for each in comparisons] == [pytest.approx(1.2), pytest.approx(0.8)]
    assert [each.completions[0].text for each in groups] == ["first 0", "second 1"]


def test_what_was_written_gives_the_same_labels_again(tmp_path):
    """Its votes are read as votes: on the sides of the row, with order and role."""
    judges = {"gpt": {"orig": "b", "swap": "a"}, "rule": "b"}
    rows = [row(0, "a", "a", "b", judges=judges), row(1, "b", "tie", judges=judges), row(2, "b", "b", "a", "tie")]
    _, first = make(tmp_path, rows)
    again = aggregate_votes(tmp_path / "labels.jsonl", tmp_path / "again.jsonl", Wanted())
    assert [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()] == first
    assert read_judgements(tmp_path / "labels.jsonl").roles == {
        **dict.fromkeys(("ann", "bob", "cat", "dan"), "person"), "gpt": "judge", "rule": "judge"
    }  # fmt: skip
    assert again.evidence["form"] == "labels"


def test_hard_labels_have_no_probability_and_ties_are_counted(tmp_path):
    made, (only,) = make(tmp_path, [row(0, "b", "b"), row(1, "a", "b"), row(2, "tie")], Wanted(hard=True))
    assert "prob" not in only and only["chosen"] == "second 0"
    assert made.evidence["pairs"] == {
        "read": 3, "written": 1, "left_out": {"ties, which a hard label cannot say": 2}
    }  # fmt: skip


def test_whose_votes_count(tmp_path):
    rows = [row(0, "a", "a", judges={"gpt": "b"}), row(1, judges={"gpt": "a"})]
    made, (only,) = make(tmp_path, rows, Wanted(annotators="people"))
    assert only["prob"] == 1.0 and made.evidence["pairs"]["left_out"] == {"no valid vote": 1}
    assert len(only["votes"]) == 3  # the judge's is kept, though it did not count
    _, both = make(tmp_path, rows, Wanted(annotators="judges"))
    assert [each["chosen"] for each in both] == ["second 0", "first 1"]
    _, (first, _) = make(tmp_path, rows)
    assert first["prob"] == round(2 / 3, 12)


def test_ties_may_be_left_out(tmp_path):
    made, (only,) = make(tmp_path, [row(0, "a", "tie", "tie"), row(1, "tie")], Wanted(ties="drop"))
    assert only["prob"] == 1.0 and made.evidence["votes"]["ties_left_out"] == 3


def test_texts_from_elsewhere(tmp_path):
    made, (first, second) = make(tmp_path, NAMED, texts=TEXTS)
    assert (first["prompt"], first["chosen"], first["rejected"]) == ("T: yes", "text 2", "text 1")
    assert second["chosen"] == "text 2" and made.evidence["pairs"]["written"] == 2
    plain = [{"id": int(each["id"]), "text": each["text"]} for each in TEXTS]
    assert make(tmp_path, NAMED, texts=plain)[1][0]["prompt"] == "t"  # what the votes are about


def test_missing_texts_are_named_or_counted(tmp_path):
    error = refused(tmp_path, NAMED, texts=TEXTS[:2])
    assert error.code == "votes.text" and error.where.endswith("votes.jsonl:2") and "id 3 in" in error.what
    made, rows = make(tmp_path, NAMED, Wanted(skip_bad=True), texts=TEXTS[:2])
    assert len(rows) == 1 and made.evidence["pairs"]["left_out"] == {"votes.text": 1}
    error = refused(tmp_path, NAMED)
    assert error.code == "label.nothing" and "--texts): 2" in error.what
    assert not (tmp_path / "labels.jsonl").exists() or len(rows) == 1


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([*TEXTS, TEXTS[0]], "that of"),
        ([{"id": "1"}], "text is None"),
        ([{"text": "x"}], "id is None"),
        ([{**TEXTS[0], "prompt": 3}], "prompt is 3"),
        ([{**TEXTS[0], "stance": "no"}, *TEXTS[1:]], "different prompts"),
    ],
)
def test_texts_that_cannot_be_used(tmp_path, texts, said):
    error = refused(tmp_path, NAMED, texts=texts)
    assert error.code == "votes.text" and said in error.what and error.where


def test_every_pair_is_written_or_counted(tmp_path):
    """Each reason once; what is read is what is written and what is left out."""
    rows = [row(0, "a"), row(1), row(2, "garbage", "a"), row(3, "a", a="same", b="same"), row(4, "a", b=" "),
            row(5, "nonsense"), row(6, "a") | {"a": True}]  # fmt: skip
    made, written = make(tmp_path, rows)
    assert [each["id"] for each in written] == ["r0", "r2"]
    assert made.evidence["pairs"] == {
        "read": 7, "written": 2,
        "left_out": {"no valid vote": 2, "equal answers": 1, "an empty answer": 1, "an answer that is no text": 1},
    }  # fmt: skip
    assert made.evidence["votes"]["invalid"] == 2


def test_a_bad_row_is_refused_or_counted(tmp_path):
    rows = [row(0, "a"), {"prompt": "q", "a": "x", "votes": []}]
    assert refused(tmp_path, rows).where.endswith(":2")
    made, _ = make(tmp_path, rows, Wanted(skip_bad=True))
    assert made.evidence["pairs"]["read"] == 2 and sum(made.evidence["pairs"]["left_out"].values()) == 1


def test_dialogues_are_measured_and_not_written(tmp_path):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}]
    other = [*turns[:1], {"role": "assistant", "content": "y"}]
    talk = {"question": 1, "conversation_a": turns, "conversation_b": other,
            "votes": [{"annotator": "ann", "vote": "a"}]}  # fmt: skip
    assert "dialogues" in refused(tmp_path, [talk]).what
    made, _ = make(tmp_path, [talk], dry_run=True)
    assert made.out is None and made.evidence["labels"]["first"] == 1


@pytest.mark.parametrize(
    ("rows", "method", "code"),
    [
        ([row(0), row(1)], "share", "votes.none"),
        ([row(0, "tie"), row(1, "tie")], "share", "label.votes"),
        ([row(0, "a"), row(1, "b")], "dawid-skene", "label.alone"),
        ([row(0, "a"), row(1, "b")], "crowd-bradley-terry", "label.alone"),
        ([{**row(number, "a"), "votes": [{"annotator": f"w{number}", "vote": "a"}]} for number in range(3)],
         "one-coin", "label.alone"),
        ([{**row(0), "votes": ["a", "b"]}], "smoothed-dawid-skene", "label.unnamed"),
        ([row(0, "x"), row(1, "y")], "share", "votes.verdict"),
    ],
)  # fmt: skip
def test_votes_that_a_method_cannot_use(tmp_path, rows, method, code):
    ties = "drop" if code == "label.votes" else "half"
    assert refused(tmp_path, rows, Wanted(method, ties=ties)).code == code


@pytest.mark.parametrize("method", ["share", "smoothed-share", "majority", "bradley-terry"])
def test_one_annotator_and_one_vote_each_have_labels_by_counting(tmp_path, method):
    made, rows = make(tmp_path, [row(0, "a"), row(1, "b"), row(2, "tie")], Wanted(method))
    assert [each["chosen"] for each in rows[:2]] == ["first 0", "second 1"] and rows[2]["prob"] == 0.5
    assert made.evidence["flip_rate"] is None  # nobody can be held against another


def test_the_flip_rate_is_that_of_the_truth(tmp_path):
    """Three people who err one time in five: most votes err with 3 (1/5)^2 4/5 + (1/5)^3 = 10.4 %."""
    import numpy as np

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 900)
    rows = [row(number, *("ab"[each ^ (rng.random() < 0.2)] for _ in range(3))) for number, each in enumerate(truth)]
    made, written = make(tmp_path, rows, Wanted("majority", hard=True))
    wrong = sum(each["chosen"] != f"{['first', 'second'][truth[int(each['id'][1:])]]} {each['id'][1:]}"
                for each in written) / len(written)  # fmt: skip
    found = made.evidence["flip_rate"]
    assert found["value"] == pytest.approx(wrong, abs=0.02) and found["value"] == pytest.approx(0.104, abs=0.02)
    assert found["settings"] == f"loss.name=robust_dpo loss.noise={found['value']:.3g}"
    assert found["by"] == "smoothed-dawid-skene"


def test_a_dry_run_writes_nothing_and_files_that_are_read_stay(tmp_path):
    made, rows = make(tmp_path, [row(0, "a")], dry_run=True)
    assert made.out is None and not rows and made.evidence["pairs"]["written"] == 1
    (tmp_path / "kept.jsonl").write_text("of last week")
    for out in (tmp_path / "votes.jsonl", tmp_path / "x.csv", tmp_path, tmp_path / "kept.jsonl"):
        with pytest.raises(PrefsmithError) as caught:
            aggregate_votes(tmp_path / "votes.jsonl", out, Wanted())
        assert caught.value.code == "label.out"
    assert (tmp_path / "kept.jsonl").read_text() == "of last week"
    with pytest.raises(PrefsmithError) as caught:
        Wanted("shares")
    assert caught.value.code == "label.method" and "share" in caught.value.fix


def test_half_a_character_is_written_and_read_again(tmp_path):
    _, rows = make(tmp_path, [row(0, "a", a="half \ud800")])
    assert rows[0]["chosen"] == "half \ud800"


def test_reliability_is_of_each_annotator_and_the_same_file_gives_the_same_numbers(tmp_path):
    rows = [row(number, *("ab"[number % 2],) * 3, "a") for number in range(12)]
    made, _ = make(tmp_path, rows, Wanted("one-coin"))
    annotators = made.evidence["reliability"]["annotators"]
    assert [each["annotator"] for each in annotators] == ["ann", "bob", "cat", "dan"]
    assert annotators[0]["value"] > 0.99 and annotators[3]["value"] == pytest.approx(0.5, abs=0.02)
    assert annotators[3]["low"] < 0.5 < annotators[3]["high"] and Counter(each["votes"] for each in annotators) == {
        12: 4
    }
    again, _ = make(tmp_path, rows, Wanted("one-coin"))
    assert json.dumps(again.evidence) == json.dumps(made.evidence)


def test_strengths_weigh_annotators_who_have_no_pair_in_common(tmp_path):
    """Three answers in a row: what one says of the first two and another of the last two meets in the middle."""
    rows = [{"prompt": "q", "a": a, "b": b, "votes": [{"annotator": who, "vote": "a"}]}
            for who, a, b in (("ann", "x", "y"), ("bob", "y", "z"), ("cat", "x", "z"))]  # fmt: skip
    made, written = make(tmp_path, rows, Wanted("crowd-bradley-terry"))
    assert [each["chosen"] for each in written] == ["x", "y", "x"] and made.evidence["triples"]["transitive"] == 1
    assert refused(tmp_path, rows, Wanted("one-coin")).code == "label.alone"
