"""Whole rankings: what Borda, Copeland, Kemeny and Bradley-Terry make of profiles that are known to part them."""

import numpy as np
import pytest
from feedback.aggregate.crowd import of_votes, profile

from prefsmith.errors import ConfigError
from prefsmith.feedback.aggregate.bradley_terry import bradley_terry
from prefsmith.feedback.aggregate.components import components
from prefsmith.feedback.aggregate.contest import Contest, borda, contest_of, copeland
from prefsmith.feedback.aggregate.crowd_bradley_terry import crowd_bradley_terry
from prefsmith.feedback.aggregate.cycles import triples
from prefsmith.feedback.aggregate.kemeny import MOST_ITEMS, kemeny
from prefsmith.feedback.aggregate.share import share

ROTATIONS = [(0, 1, 2), (1, 2, 0), (2, 0, 1)]


def contest(panel):
    ((items, pairs),) = components(panel)
    return contest_of(panel, items, pairs)


def test_a_cycle_of_three_rotations_is_a_tie_everywhere():
    panel = profile(ROTATIONS)
    made = contest(panel)
    assert np.allclose(bradley_terry(panel).strengths, 0, atol=1e-9)
    assert np.allclose(crowd_bradley_terry(panel).strengths, 0, atol=1e-9)
    assert copeland(made).tolist() == [0.5, 0.5, 0.5] and borda(made).tolist() == [0.5, 0.5, 0.5]
    found = kemeny(made)
    assert sorted(found.orders) == ROTATIONS and found.count == 3 and found.against == 4
    assert made.condorcet_winner() is None
    assert (triples(panel, share(panel).prob).cyclic, triples(panel, share(panel).prob).transitive) == (1, 0)


def test_sixty_of_abc_and_forty_of_bca_part_the_methods():
    """Condorcet, Copeland and Kemeny say A; Borda and the pooled Bradley-Terry say B."""
    panel = profile([(0, 1, 2)] * 60 + [(1, 2, 0)] * 40)
    made = contest(panel)
    assert made.condorcet_winner() == 0
    assert copeland(made).tolist() == [1.0, 0.5, 0.0] and borda(made).tolist() == pytest.approx([0.6, 0.7, 0.2])
    assert kemeny(made).orders == ((0, 1, 2),)
    strengths = bradley_terry(panel, pseudo=1e-9).strengths
    assert strengths == pytest.approx([0.31, 0.62, -0.93], abs=0.005)


def test_unanimity():
    panel = profile([(2, 0, 3, 1)] * 7)
    made = contest(panel)
    assert kemeny(made).orders == ((2, 0, 3, 1),) and kemeny(made).against == 0
    for scores in (borda(made), copeland(made), bradley_terry(panel).strengths, crowd_bradley_terry(panel).strengths):
        assert np.argsort(-scores).tolist() == [2, 0, 3, 1]
    found = triples(panel, share(panel).prob)
    assert (found.cyclic, found.transitive) == (0, 4)


def test_other_names_give_the_same_ranking():
    rng = np.random.default_rng(0)
    orders = [tuple(rng.permutation(5).tolist()) for _ in range(9)]
    name = [3, 1, 4, 0, 2]
    plain, renamed = profile(orders), profile([tuple(name[each] for each in order) for order in orders])
    for scores in (borda, copeland):
        assert scores(contest(renamed))[name] == pytest.approx(scores(contest(plain)))
    assert bradley_terry(renamed).strengths[name] == pytest.approx(bradley_terry(plain).strengths)
    first, second = kemeny(contest(plain)), kemeny(contest(renamed))
    assert sorted(tuple(name[each] for each in order) for order in first.orders) == sorted(second.orders)
    assert (first.count, first.against) == (second.count, second.against)


def test_kemeny_says_how_many_orders_are_best_and_where_it_ends():
    made = Contest(np.ones((4, 4)) - np.eye(4))
    assert kemeny(made).count == 24 and len(kemeny(made).orders) == 24
    with pytest.raises(ConfigError) as caught:
        kemeny(Contest(np.zeros((MOST_ITEMS + 1, MOST_ITEMS + 1))))
    assert caught.value.code == "label.kemeny"


def test_strengths_are_compared_only_where_votes_connect_them():
    """Two islands: each is its own contest, and each sums to zero."""
    panel = of_votes([(0, 0, 0), (0, 1, 0), (1, 0, 1), (2, 0, 2)], items=[(5, 1), (0, 3), (3, 2)])
    found = [(items.tolist(), pairs.tolist()) for items, pairs in components(panel)]
    assert found == [([0, 2, 3], [1, 2]), ([1, 5], [0])]
    strengths = bradley_terry(panel).strengths
    assert strengths[5] > 0 > strengths[1] and strengths[[1, 5]].sum() == pytest.approx(0)
    assert strengths[[0, 2, 3]].sum() == pytest.approx(0) and strengths[4] == 0


def test_an_item_without_votes_has_no_score():
    wins = np.zeros((3, 3))
    wins[0, 1] = 2
    made = Contest(wins)
    assert borda(made).tolist()[:2] == [1.0, 0.0] and np.isnan(borda(made)[2]) and np.isnan(copeland(made)[2])
    assert made.condorcet_winner() is None


def test_as_many_votes_are_half_a_win_for_copeland():
    wins = np.zeros((3, 3))
    wins[0, 1] = wins[1, 0] = 2
    wins[0, 2] = wins[1, 2] = 1
    assert copeland(Contest(wins)).tolist() == [0.75, 0.75, 0.0]
