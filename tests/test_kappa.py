"""Agreement beyond chance: tables worked out by hand, what must not change a coefficient, where there is none."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.kappa import alpha, alpha_sums, cohen, fleiss, fleiss_sums

COUNTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12).map(np.array)


def alpha_of(counts):
    return float(alpha(alpha_sums(np.asarray(counts, dtype=float)).sum(axis=0)))


def fleiss_of(counts):
    return float(fleiss(fleiss_sums(np.asarray(counts, dtype=float)).sum(axis=0)))


def same(one, other):
    return (math.isnan(one) and math.isnan(other)) or one == pytest.approx(other, abs=1e-12)


def test_cohen_of_a_table_by_hand():
    # 50 items: both yes 20, both no 15; p_o = 0.7, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5
    assert float(cohen(np.array([[20.0, 5.0], [10.0, 15.0]]))) == pytest.approx(0.4)


def test_cohen_of_many_tables_at_once():
    tables = np.array(
        [[[20.0, 5.0], [10.0, 15.0]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 0.0]]]
    )
    assert cohen(tables)[:3] == pytest.approx([0.4, 1.0, -1.0]) and math.isnan(cohen(tables)[3])


def test_fleiss_of_his_own_example():
    """Ten items, fourteen raters, five labels, as worked out in his paper: 0.210."""
    counts = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1], [7, 7, 0, 0, 0],
              [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]  # fmt: skip
    assert fleiss_of(counts) == pytest.approx(0.210, abs=5e-4)


def test_alpha_of_two_observers_by_hand():
    # ten items, yes or no: six items 00, one 11, two 01, one 10. n = 20, zeros 15, ones 5;
    # D_o = 6 / 20, D_e = 2 * 15 * 5 / (20 * 19), so alpha = 1 - 0.3 * 380 / 150
    counts = [[2, 0]] * 6 + [[0, 2]] + [[1, 1]] * 3
    assert alpha_of(counts) == pytest.approx(1 - 0.3 * 380 / 150)


def test_alpha_of_missing_votes():
    """Four observers, twelve items, gaps, five labels: his own example, 0.743."""
    rows = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
    counts = np.zeros((12, 5))
    for row in rows:
        for item, label in enumerate(row.split()):
            if label != ".":
                counts[item, int(label) - 1] += 1
    assert alpha_of(counts) == pytest.approx(0.743, abs=5e-4)


@given(COUNTS)
def test_an_item_of_one_vote_changes_no_alpha(counts):
    lone = np.vstack([counts, [[1, 0, 0], [0, 0, 1], [0, 0, 0]]])
    assert same(alpha_of(lone), alpha_of(counts))


@given(COUNTS, st.sampled_from(list(permutations(range(3)))), st.randoms())
def test_names_of_labels_and_order_of_items_change_nothing(counts, names, random):
    order = list(range(len(counts)))
    random.shuffle(order)
    assert same(alpha_of(counts[order][:, names]), alpha_of(counts))
    square = np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 1.0], [0.0, 2.0, 5.0]]) + counts[0]
    assert float(cohen(square[np.ix_(names, names)])) == pytest.approx(float(cohen(square)))
    assert float(cohen(square.T)) == pytest.approx(float(cohen(square)))


@given(
    st.lists(st.integers(0, 2), min_size=2, max_size=9).filter(lambda labels: len(set(labels)) > 1), st.integers(2, 5)
)
def test_where_all_agree_all_are_one(labels, votes):
    counts = np.zeros((len(labels), 3))
    counts[np.arange(len(labels)), labels] = votes
    assert alpha_of(counts) == pytest.approx(1) and fleiss_of(counts) == pytest.approx(1)
    assert float(cohen(np.diag(counts.sum(axis=0)))) == pytest.approx(1)


@pytest.mark.parametrize("counts", [[[2, 0, 0]] * 3, [[1, 0, 0], [0, 1, 0]], [[0, 0, 0]]])
def test_one_label_or_lone_votes_have_no_coefficient(counts):
    assert math.isnan(alpha_of(counts))


def test_fleiss_and_alpha_meet_where_items_are_many():
    """With n votes, 1 - alpha = (1 - fleiss) * (n - 1) / n: expected disagreement is without replacement in alpha."""
    counts = np.random.default_rng(0).multinomial(3, [0.5, 0.3, 0.2], size=40)
    n = counts.sum()
    assert 1 - alpha_of(counts) == pytest.approx((1 - fleiss_of(counts)) * (n - 1) / n)


def test_alpha_is_that_of_crowd_kit():
    """Random votes with gaps, through the library of which this is the special case that we need."""
    data = pytest.importorskip("crowdkit.metrics.data", reason="crowd-kit is not installed")
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(1)
    for _ in range(5):
        counts = random.integers(0, 3, size=(20, 3))
        rows = [
            {"task": item, "worker": f"{item}-{label}-{vote}", "label": label}
            for item, row in enumerate(counts)
            for label, number in enumerate(row)
            for vote in range(number)
        ]
        assert data.alpha_krippendorff(pandas.DataFrame(rows)) == pytest.approx(alpha_of(counts))
