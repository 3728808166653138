"""How far people agree: small crowds counted by hand, and what must not change a number."""

import random as python_random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import judgements

from prefsmith.evaluate.agreement import measure
from prefsmith.evaluate.agreement.figure import Gauge

GAUGE = Gauge(draws=50)
TEXTS = st.integers(1, 8).flatmap(lambda n: st.lists(st.text("abt.-", min_size=n, max_size=n), min_size=1, max_size=4))


def people_of(*texts, **more):
    return measure(judgements(texts, **more), GAUGE).whole.people


def test_three_people_by_hand():
    people = people_of("aabt", "abbt", "ab.a")
    # twos that agree: 3 of 3, 1 of 3 (b b), 1 of 1, 1 of 3 (t t); without ties the last pair has one vote left
    assert (people.agreement.hits, people.agreement.n) == (6, 10)
    assert (people.without_ties.hits, people.without_ties.n) == (5, 7)
    assert people.majority == {"first": 1, "second": 2, "tie": 1, "none": 0} and people.unanimous == 2
    assert people.votes_per_pair == {2: 1, 3: 3} and people.votes == {"first": 5, "second": 4, "tie": 2, "invalid": 0}


def test_a_majority_is_a_label_with_more_votes_than_every_other():
    people = people_of("aa", "bb", "ta", "t-")
    assert people.majority == {"first": 1, "second": 0, "tie": 1, "none": 0}
    assert people_of("a", "b").majority["none"] == 1
    assert people_of("a", "a", "b", "b", "t").majority["none"] == 1


def test_an_invalid_vote_is_counted_and_agrees_with_nothing():
    people = people_of("a-", "a-")
    assert people.votes["invalid"] == 2 and people.votes_per_pair == {0: 1, 2: 1}
    assert (people.agreement.hits, people.agreement.n, people.majority["none"]) == (1, 1, 1)


@pytest.mark.parametrize("texts", [["abt"], ["a.b", ".a."]])
def test_people_who_share_no_pair_have_no_agreement_and_it_is_said(texts):
    found = measure(judgements(texts), GAUGE)
    people = found.whole.people
    for figure in (people.agreement, people.without_ties, people.fleiss, people.alpha):
        assert figure.value is None and "no pair has votes of two people" in figure.why
    assert any("no pair has votes of two people" in each for each in found.warnings)


def test_where_all_agree_and_where_one_label_is_all():
    assert people_of("abab", "abab").alpha.value == pytest.approx(1)
    alike = people_of("aaaa", "aaaa")
    assert alike.agreement.value == 1 and alike.alpha.value is None and "one label" in alike.alpha.why
    assert alike.fleiss.value is None and 0.3 < alike.agreement.low < 1  # four prompts prove no certainty


def test_fleiss_is_for_as_many_votes_on_every_pair():
    assert people_of("ab", "ab").fleiss.value == pytest.approx(1)
    people = people_of("abb", "ab.", "aba")
    assert people.fleiss.value is None and "2, 3" in people.fleiss.why and people.alpha.value is not None


@given(TEXTS, st.integers(0, 99))
def test_names_order_and_sides_change_nothing(texts, seed):
    one = people_of(*texts)
    order = list(range(len(texts[0])))
    python_random.Random(seed).shuffle(order)
    turned = [text.translate(str.maketrans("ab", "ba")) for text in texts]
    for others in (
        people_of(*reversed(texts)),
        people_of(*("".join(text[place] for place in order) for text in texts)),
        people_of(*turned),
    ):
        for name in ("agreement", "without_ties", "fleiss", "alpha"):
            mine, theirs = getattr(one, name), getattr(others, name)
            assert mine.n == theirs.n and mine.value == (None if theirs.value is None else pytest.approx(theirs.value))
        assert (one.unanimous, one.majority["tie"], one.majority["none"]) == (
            others.unanimous,
            others.majority["tie"],
            others.majority["none"],
        )


@given(TEXTS)
def test_counts_add_up(texts):
    people = people_of(*texts)
    every = "".join(texts)
    assert people.votes == {name: every.count(label) for name, label in
                            (("first", "a"), ("second", "b"), ("tie", "t"), ("invalid", "-"))}  # fmt: skip
    assert sum(people.majority.values()) == sum(people.votes_per_pair.values()) == len(texts[0])
    assert sum(n * pairs for n, pairs in people.votes_per_pair.items()) == sum(map(every.count, "abt"))


def test_people_two_by_two():
    found = measure(judgements(["aabb", "abbb", "b..."]), GAUGE)
    first, second = found.between_people[:2]
    assert (first.first, first.second, first.agreement.hits, first.agreement.n) == ("person0", "person1", 3, 4)
    assert first.kappa.value == pytest.approx(0.5)  # p_o = 3/4, p_e = 1/2 * 1/4 + 1/2 * 3/4
    assert (second.agreement.hits, second.agreement.n) == (0, 1)
    assert measure(judgements(["ab", "ab"], named=False), GAUGE).between_people == []


def test_few_prompts_are_warned_of():
    few, many = judgements(["ab" * 14 + "a"] * 2), judgements(["ab" * 15] * 2)
    assert any("only 29 different prompts" in each for each in measure(few, GAUGE).warnings)
    assert measure(many, GAUGE).warnings == ["no annotator in this file is a judge"]
    assert any("only 1 different prompt:" in each for each in measure(judgements(["a", "a"]), GAUGE).warnings)


def test_invalid_votes_are_no_common_ground_of_two_people():
    (both,) = measure(judgements(["a--b", "a-ab"]), GAUGE).between_people
    assert (both.agreement.hits, both.agreement.n) == (2, 2)
