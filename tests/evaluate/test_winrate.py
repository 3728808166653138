"""Win rates from votes: by hand, with every kind of verdict, and where the judge looks at the place."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.evaluate.paired import sign_test
from prefsmith.evaluate.winrate import Outcome, outcomes, prompt_scores, unjudged, win_rate
from prefsmith.records import Completion, Group, Vote
from prefsmith.stats import wilson

NAMES = {"win": ("left", "right"), "loss": ("right", "left"), "tie": ("tie", "tie"), "invalid": ("invalid", "invalid")}
"""What a vote says in order 0 and in order 1."""


def group(number, *votes, texts=("ours", "theirs!")):
    return Group(
        f"g{number}", f"votes:{number + 1}", f"prompt {number}", tuple(map(Completion, texts)), votes=tuple(votes)
    )


def vote(said, order=None, annotator="judge"):
    left, right = (1, 0) if order == 1 else (0, 1)
    return Vote(left, right, NAMES[said][order or 0], annotator, order)


def both(first, second, annotator="judge"):
    return vote(first, 0, annotator), vote(second, 1, annotator)


def of(*said):
    return outcomes(group(number, vote(each)) for number, each in enumerate(said))


def test_a_tie_is_one_half_and_what_is_invalid_is_counted_and_bounded():
    found = win_rate(of("win", "win", "win", "loss", "tie", "invalid", "invalid"))
    assert (found.wins, found.losses, found.ties, found.invalid, found.judged) == (3, 1, 1, 2, 5)
    assert found.rate == wilson(3.5, 5)
    assert (found.if_lost, found.if_won) == (3.5 / 7, 5.5 / 7)
    assert found.prompts == 7 and found.rate.n == 5
    assert found.against_half == sign_test(3, 1)
    assert found.first is None  # each pair was shown in one order alone


@pytest.mark.parametrize(
    ("first", "second", "verdict", "agree"),
    [
        ("win", "win", "win", True),
        ("loss", "loss", "loss", True),
        ("tie", "tie", "tie", True),
        ("win", "loss", "tie", False),
        ("loss", "win", "tie", False),
        ("win", "tie", "tie", False),
        ("invalid", "win", "invalid", None),
        ("loss", "invalid", "invalid", None),
    ],
)
def test_both_presentations_are_one_outcome(first, second, verdict, agree):
    (found,) = outcomes([group(0, *both(first, second))])
    assert (found.verdict, found.agree, found.both) == (verdict, agree, True)


def test_a_vote_counts_for_the_completion_and_not_for_its_place():
    (found,) = outcomes([group(0, Vote(1, 0, "left", "judge", 1))])
    assert found.verdict == "loss"
    assert found.lengths == (4, 7)


def test_a_judge_that_takes_the_first_answer_finds_no_winner_and_is_told_of():
    """Left in both orders: every pair is an inconsistent tie, and all its verdicts are for the answer shown first."""
    found = win_rate(outcomes(group(number, *both("win", "loss")) for number in range(40)))
    assert found.rate.value == 0.5 and found.ties == found.inconsistent == found.asked_twice == 40
    assert found.first.value == 1.0
    assert found.warnings() == ["the judge prefers what it is shown first: 100% of its verdicts"]


def test_the_bias_of_a_judge_that_prefers_the_first_place_with_a_known_chance():
    """Six of ten verdicts go to the first place, whatever stands there: the share is 0.6 and the rate one half."""
    rng = Random(3)
    said = [("win" if rng.random() < 0.6 else "loss", "loss" if rng.random() < 0.6 else "win") for _ in range(800)]
    found = win_rate(outcomes(group(number, *both(*each)) for number, each in enumerate(said)))
    assert found.first.value == pytest.approx(0.6, abs=0.04) and found.first.low > 0.5
    assert found.rate.low < 0.5 < found.rate.high
    assert found.inconsistent / found.asked_twice == pytest.approx(0.6 * 0.6 + 0.4 * 0.4, abs=0.05)


def test_a_consistent_judge_has_no_place_that_it_prefers():
    found = win_rate(outcomes(group(number, *both("win", "win")) for number in range(40)))
    assert (found.first.value, found.first.low, found.first.high) == (0.5, 0.5, 0.5)
    assert found.rate.value == 1.0 and found.warnings() == []


def test_annotators_are_apart_and_their_pairs_are_of_one_prompt():
    found = outcomes([group(0, vote("win", None, "a"), vote("loss", None, "b"), vote("win", None, "c"))])
    assert [(each.annotator, each.verdict) for each in found] == [("a", "win"), ("b", "loss"), ("c", "win")]
    many = win_rate(found)
    assert (many.wins, many.losses, many.prompts) == (2, 1, 1)
    assert many.rate == wilson(2 / 3, 1)  # one prompt is one trial, however many looked at it
    assert prompt_scores(found) == {'"prompt 0"': pytest.approx(2 / 3)}


def test_several_pairs_of_a_prompt_do_not_make_the_interval_narrower():
    alone = of(*["win", "loss"] * 20)
    four_times = [each for each in alone for _ in range(4)]
    once, more = win_rate(alone), win_rate(four_times)
    assert more.judged == 4 * once.judged
    assert (more.rate.low, more.rate.high) == (once.rate.low, once.rate.high)
    assert (more.by_prompt.low, more.by_prompt.high) == (once.by_prompt.low, once.by_prompt.high)


def test_few_prompts_and_many_invalid_ones_are_warned_of():
    few = win_rate(of(*["win"] * 29))
    assert few.warnings() == ["only 29 prompts: the interval is wide, and rough"]
    assert win_rate(of(*["win"] * 30)).warnings() == []
    assert "10% of the pairs have no verdict" in win_rate(of(*["win"] * 45, *["invalid"] * 5)).warnings()[0]


def test_one_prompt_shows_no_liking_for_a_place():
    found = win_rate(outcomes([group(0, *both("win", "win"))]))
    assert found.first is not None and found.warnings() == ["only 1 prompt: the interval is wide, and rough"]


def test_without_a_verdict_there_is_no_rate():
    found = win_rate(of("invalid", "invalid"))
    assert (found.rate, found.by_prompt, found.if_lost, found.if_won) == (None, None, None, None)
    assert found.warnings() == ["no pair has a verdict: there is no win rate"]
    assert win_rate([]).invalid == 0


def test_groups_that_nobody_voted_on_are_counted():
    groups = [group(0, vote("win")), group(1)]
    assert unjudged(groups) == 1
    found = win_rate(outcomes(groups), unjudged=1)
    assert "pairs that nobody voted on, and that are not in the rate: 1" in found.warnings()
    assert found.as_dict()["unjudged"] == 1


def test_the_numbers_as_json():
    made = win_rate([Outcome("p", "a", "win", (1, 1), False, True, (1, 0))]).as_dict()
    assert made["rate"] == {"value": 1.0, "low": pytest.approx(0.2065, abs=1e-4), "high": 1.0, "n": 1}
    assert made["by_prompt"] == {"value": 1.0, "low": None, "high": None, "n": 1, "clusters": 1}


VERDICTS = st.sampled_from(["left", "right", "tie", "invalid"])


@given(st.lists(st.lists(st.tuples(VERDICTS, st.sampled_from([0, 1, None])), max_size=3), min_size=1, max_size=12))
def test_seen_from_the_other_side_wins_are_losses(said):
    def seen(turned):
        return [
            group(number, *(Vote(*((1, 0) if (order == 1) != turned else (0, 1)), verdict, "judge", order)
                            for verdict, order in votes))
            for number, votes in enumerate(said)
        ]  # fmt: skip

    there, back = win_rate(outcomes(seen(False)), draws=50), win_rate(outcomes(seen(True)), draws=50)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert (there.ties, there.invalid, there.inconsistent) == (back.ties, back.invalid, back.inconsistent)
    assert there.judged + there.invalid == sum(bool(votes) for votes in said)
    if there.rate is not None:
        assert there.rate.value == pytest.approx(1 - back.rate.value)
        assert there.if_lost == pytest.approx(1 - back.if_won)
        assert there.if_lost <= there.rate.value <= there.if_won
