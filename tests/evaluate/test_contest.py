"""Several methods against one baseline: standings, what lies between two, and how many prompts it takes."""

import pytest

from prefsmith.evaluate.contest import between, standings
from prefsmith.evaluate.paired import sign_test
from prefsmith.evaluate.proportions import trials_to_leave
from prefsmith.records import Completion, Group, Vote
from prefsmith.stats import wilson


def groups(said, *, longer=0):
    """One pair to a prompt; `w`, `l`, `t`, `i` for what the judge says of the method."""
    verdicts = {"w": "left", "l": "right", "t": "tie", "i": "invalid"}
    return [
        Group(
            str(number),
            f"rows:{number + 1}",
            f"prompt {number}",
            (Completion("ours" + "." * (longer + number % 5)), Completion("theirs" + "." * (number % 3))),
            votes=(Vote(0, 1, verdicts[letter], "judge"),),
        )
        for number, letter in enumerate(said)
    ]


def test_each_method_has_a_standing_at_each_temperature():
    judged = {("a", 0.0): groups("wwwl" * 10), ("a", 1.0): groups("wlll" * 10), ("b", 0.0): groups("wwll" * 10)}
    found = standings(judged)
    assert [(each.method, each.temperature) for each in found] == list(judged)
    assert [each.rate.rate for each in found] == [wilson(30, 40), wilson(10, 40), wilson(20, 40)]
    assert [each.needed for each in found] == [25, 25, None]  # ((1.96 + 0.84) 0.4385 / 0.25)^2 = 24.1


def test_ties_make_a_rate_sure_with_fewer_prompts():
    """The same rate, of wins and losses and of wins and ties."""
    found = standings({("a", 0.0): groups("wwwl" * 20), ("b", 0.0): groups("wt" * 40), ("c", 0.0): groups("w" * 30)})
    assert found[0].rate.rate.value == found[1].rate.rate.value == 0.75
    assert found[1].needed < found[0].needed
    assert found[2].needed == trials_to_leave(1.0)  # nothing scatters


def test_difficulties_need_two_methods_at_one_temperature():
    found = standings(
        {("a", 0.0): groups("wwwl" * 10), ("a", 1.0): groups("wlll" * 10), ("b", 0.0): groups("wwll" * 10)}
    )
    assert [each.equal_length.difficulty is None for each in found] == [False, True, False]


def test_equal_answers_are_counted():
    same = [Group("0", "r:1", "p", (Completion("x"), Completion("x")), votes=(Vote(0, 1, "tie", "judge"),))]
    (found,) = standings({("a", None): same})
    assert (found.identical, found.pairs, found.rate.ties) == (1, 1, 1)


def test_two_methods_are_compared_on_prompts_that_both_have_a_verdict_on():
    judged = {("a", 0.0): groups("wwwwwwwwti"), ("b", 0.0): groups("illlwwwwll")}
    (found,) = between(judged)
    assert (found.first, found.second, found.prompts) == ("a", "b", 8)
    assert found.difference.value == pytest.approx((3 + 0.5) / 8)
    assert found.test == sign_test(4, 0)
    assert found.difference.low > 0 and found.needed is not None


def test_methods_at_different_temperatures_are_not_compared():
    assert between({("a", 0.0): groups("wl"), ("b", 1.0): groups("wl"), ("c", None): groups("wl")}) == []
    assert len(between({("a", 0.0): groups("wl"), ("b", 0.0): groups("wl"), ("c", 0.0): groups("wl")})) == 3


def test_equals_take_no_number_of_prompts():
    (found,) = between({("a", 0.0): groups("wlwl"), ("b", 0.0): groups("wlwl")})
    assert (found.difference.value, found.test.p, found.needed) == (0.0, 1.0, None)


def test_a_method_without_a_verdict_stands_there_without_a_rate():
    found = standings({("a", 0.0): groups("iii"), ("b", 0.0): groups("wlw")})
    assert found[0].rate.rate is None and found[0].equal_length is None and found[0].needed is None
    assert found[1].equal_length.difficulty is None  # one side alone has verdicts
    assert between({("a", 0.0): groups("iii"), ("b", 0.0): groups("wlw")}) == []


def test_the_same_seed_gives_the_same_numbers():
    judged = {("a", 0.0): groups("wwwl" * 10, longer=3), ("b", 0.0): groups("wwll" * 10)}
    assert [each.as_dict() for each in standings(judged, seed=3)] == [
        each.as_dict() for each in standings(judged, seed=3)
    ]
    assert standings(judged, seed=3) != standings(judged, seed=4)
