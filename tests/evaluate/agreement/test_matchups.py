"""Method against method: the table of a paper from its counts, orders of names, ties, gaps between rows."""

import numpy as np
import pytest
from judged import judgements

from prefsmith.evaluate.agreement import measure
from prefsmith.evaluate.agreement.figure import Gauge
from prefsmith.evaluate.agreement.matchups import z_between

GAUGE = Gauge(draws=50)


def test_win_rates_of_the_dpo_paper_from_their_counts():
    """DPO 158 and PPO 146 wins of 256 against the reference summaries: 61.7 +- 3.0, 57.0 +- 3.1, 1.07 errors apart."""
    said = "a" * 158 + "b" * 98 + "a" * 146 + "b" * 110
    methods = [("DPO", "reference")] * 256 + [("PPO", "reference")] * 256
    better, worse = measure(judgements([], {"gpt-4": said}, methods=methods), GAUGE).matchups
    assert [(each.method, each.against, each.pairs) for each in (better, worse)] == [
        ("DPO", "reference", 256),
        ("PPO", "reference", 256),
    ]
    rates = [each.judges[0] for each in (better, worse)]
    assert [round(100 * rate.win_rate.value, 1) for rate in rates] == [61.7, 57.0]
    errors = [100 * (rate.win_rate.high - rate.win_rate.low) / 2 / 1.959964 for rate in rates]
    assert [round(error, 1) for error in errors] == [3.0, 3.1]
    assert round(rates[0].z_to_next, 2) == 1.07 and rates[1].z_to_next is None


def test_the_human_study_has_a_row_for_each_method_and_each_judge():
    """Votes of two people where two were asked, one where one was: agreement between people is of the former only."""
    methods = [("DPO", "PPO")] * 4 + [("SFT", "PPO")] * 2
    found = measure(
        judgements(["aaabbb", "aab..."[:6]], {"simple": "aabbba", "concise": "aaaabb"}, methods=methods), GAUGE
    )
    dpo, sft = found.matchups
    assert (dpo.method, dpo.against, sft.method) == ("DPO", "PPO", "SFT")
    assert (dpo.people.wins, dpo.people.losses, dpo.people.win_rate.value) == (5, 2, pytest.approx(5 / 7))
    assert (dpo.people.agreement.hits, dpo.people.agreement.n) == (2, 3) and sft.people.agreement.value is None
    simple, concise = dpo.judges
    assert (simple.name, simple.wins, simple.win_rate.value) == ("simple", 2, 0.5)
    assert (simple.agreement.hits, simple.agreement.n) == (6, 7) and (concise.agreement.hits, concise.agreement.n) == (
        5,
        7,
    )
    assert dpo.majority == {"wins": 2, "losses": 1, "ties": 0, "none": 1}


def test_the_same_two_methods_the_other_way_round():
    one = measure(judgements(["abta"], {"judge": "abt-"}, methods=[("x", "y")] * 4), GAUGE)
    turned = measure(judgements(["bata"], {"judge": "bat-"}, methods=[("y", "x")] * 3 + [("x", "y")]), GAUGE)
    assert one.matchups == turned.matchups
    judge = one.matchups[0].judges[0]
    assert (judge.wins, judge.losses, judge.ties, judge.invalid, judge.win_rate.value) == (1, 1, 1, 1, 0.5)


def test_the_common_opponent_is_the_one_that_wins_are_counted_against():
    methods = [("base", "b"), ("a", "base"), ("c", "base")]
    found = measure(judgements(["aab"], methods=methods), GAUGE)
    assert [(each.method, each.against) for each in found.matchups] == [("a", "base"), ("b", "base"), ("c", "base")]
    assert [each.people.win_rate.value for each in found.matchups] == [1.0, 0.0, 0.0]


def test_three_people_on_one_prompt_do_not_make_three_votes_of_evidence():
    """Nine pairs of one winner: with all three people, errors are as with one of them."""
    said, methods = "aab" * 6 + "abb" * 6, [("x", "z")] * 18 + [("y", "z")] * 18
    one, three = (measure(judgements([said] * people, methods=methods), Gauge(draws=2000)) for people in (1, 3))
    assert three.matchups[0].people.z_to_next == pytest.approx(one.matchups[0].people.z_to_next, rel=0.25)


def test_gaps_without_an_interval_are_not_known():
    figure = GAUGE.share([1.0, 0.0], np.array([0, 0]))
    assert figure.low is None and z_between(figure, figure) is None


def test_no_methods_no_table():
    assert measure(judgements(["ab"]), GAUGE).matchups == []


def test_a_gap_is_between_methods_of_one_opponent():
    methods = [("a", "p"), ("b", "p"), ("c", "q"), ("d", "q")]
    found = measure(judgements(["aabb" * 5], methods=methods * 5), GAUGE).matchups
    assert [(each.method, each.against) for each in found] == [("a", "p"), ("b", "p"), ("c", "q"), ("d", "q")]
    assert [each.people.z_to_next is None for each in found] == [False, True, False, True]
