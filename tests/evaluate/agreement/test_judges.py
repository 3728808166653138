"""Judges beside people: planted ones whose agreement is known in closed form, and small ones counted by hand."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import judgements

from prefsmith.evaluate.agreement import measure
from prefsmith.evaluate.agreement.ballots import ballots
from prefsmith.evaluate.agreement.figure import Gauge
from prefsmith.stats import wilson

GAUGE = Gauge(draws=200)


def judge_of(found, name="judge"):
    return next(each for each in found.whole.judges if each.name == name)


def confused(truth, confusion, seed):
    """Labels of a judge that says k where the truth is c with probability confusion[c][k]."""
    rng = random.Random(seed)
    return "".join(rng.choices("abt-", confusion[label])[0] for label in truth)


PLANTED = {
    "good": {"a": (0.85, 0.05, 0.08, 0.02), "b": (0.1, 0.8, 0.1, 0.0), "t": (0.2, 0.2, 0.6, 0.0)},
    "poor": {"a": (0.5, 0.3, 0.15, 0.05), "b": (0.35, 0.45, 0.2, 0.0), "t": (0.4, 0.4, 0.1, 0.1)},
}
SHARES = {"a": 0.45, "b": 0.35, "t": 0.2}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_judges_have_the_agreement_of_their_confusion(name):
    """Accuracy, kappa and win rate follow from the confusion; 20,000 pairs are within four standard errors."""
    confusion, n = PLANTED[name], 20_000
    truth = "".join(random.Random(7).choices(list(SHARES), list(SHARES.values()), k=n))
    found = measure(
        judgements([truth], {"judge": confused(truth, confusion, 11)}, methods=[("x", "y")] * n), Gauge(draws=2)
    )
    judge = judge_of(found)
    joint = {(c, k): SHARES[c] * confusion[c][place] for c in SHARES for place, k in enumerate("abt-")}
    accuracy = sum(joint[c, c] for c in SHARES)
    said = {k: sum(joint[c, k] for c in SHARES) for k in "abt-"}
    chance = sum(SHARES[c] * said[c] for c in SHARES)
    plain = sum(joint[c, k] for c in "ab" for k in "ab")
    error = 4 * math.sqrt(0.25 / n)
    assert judge.majority.value == pytest.approx(accuracy, abs=error) and judge.majority.n == n
    assert judge.majority_without_ties.value == pytest.approx(
        (joint["a", "a"] + joint["b", "b"]) / plain, abs=2 * error
    )
    assert judge.kappa.value == pytest.approx((accuracy - chance) / (1 - chance), abs=2 * error)
    rate = found.matchups[0].judges[0]
    assert rate.win_rate.value == pytest.approx((said["a"] + said["t"] / 2) / (1 - said["-"]), abs=error)
    assert rate.invalid == judge.votes["invalid"] and rate.wins + rate.losses + rate.ties + rate.invalid == n


def test_the_interval_is_wilsons_where_every_prompt_stands_once():
    judge = judge_of(measure(judgements(["aabbaabb"], {"judge": "aabbaaba"}), GAUGE))
    expected = wilson(7, 8)
    assert (judge.majority.low, judge.majority.high, judge.majority.method) == (expected.low, expected.high, "wilson")


def test_rows_that_repeat_a_prompt_make_no_interval_shorter():
    """The same 40 pairs, ten times: a tenth of the variance as if they were independent, and none of it is real."""
    rng = random.Random(3)
    truth = "".join(rng.choice("ab") for _ in range(40))
    said = confused(truth, {"a": (0.7, 0.3, 0, 0), "b": (0.3, 0.7, 0, 0)}, 5)
    prompts = [f"prompt {place % 40}" for place in range(400)]
    once = judge_of(measure(judgements([truth], {"judge": said}), GAUGE)).majority
    often = judge_of(measure(judgements([truth * 10], {"judge": said * 10}, prompts=prompts), GAUGE)).majority
    assert often.value == once.value and (often.n, often.prompts, often.method) == (400, 40, "bootstrap")
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.25)
    assert often.alone[1] - often.alone[0] < 0.4 * (often.high - often.low)


def test_a_judge_by_hand():
    # majority: a b t a; the judge says a a t and nothing
    judge = judge_of(measure(judgements(["abta", "abta"], {"judge": "aat-"}), GAUGE))
    assert (judge.majority.hits, judge.majority.n) == (2, 4)
    assert (judge.majority_without_ties.hits, judge.majority_without_ties.n) == (1, 2)
    assert (judge.single.hits, judge.single.n) == (4, 8)
    assert (judge.single_without_ties.hits, judge.single_without_ties.n) == (2, 4)
    assert judge.votes == {"first": 2, "second": 0, "tie": 1, "invalid": 1} and judge.pairs == 4
    assert [(each.name, each.agreement.hits, each.agreement.n) for each in judge.people] == [
        ("person0", 2, 4),
        ("person1", 2, 4),
    ]


def test_pairs_without_a_majority_are_left_out_of_it_and_not_of_single_votes():
    judge = judge_of(measure(judgements(["ab", "bb"], {"judge": "ab"}), GAUGE))
    assert (judge.majority.hits, judge.majority.n, judge.single.hits, judge.single.n) == (1, 1, 3, 4)


def test_a_judge_of_pairs_that_nobody_else_judged():
    judge = judge_of(measure(judgements(["a."], {"judge": ".b"}), GAUGE))
    for figure in (judge.majority, judge.majority_without_ties, judge.single, judge.kappa):
        assert figure.value is None and figure.why and figure.n == 0
    assert judge.pairs == 1


def test_judges_without_people_stand_beside_each_other():
    found = measure(judgements([], {"one": "abab", "two": "abbb"}), GAUGE)
    (between,) = found.between_judges
    assert (between.agreement.hits, between.agreement.n) == (3, 4) and found.between_people == []
    assert any("nobody in this file is a person" in each for each in found.warnings)


def test_the_judge_that_agrees_most_is_first():
    found = measure(judgements(["abab"], {"worse": "abba", "best": "abab", "bad": "baba"}), GAUGE)
    assert [each.name for each in found.whole.judges] == ["best", "worse", "bad"]


@given(st.integers(1, 10).flatmap(lambda n: st.tuples(*[st.text("abt-.", min_size=n, max_size=n)] * 3)))
def test_counts_of_a_judge_add_up(texts):
    *people, said = texts
    found = measure(judgements(people, {"judge": said}), Gauge(draws=10))
    if said.strip("."):
        judge = judge_of(found)
        assert sum(judge.votes.values()) == judge.pairs == len(said.replace(".", ""))
        assert judge.majority.n <= judge.pairs and judge.majority_without_ties.n <= judge.majority.n
        length = judge.length
        assert (
            length.longer + length.shorter + length.equal + length.unknown
            == judge.votes["first"] + judge.votes["second"]
        )
    else:
        assert found.whole.judges == ()


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(*[st.text("abt-.", min_size=n, max_size=n)] * 3)))
def test_turning_every_pair_round_changes_no_agreement(texts):
    *people, said = texts
    turn = str.maketrans("ab", "ba")
    one = measure(judgements(people, {"judge": said}), Gauge(draws=10))
    other = measure(
        judgements([text.translate(turn) for text in people], {"judge": said.translate(turn)}), Gauge(draws=10)
    )
    for mine, theirs in zip(one.whole.judges, other.whole.judges, strict=True):
        for name in ("majority", "majority_without_ties", "single", "single_without_ties"):
            assert getattr(mine, name).hits == getattr(theirs, name).hits
            assert getattr(mine, name).n == getattr(theirs, name).n


def test_each_category_is_measured_by_itself():
    tags = [("kind=code",), ("kind=code",), ("kind=prose",), ()]
    found = measure(judgements(["abab"], {"judge": "abbb"}, tags=tags), GAUGE)
    parts = {each.value: each.part for each in found.categories}
    assert {
        name: (part.pairs, part.judges[0].majority.hits, part.judges[0].majority.n) for name, part in parts.items()
    } == {
        "code": (2, 2, 2),
        "prose": (1, 0, 1),
    }


def test_some_pairs_of_a_table_keep_their_own_votes():
    votes = ballots(judgements(["abt", "a.b"], {"judge": "ba."}, lengths=[(1, 2), (3, 4), (5, 6)]))
    part = votes.of_pairs(np.array([False, True, True]))
    assert part.pairs == 2 and part.counts().tolist() == [[0, 1, 0], [0, 1, 1]]
    assert part.lengths.tolist() == [[3, 4], [5, 6]] and part.voters(people=False) == votes.voters(people=False)


def test_the_same_seed_gives_the_same_intervals_and_another_one_others():
    given_votes = judgements(
        ["abbaabab" * 4, "abaaabab" * 4], {"judge": "aabaabab" * 4}, prompts=[n % 8 for n in range(32)]
    )
    one, same, other = (measure(given_votes, Gauge(seed=seed)).as_dict() for seed in (0, 0, 1))
    assert one == same and one != other


def test_a_judge_of_few_prompts_among_many_is_warned_of():
    found = measure(judgements(["ab" * 20], {"all": "ab" * 20, "some": "ab" * 5 + "." * 30}), GAUGE)
    assert [each for each in found.warnings if "fewer than 30" in each] == [
        "judges beside people on fewer than 30 prompts, so that their intervals are rough: some (10)"
    ]


def test_judges_of_different_pairs_are_not_ranked_without_a_word():
    found = measure(judgements(["ab" * 20], {"all": "ab" * 20, "some": "ab" * 15 + "." * 10}), GAUGE)
    assert any("from 30 to 40 of them" in each for each in found.warnings)


def test_no_verdict_does_not_agree_with_a_tie():
    found = measure(judgements(["tt", "tt"], {"judge": "-t"}, methods=[("x", "y")] * 2), GAUGE)
    judge, rate = judge_of(found), found.matchups[0].judges[0]
    assert (judge.single.hits, judge.single.n) == (rate.agreement.hits, rate.agreement.n) == (2, 4)


def test_two_prompts_that_are_all_alike_prove_no_certainty():
    judge = judge_of(measure(judgements(["aaaa"], {"judge": "aaaa"}, prompts=[0, 0, 1, 1]), GAUGE))
    assert judge.majority.value == 1 and judge.majority.low == pytest.approx(wilson(2, 2).low)


def test_some_pairs_keep_their_prompts():
    votes = ballots(judgements(["abab"], prompts=[0, 1, 2, 2]))
    assert votes.of_pairs(np.array([False, False, True, True])).prompts == 1
