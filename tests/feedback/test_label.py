"""Verdicts of a judge that errs have the probabilities of Bradley and Terry; those of a rule never err."""

import math
from random import Random

import pytest

from prefsmith.feedback.label import bradley_terry, by_rule

VALUE = {"a": 0.0, "b": 1.0, "c": 3.0, "d": 1.0}.__getitem__


def test_every_pair_of_different_answers_is_judged_once():
    judged = bradley_terry("p", ["a", "b", "c", "b"], VALUE, Random(0))
    assert sorted(tuple(sorted((each.chosen, each.rejected))) for each in judged) == [
        ("a", "b"), ("a", "b"), ("a", "c"), ("b", "c"), ("b", "c"),
    ]  # fmt: skip
    assert all(each.gap == VALUE(each.chosen) - VALUE(each.rejected) and each.prompt == "p" for each in judged)
    assert judged[0].as_row().keys() == {"prompt", "chosen", "rejected"}


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("c", "a"), ("b", "d")])
def test_verdicts_have_their_probability(first, second):
    random, n = Random(1), 20_000
    won = sum(bradley_terry("p", [first, second], VALUE, random)[0].chosen == first for _ in range(n))
    expected = 1 / (1 + math.exp(VALUE(second) - VALUE(first)))
    assert won / n == pytest.approx(expected, abs=4 * (expected * (1 - expected) / n) ** 0.5)


def test_a_rule_orders_pairs_the_clearest_first_and_leaves_ties_out():
    judged = by_rule("p", ["a", "b", "c", "d"], VALUE)
    assert [(each.chosen, each.rejected, each.gap) for each in judged] == [
        ("c", "a", 3.0), ("c", "b", 2.0), ("c", "d", 2.0), ("b", "a", 1.0), ("d", "a", 1.0),
    ]  # fmt: skip
    assert len(by_rule("p", ["a", "b", "c", "d"], VALUE, most=2)) == 2
    assert by_rule("p", ["b", "d"], VALUE) == []
