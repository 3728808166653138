"""Intervals by drawing clusters: against closed forms and against drawing values, and where nothing is known."""

import math
from itertools import product

import numpy as np
import pytest

from prefsmith.evaluate import bootstrap
from prefsmith.evaluate.bootstrap import average, clustered, ratio, ratio_difference
from prefsmith.stats import mean


def test_of_independent_values_it_is_the_normal_interval():
    values = np.random.default_rng(3).normal(size=400)
    found, known = clustered(values, range(400)), mean(values.tolist())
    assert found.value == pytest.approx(known.value)
    assert found.low == pytest.approx(known.low, abs=0.012) and found.high == pytest.approx(known.high, abs=0.012)
    assert (found.n, found.clusters) == (400, 400)


def test_answers_to_one_prompt_that_agree_count_once():
    values = np.random.default_rng(3).normal(size=200)
    one_each = clustered(values, range(200))
    four_each = clustered(np.repeat(values, 4), np.repeat(np.arange(200), 4).tolist())
    assert (four_each.low, four_each.high) == (pytest.approx(one_each.low), pytest.approx(one_each.high))
    assert (four_each.n, four_each.clusters) == (800, 200)


def test_two_clusters_by_hand():
    """Draws are both, one twice or the other twice: the mean is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4."""
    found = clustered([0.0, 1.0], ["a", "b"])
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    narrow = clustered([0.0, 1.0], ["a", "b"], level=0.4)  # between the percentiles 30 and 70
    assert (narrow.low, narrow.high) == (0.5, 0.5)


def test_clusters_of_different_size_bring_all_their_values():
    found = clustered([0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"], level=0.4)
    assert (found.value, found.low, found.high) == (0.75, 0.75, 0.75)


def test_three_clusters_against_every_draw_there_is():
    values = [0.0, 1.0, 5.0]
    every = [sum(drawn) / 3 for drawn in product(values, repeat=3)]
    found = clustered(values, range(3), draws=20_000, level=0.6)
    assert (found.low, found.high) == (
        pytest.approx(np.quantile(every, 0.2)),
        pytest.approx(np.quantile(every, 0.8)),
    )


def test_a_rate_among_valid_values():
    found = clustered([[1, 1], [0, 1], [0, 0], [0, 0]], range(4), statistic=ratio)
    assert found.value == 0.5 and (found.low, found.high) == (0.0, 1.0)  # draws without a valid value are left out
    nothing = clustered([[0, 0], [0, 0]], range(2), statistic=ratio)
    assert math.isnan(nothing.value) and math.isnan(nothing.low)
    assert nothing.as_dict() == {"value": None, "low": None, "high": None, "n": 2, "clusters": 2}


def test_a_paired_difference_is_surer_than_two_rates():
    hard = np.random.default_rng(0).random(300) < 0.5  # both sides answer easy prompts and neither a hard one
    first, second = (~hard).astype(float), (~hard).astype(float)
    first[hard.nonzero()[0][:30]] = 1  # but for 30 that the first side answers too
    paired = clustered(
        np.column_stack([first, np.ones(300), second, np.ones(300)]), range(300), statistic=ratio_difference
    )
    alone = clustered(first, range(300))
    assert paired.value == pytest.approx(0.1)
    assert 0.06 < paired.low < paired.value < paired.high < 0.14
    assert alone.high - alone.low > 1.5 * (paired.high - paired.low)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(monkeypatch):
    values = np.random.default_rng(1).normal(size=50)
    first = clustered(values, range(50), seed=7)
    assert first == clustered(values, range(50), seed=7)
    assert first != clustered(values, range(50), seed=8)
    monkeypatch.setattr(bootstrap, "_CELLS", 50 * 333)  # blocks of draws are a matter of memory alone
    assert first == clustered(values, range(50), seed=7)


def test_one_cluster_shows_no_scatter():
    found = clustered([1.0, 3.0], ["a", "a"])
    assert found.value == 2.0 and math.isnan(found.low) and math.isnan(found.high)
    assert str(found) == "2.000 [unknown], n=2 in 1"
    assert str(clustered([1.0, 1.0], ["a", "b"])) == "1.000 [1.000, 1.000], n=2 in 2"


@pytest.mark.parametrize(("values", "clusters"), [([], []), ([1.0, 2.0], ["a"])])
def test_no_values_or_not_one_cluster_for_each_is_refused(values, clusters):
    with pytest.raises(ValueError, match="one for each"):
        clustered(values, clusters)


def test_it_covers_the_truth_about_nineteen_times_of_twenty():
    generator = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), 3).tolist()
    hits = 0
    for seed in range(300):
        shared = np.repeat(generator.normal(size=60), 3)  # what answers to one prompt have in common
        found = clustered(shared + 0.3 * generator.normal(size=180), clusters, draws=400, seed=seed)
        hits += found.low <= 0.0 <= found.high
    assert 0.90 <= hits / 300 <= 0.98


def test_the_mean_is_the_first_column():
    assert average(np.array([[1.0, 9.0], [3.0, 9.0]]), np.array([[1.0, 3.0]])).tolist() == [2.5]
