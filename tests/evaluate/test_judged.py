"""Votes are asked for once: what is kept is not asked again, and what failed is."""

from contextlib import suppress

import pytest

from prefsmith.errors import DataError, TrainingError
from prefsmith.evaluate.judged import judged_groups
from prefsmith.evaluate.workplace import Workplace
from prefsmith.records import Completion, Group, Vote


class Counting:
    """Votes for the longer answer, or as told, and remembers what it was asked."""

    name = "counting"

    def __init__(self, verdict="left", *, stop_after=None):
        self.verdict, self.stop_after, self.asked = verdict, stop_after, []

    def votes(self, groups):
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise TrainingError("judge.budget", "no more")
        self.asked += [group.id for group in groups]
        return [(Vote(0, 1, self.verdict, self.name, 0, 1.5), Vote(1, 0, "right", self.name, 1)) for _ in groups]

    def describe(self):
        return {"name": self.name}


def pairs(count=10, equal=()):
    return [
        Group(str(n), f"rows:{n}", f"p{n}", (Completion("a"), Completion("a" if n in equal else "b")))
        for n in range(count)
    ]


def judged(folder, judge, groups, **options):
    lines = []
    with Workplace(folder) as place:
        place.claim({})
        return judged_groups(place, "votes.jsonl", groups, judge, lines.append, **options), lines


def test_nothing_is_judged_twice(tmp_path):
    first, again = Counting(), Counting()
    before, lines = judged(tmp_path, first, pairs())
    after, silence = judged(tmp_path, again, pairs())
    assert first.asked == [str(n) for n in range(10)] and again.asked == []
    assert lines == ["10 pairs to judge"] and silence == []
    assert [[(v.verdict, v.order) for v in g.votes] for g in after] == [[("left", 0), ("right", 1)]] * 10
    assert [[(v.left, v.right, v.annotator) for v in g.votes] for g in after] == [
        [(v.left, v.right, v.annotator) for v in g.votes] for g in before
    ]


def test_a_judge_that_stops_is_gone_on_with_behind_what_it_said(tmp_path):
    first, again = Counting(stop_after=6), Counting()
    with suppress(TrainingError):
        judged(tmp_path, first, pairs(), together=3)
    judged(tmp_path, again, pairs(), together=3)
    assert first.asked == [str(n) for n in range(6)]
    assert again.asked == [str(n) for n in range(6, 10)]


def test_equal_answers_are_a_tie_that_nobody_is_asked_about(tmp_path):
    judge = Counting()
    found, _ = judged(tmp_path, judge, pairs(4, equal=(1, 2)))
    assert judge.asked == ["0", "3"]
    assert [group.votes[0].verdict for group in found] == ["left", "tie", "tie", "left"]


def test_what_has_no_verdict_is_asked_about_again_and_only_that(tmp_path):
    judged(tmp_path, Counting("invalid"), pairs(3))
    mended = Counting("left")
    found, _ = judged(tmp_path, mended, pairs(3))
    assert mended.asked == ["0", "1", "2"]
    assert all(group.votes[0].verdict == "left" for group in found)
    assert judged(tmp_path, Counting(), pairs(3))[0][0].votes[0].verdict == "left"


def test_all_of_them_at_once_where_asked_for(tmp_path):
    calls = []

    class AtOnce(Counting):
        def votes(self, groups):
            calls.append(len(groups))
            return super().votes(groups)

    judged(tmp_path / "a", AtOnce(), pairs(100), together=None)
    judged(tmp_path / "b", AtOnce(), pairs(100))
    assert calls == [100, 64, 36]


@pytest.mark.parametrize(
    "line",
    [
        '{"pair": 99, "votes": []}',
        '{"pair": 0, "votes": [[0, 1, "maybe", "j", null]]}',
        '{"pair": 0, "votes": [[0, 0, "left", "j", null]]}',
        '{"pair": 0, "votes": [[0, 1, "left", "j", 2]]}',
        '{"pair": 0}',
    ],
)
def test_a_line_that_is_no_vote_is_refused(tmp_path, line):
    (tmp_path / "settings.json").write_text('{"form": 2, "settings": {}}')
    (tmp_path / "votes.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"evaluate\.damaged"):
        judged(tmp_path, Counting(), pairs())
