"""Bias that has nothing to do with the answers: planted, and found again; and none found where none is."""

import random

import pytest
from judged import judgements

from prefsmith.evaluate.agreement import measure
from prefsmith.evaluate.agreement.figure import Gauge
from prefsmith.evaluate.agreement.position import sign_test

GAUGE = Gauge(draws=400)


def place_of(both, people=(), **more):
    return measure(judgements(people, both={"judge": both}, **more), GAUGE).whole.judges[0].position


def shown_first(rng, share):
    """Labels, in both orders, of a judge who names the first place with a probability, whatever stands there."""
    return "a" if rng.random() < share else "b", "b" if rng.random() < share else "a"


def test_a_judge_who_likes_the_first_place_is_found_out():
    rng = random.Random(0)
    place = place_of(["".join(each) for each in zip(*(shown_first(rng, 0.6) for _ in range(600)), strict=True)])
    assert place.rate.value == pytest.approx(0.6, abs=0.04) and place.rate.low > 0.5
    assert place.consistent.value == pytest.approx(2 * 0.6 * 0.4, abs=0.06)  # chance: a a or b b
    assert place.always_first > place.always_second and place.p_value < 1e-4


def test_a_judge_who_looks_at_the_answers_is_not():
    rng = random.Random(1)
    labels = "".join(rng.choice("ab") for _ in range(300))
    place = place_of([labels, labels], [labels])
    assert (place.rate.value, place.consistent.value, place.both_right.value) == (0.5, 1.0, 1.0)
    assert (place.always_first, place.always_second, place.p_value) == (0, 0, None)
    assert place.in_order.value == place.swapped.value == 1.0


def test_better_answers_that_stand_first_are_no_bias_of_both_orders():
    """Nine of ten times a is better: one presentation alone would look like a liking for the first place."""
    place = place_of(["a" * 90 + "b" * 10] * 2)
    assert place.rate.value == 0.5


def test_a_judge_who_saw_one_order_only_is_warned_of():
    found = measure(judgements([], both={"once": ["a" * 40, "." * 40], "twice": ["a" * 40] * 2}), GAUGE)
    (warning,) = (each for each in found.warnings if "both ways" in each)
    assert warning.endswith("stood first: once")


def test_both_orders_by_hand():
    # pairs: right both ways; first place both ways; second place both ways; tie both ways; invalid both ways; one way
    place = place_of(["aabt-a", "abat-."], ["aaataa"])
    assert (place.first_place, place.second_place) == (4, 3)
    assert (place.rate.hits, place.rate.n) == (4, 7)
    assert (place.consistent.hits, place.consistent.n) == (2, 5)  # the pair and the tie; twice nothing is no answer
    assert (place.always_first, place.always_second, place.p_value) == (1, 1, 1.0)
    assert (place.both_right.hits, place.both_right.n) == (2, 5)
    assert (place.in_order.hits, place.in_order.n) == (4, 6) and (place.swapped.hits, place.swapped.n) == (3, 5)


def test_votes_of_unknown_presentation_say_nothing_of_places():
    assert measure(judgements(["ab"], {"judge": "ab"}), GAUGE).whole.judges[0].position is None


def test_the_two_votes_on_a_pair_are_not_independent():
    judge = measure(judgements(["ab" * 20], both={"judge": ["ab" * 15 + "ba" * 5] * 2}), GAUGE).whole.judges[0]
    assert (judge.majority.n, judge.majority.prompts, judge.majority.method) == (80, 40, "bootstrap")
    assert judge.majority.high - judge.majority.low > 1.2 * (judge.majority.alone[1] - judge.majority.alone[0])


@pytest.mark.parametrize(
    ("one", "other", "p"), [(0, 0, None), (5, 5, 1.0), (5, 0, 2 / 32), (9, 1, 2 * 11 / 1024), (1, 9, 2 * 11 / 1024)]
)
def test_sign_test_by_hand(one, other, p):
    assert sign_test(one, other) == (p if p is None else pytest.approx(p))


def test_lengths_by_hand():
    lengths = [(9, 2), (2, 9), (5, 5), (7, None), (1, 2), (3, 8)]
    found = measure(judgements(["aaaabt"], {"judge": "bbabat"}, lengths=lengths), GAUGE)
    people, judge = found.whole.length, found.whole.judges[0].length
    assert (people.longer, people.shorter, people.equal, people.unknown) == (2, 1, 1, 1)
    assert (judge.longer, judge.shorter, judge.equal, judge.unknown) == (1, 2, 1, 1)
    assert (people.rate.hits, people.rate.n) == (2, 3)
    facts = found.whole.lengths
    assert (facts.answers, facts.unknown, facts.longest, facts.median) == (11, 1, 9, 5)


def test_a_judge_who_likes_length_is_found_out():
    rng = random.Random(2)
    lengths = [(rng.randint(1, 50), rng.randint(51, 99)) for _ in range(200)]
    truth = "".join(rng.choice("ab") for _ in range(200))
    found = measure(judgements([truth], {"judge": "b" * 190 + "a" * 10}, lengths=lengths), GAUGE)
    people, judge = found.whole.length.rate, found.whole.judges[0].length.rate
    assert judge.value == 0.95 and judge.low > people.high
