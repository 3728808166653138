"""Tensors worked out by hand, and how groups are shared out over micro-batches."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import encoded_groups

from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.data.views import View
from prefsmith.records import Comparison, Completion, Group, Ranking, Rating
from prefsmith.types import Preferences, Rankings, Ratings, join_labels


def group(line, prompt, completions, view, compared=(), mismatched=()):
    texts = tuple(Completion(str(place)) for place in range(len(completions)))
    whole = Group(f"g{line}", f"rows:{line}", "q", texts)
    return EncodedGroup(whole, prompt, completions, view, compared, len(prompt), mismatched)


SURE, SOFT = Comparison(0, 1), Comparison(1, 0, prob=0.75, weight=2.0, score_gap=1.5)
BOTH = (View(comparisons=(SURE,)), View(ratings=(Rating(0, 1.0),)))
TURNED = (View(comparisons=(SOFT, SURE)), View(ratings=(Rating(2, 0.0, 4.0), Rating(1, 1.0))))
FIRST = group(
    3, (1, 10), (EncodedCompletion((11, 12, 2), unscored=1), EncodedCompletion((13, 2))), BOTH, (SURE,),
    mismatched=(EncodedCompletion((14, 15, 2), unscored=2),),
)  # fmt: skip
SECOND = group(
    5, (1,), (EncodedCompletion((20, 2)), EncodedCompletion((21,)), EncodedCompletion((22, 2))), TURNED, (SOFT, SURE),
    mismatched=(EncodedCompletion((23, 2)),),
)  # fmt: skip


def test_two_groups_worked_out_by_hand():
    batch = pack([FIRST, SECOND])
    assert batch.ids.tolist() == [1, 10, 11, 12, 2, 13, 2, 14, 15, 2, 1, 20, 2, 21, 22, 2, 23, 2]
    assert batch.scored.int().tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1]
    assert batch.prompts.tolist() == [[0, 2], [10, 11]]
    own, other = [[0, 2, 5], [0, 5, 7], [0, 7, 10]], [[1, 11, 13], [1, 13, 14], [1, 14, 16], [1, 16, 18]]
    assert batch.completions.tolist() == own + other
    assert batch.scored_per_seq().tolist() == [2, 2, 1, 2, 1, 2, 2]
    assert batch.sources == ("rows:3", "rows:5")

    pairs, ratings = batch.labels
    assert isinstance(pairs, Preferences) and isinstance(ratings, Ratings)
    assert (pairs.chosen.tolist(), pairs.rejected.tolist()) == ([0, 4, 3], [1, 3, 4])
    assert (pairs.prob.tolist(), pairs.weight.tolist()) == ([1.0, 0.75, 1.0], [1.0, 2.0, 1.0])
    assert [math.isnan(gap) for gap in pairs.score_gap] == [True, False, True] and pairs.score_gap[1] == 1.5
    assert (ratings.seq.tolist(), ratings.value.tolist()) == ([0, 5, 4], [1.0, 0.0, 1.0])
    assert (ratings.weight.tolist(), ratings.mismatched.tolist()) == ([1.0, 4.0, 1.0], [2, 6])
    assert (batch.compared.chosen.tolist(), batch.compared.rejected.tolist()) == ([0, 4, 3], [1, 3, 4])


def test_mismatched_answers_may_stay_behind():
    """The pass with gradient does not read them; the other indices close up."""
    batch = pack([FIRST, SECOND], mismatched=False)
    assert batch.ids.tolist() == [1, 10, 11, 12, 2, 13, 2, 1, 20, 2, 21, 22, 2]
    assert batch.completions.tolist() == [[0, 2, 5], [0, 5, 7], [1, 8, 10], [1, 10, 11], [1, 11, 13]]
    assert (batch.labels[0].chosen.tolist(), batch.labels[1].seq.tolist()) == ([0, 3, 2], [0, 4, 3])
    assert batch.labels[1].mismatched is None


def test_a_group_without_pairs_has_empty_comparisons():
    lone = group(1, (1,), (EncodedCompletion((5, 2)),), (View(ratings=(Rating(0, 1.0),)),))
    batch = pack([lone])
    assert len(batch.compared) == 0 and batch.compared.chosen.dtype == torch.int64
    assert batch.labels[0].seq.tolist() == [0] and batch.labels[0].mismatched is None


LISTED = group(
    7, (1,), tuple(EncodedCompletion((place, 2)) for place in (30, 31, 32)),
    (View(rankings=(Ranking((2, 0, 1), (0, 1, 1), (9.0, 4.0, 4.0), 2.0),)),), (Comparison(2, 0, weight=0.5),),
)  # fmt: skip
BARE = group(
    8, (1,), tuple(EncodedCompletion((place, 2)) for place in (40, 41, 42)),
    (View(rankings=(Ranking((1, 2), (0, 1)), Ranking((0, 2), (0, 0)))),),
)  # fmt: skip
UNLABELLED = group(9, (1,), (EncodedCompletion((50, 2)),) * 2, (View(of_kind="listwise"),))


def test_ranked_lists_worked_out_by_hand():
    batch = pack([UNLABELLED, LISTED, BARE])
    (lists,) = batch.labels
    assert isinstance(lists, Rankings) and len(lists) == 3
    assert lists.items.tolist() == [4, 2, 3, 6, 7, 5, 7] and lists.starts.tolist() == [0, 3, 5, 7]
    assert lists.tier.tolist() == [0, 1, 1, 0, 1, 0, 0] and lists.weight.tolist() == [2.0, 1.0, 1.0]
    assert lists.scores[:3].tolist() == [9.0, 4.0, 4.0] and lists.scores[3:].isnan().all()
    assert lists.owner().tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert (batch.compared.chosen.tolist(), batch.compared.rejected.tolist()) == ([4], [2])


@pytest.mark.parametrize(
    ("kind", "of", "whole"),
    [("pairwise", Preferences, FIRST.views[0]), ("unpaired", Ratings, FIRST.views[1]),
     ("listwise", Rankings, LISTED.views[0])],
)  # fmt: skip
def test_a_term_without_labels_keeps_its_kind(kind, of, whole):
    """A batch may hold none of a term's labels: they are empty, of the right kind, and join with others."""
    answers = (EncodedCompletion((5, 2)),) * 3
    none, some = (group(1, (1,), answers, (view,)) for view in (View(of_kind=kind), whole))
    empty = pack([none]).labels[0]
    assert isinstance(empty, of) and len(empty) == 0
    full = pack([some]).labels[0]
    joined = join_labels([empty, full, empty], [3, 3, 3])
    together = pack([none, some, none]).labels[0]
    assert isinstance(joined, of) and len(joined) == len(full) == len(together)
    for name in of.__slots__:
        first, second = getattr(joined, name), getattr(together, name)
        assert (first is None) == (second is None)
        if first is not None:
            assert first.dtype == second.dtype and torch.equal(first.nan_to_num(7), second.nan_to_num(7)), name
    assert len(join_labels([empty, empty], [3, 3])) == 0


def sized(*sizes):
    """Groups that take so many tokens: the prompt is one, one answer the rest."""
    view = (View(ratings=(Rating(0, 1.0),)),)
    return [group(line, (1,), (EncodedCompletion((2,) * (size - 1)),), view) for line, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "budget", "expected"),
    [
        ((5, 5, 5), 10, [[0, 1], [2]]),
        ((3, 8, 4, 6), 10, [[1], [2, 3], [0]]),
        ((4, 30, 4), 10, [[1], [0, 2]]),
        ((10, 2), 10, [[0], [1]]),
        ((2, 3, 2, 3), 100, [[0, 1, 2, 3]]),
    ],
    ids=["equal", "first that fits", "oversize alone", "budget exactly", "all"],
)
def test_plans_worked_out_by_hand(sizes, budget, expected):
    assert plan(sized(*sizes), budget) == expected


@given(st.lists(st.integers(2, 40), max_size=20), st.integers(1, 60))
def test_a_plan_keeps_its_budget_and_loses_nothing(sizes, budget):
    groups = sized(*sizes)
    made = plan(groups, budget)
    assert sorted(index for members in made for index in members) == list(range(len(groups)))
    totals = [sum(sizes[index] for index in members) for members in made]
    assert all(total <= budget or len(members) == 1 for total, members in zip(totals, made, strict=True))
    assert made == plan(groups, budget)


def test_a_plan_counts_each_prompt_once_and_the_mismatched_answers():
    groups = encoded_groups(6, completions=3)
    assert [each.tokens for each in groups] == [len(pack([each]).ids) for each in groups]
    assert FIRST.tokens == len(pack([FIRST]).ids) == 10 and FIRST.longest == 5
