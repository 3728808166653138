"""Files are read as training reads them, votes as agreement does: what either refuses is told with its place."""

import pytest
import yaml
from planted_faults import clean_rows, write

from prefsmith.audit.broken import Broken
from prefsmith.audit.finding import Finding
from prefsmith.audit.proposals import as_yaml, proposed
from prefsmith.audit.reading import HowToRead
from prefsmith.audit.run import audit
from prefsmith.errors import DataError


def read(path, part="train", **how):
    result = audit([(path, part)], [Broken()], how=HowToRead(**how), workers=0)
    return {finding.code: finding for finding in result.findings}, result.data


def left_out(findings: dict[str, Finding], data) -> dict[str, str]:
    (file,) = yaml.safe_load(as_yaml(proposed(list(findings.values()), data)))["files"]
    return {entry["code"]: entry["lines"] for entry in file.get("entries", ())}


def voted(count, *said, **cells):
    """Pairs a and b, with the votes of ann, bob and cat."""
    votes = [{"annotator": name, "vote": side} for name, side in zip(("ann", "bob", "cat"), said, strict=False)]
    return [
        {"prompt": row["prompt"], "a": row["chosen"], "b": row["rejected"], "votes": votes, **cells}
        for row in clean_rows(count)
    ]


def labelled(count):
    """Chosen and rejected sides with a probability, and votes beside them."""
    votes = [{"annotator": name, "vote": side} for name, side in (("ann", "chosen"), ("bob", "rejected"))]
    rows = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in clean_rows(count)]
    return [{"id": f"p{n}", **row, "prob": 0.9, "votes": votes} for n, row in enumerate(rows)]


@pytest.mark.parametrize("how", [{}, {"format": "preference"}])
def test_a_label_beside_votes_that_nobody_gave_is_read_as_in_training(tmp_path, how):
    rows = [{**row, "votes": []} for row in labelled(5)]
    _, data = read(write(tmp_path / "labels.jsonl", rows), **how)
    assert (len(data), data.group(0).comparisons[0].prob, data.group(0).votes) == (5, 0.9, ())
    rows = [{**row, "votes": [], "winner": "b"} for row in voted(5)]
    _, data = read(write(tmp_path / "winner.jsonl", rows), **how)
    assert data.group(0).completions[0].content == rows[0]["b"]


def test_pairs_that_wait_for_votes_cannot_be_trained_on(tmp_path):
    found, data = read(write(tmp_path / "asked.jsonl", voted(3)))
    assert (len(data), found["broken.label"].count) == (0, 3)
    assert "none of 0 votes" in found["broken.label"].examples[0].text


def test_rows_with_a_label_are_refused_as_in_training_and_keep_their_votes(tmp_path):
    rows = labelled(12)
    rows[3]["prob"], rows[5]["id"], rows[7]["rejected"] = 7, "p4", rows[7]["chosen"]
    rows[8]["votes"] = [{"annotator": "ann", "vote": "chosen"}] * 2
    found, data = read(write(tmp_path / "labels.jsonl", rows))
    assert left_out(found, data) == {"broken.label": "4", "broken.id": "6", "broken.identical": "8"}
    assert (data.files[0].rows, len(data), sum(data.files[0].codes.values())) == (12, 9, 3)
    assert [vote.verdict for vote in data.group(0).votes] == ["left", "right"]
    assert data.group(0).comparisons[0].prob == 0.9, "the label of training, not the share of the votes"
    beside = found["broken.votes_beside"]
    assert (beside.count, beside.of, beside.severity) == (1, 12, "warning")
    assert beside.examples[0].where.endswith("labels.jsonl:9") and "votes twice" in beside.examples[0].text
    assert data.files[0].recognised == "judgements (labels)"


def test_votes_are_turned_round_with_the_sides_that_they_are_about(tmp_path):
    rows = [{**voted(1, "a", "a", "b")[0], "winner": "b"}, {**voted(2, "a", "a", "b")[1], "winner": "a"}]
    _, data = read(write(tmp_path / "winner.jsonl", rows))
    for row, better in ((0, "b"), (1, "a")):
        group = data.group(row)
        assert group.completions[0].content == rows[row][better] and group.comparisons[0].prob == 1
        chosen = [vote.left if vote.verdict == "left" else vote.right for vote in group.votes]
        assert [group.completions[each].content for each in chosen] == [rows[row][side] for side in "aab"]


def test_votes_that_nobody_can_read_stop_no_row_with_a_label(tmp_path):
    rows = [{**row, "votes": [{"annotator": "ann", "vote": "left wins"}]} for row in labelled(4)]
    found, data = read(write(tmp_path / "labels.jsonl", rows))
    assert (len(data), found["broken.votes_beside"].count) == (4, 4)


def test_refused_rows_of_votes_have_a_place_and_are_left_out(tmp_path):
    rows = voted(10, "a", "b")
    rows[4]["votes"] = [{"annotator": "ann", "vote": "a"}] * 2
    path = write(tmp_path / "votes.jsonl", [*rows[:6], "{bad", *rows[6:]])
    found, data = read(path)
    assert left_out(found, data) == {"broken.votes": "5", "broken.unreadable": "7"}
    assert found["broken.votes"].examples[0].where == f"{path}:5"
    assert "votes twice" in found["broken.votes"].examples[0].text
    assert (data.files[0].rows, len(data)) == (11, 9)


def test_a_file_of_which_every_vote_is_refused_is_a_finding(tmp_path):
    rows = [{**row, "votes": row["votes"] * 2} for row in voted(4, "a")]
    found, data = read(write(tmp_path / "votes.jsonl", rows))
    assert (found["broken.votes"].count, found["broken.votes"].of, data.files[0].rows) == (4, 4, 4)


def test_a_limit_is_one_of_rows_and_what_stands_behind_is_not_read(tmp_path):
    rows = [*voted(3, "a"), {**voted(1, "a")[0], "a": True}]
    found, data = read(write(tmp_path / "votes.jsonl", rows), limit=3)
    assert found == {} and (data.files[0].rows, len(data)) == (3, 3)
    compared = [{"left": 0, "right": n, "verdict": "left", "annotator": "ann"} for n in (1, 2)]
    lists = [{"prompt": f"q {n}", "completions": ["x", "y", "z"], "votes": compared} for n in range(3)]
    _, data = read(write(tmp_path / "lists.jsonl", lists), limit=2)
    assert (data.files[0].rows, len(data), sum(data.files[0].codes.values())) == (2, 4, 0)


def test_bad_rows_among_prompts_are_counted_and_passed(tmp_path):
    rows = [{"prompt": "q 1"}, "{bad", {"prompt": 7}, {"prompt": "q 2"}, {"prompt": "q 1"}]
    _, data = read(write(tmp_path / "bench.jsonl", rows), "other")
    assert [data.group(row).prompt for row in range(len(data))] == ["q 1", "q 2"]
    assert (data.files[0].rows, dict(data.files[0].codes)) == (5, {"data.json": 1, "data.type": 1})
    _, data = read(write(tmp_path / "bench.jsonl", rows), "other", limit=1)
    assert (data.files[0].rows, len(data)) == (1, 1)


def test_a_file_to_train_on_needs_answers(tmp_path):
    with pytest.raises(DataError, match=r"data\.column"):
        read(write(tmp_path / "prompts.jsonl", [{"prompt": "q"}]))
