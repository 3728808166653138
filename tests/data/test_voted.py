"""Files of votes in training: the share is the probability, and the votes are kept."""

import json

import pytest

from prefsmith.data.groups import read_groups
from prefsmith.errors import DataError
from prefsmith.records import Vote


def read(folder, *votes, **more):
    path = folder / "votes.jsonl"
    rows = [{"prompt": f"q{number}", "a": "x", "b": "y", "votes": each, **more} for number, each in enumerate(votes)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_groups(path)


def by(name, vote):
    return {"annotator": name, "vote": vote}


def test_the_share_of_votes_is_the_probability_and_a_tie_counts_one_half(tmp_path):
    found = read(tmp_path, [by("ann", "a"), by("bob", "tie"), by("cat", "b"), by("dan", "b")], ["b"], ["tie", "tie"])
    first, second, tie = (group.comparisons[0] for group in found.groups)
    assert (first.better, first.prob, first.weight) == (0, 1.5 / 4, 1.0)
    assert (second.prob, tie.prob) == (0.0, 0.5)
    assert found.groups[0].votes[:2] == (Vote(0, 1, "left", "ann"), Vote(0, 1, "tie", "bob"))
    assert found.groups[1].votes == (Vote(0, 1, "right", "vote 1"),)
    assert "prob is the share of votes for a, a tie one half" in found.schema.describe()


def test_votes_that_name_no_side_do_not_count_and_stay(tmp_path):
    (group,) = read(tmp_path, [by("ann", "a"), by("bob", None), by("cat", "both"), "b"]).groups
    assert group.comparisons[0].prob == 0.5
    assert [vote.verdict for vote in group.votes] == ["left", "invalid", "invalid", "right"]


@pytest.mark.parametrize("votes", [[], [by("ann", None)], "a"])
def test_a_row_without_a_vote_is_refused(tmp_path, votes):
    with pytest.raises(DataError) as caught:
        read(tmp_path, ["a"], votes)
    assert caught.value.code == "data.winner" and caught.value.where.endswith("votes.jsonl:2") and caught.value.fix


def test_a_winner_goes_before_votes(tmp_path):
    (group,) = read(tmp_path, ["b", "b"], winner="a").groups
    assert group.comparisons[0].prob == 1.0 and group.completions[0].text == "x" and not group.votes


def test_votes_of_pandalm_train_as_they_are_published(shared_data):
    """584 pairs; those with an empty answer or one that is no text are refused, and the others are labelled."""
    from prefsmith.data.rejects import Rejects

    found = read_groups(shared_data / "pandalm.jsonl.gz", rejects=Rejects(skip=True))
    assert found.rows == 584 and len(found.groups) == 540
    assert {len(group.votes) for group in found.groups} == {3}
