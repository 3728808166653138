"""Comparisons and lists of ranked completions: which, how heavy, and what ties become."""

from itertools import combinations, pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.data.ranking import as_list, compare, share_no_better, tiers_by
from prefsmith.data.views import Wanted, view
from prefsmith.records import Comparison, Completion, Group, Ranking

MODES = ("all", "best_worst", "adjacent")
SOFT, HARD = Wanted("soft", "pairwise"), Wanted("hard", "pairwise", soft_labels=False)
scores = st.lists(st.integers(0, 4).map(float), min_size=2, max_size=6)


def ranked(values, weight=1.0, *, scored=True):
    """Completions called after their place, with these scores."""
    completions = tuple(Completion(f"y{place}", score=value if scored else None) for place, value in enumerate(values))
    tiers = tiers_by(list(values), largest_first=True)
    return Group("g", "rows:7", "q", completions, ranking=tiers, weight=weight)


def named(group, comparisons):
    """Comparisons by the texts of their sides, a tie by both of them, so that places do not matter."""
    text = [completion.content for completion in group.completions]
    found = {}
    for each in comparisons:
        sides = (text[each.better], text[each.worse])
        key = (frozenset(sides) if each.prob == 0.5 else sides, each.prob)
        assert key not in found, "a pair is compared once"
        found[key] = (round(each.weight, 12), each.score_gap)
    return found


def test_a_list_worked_out_by_hand():
    """Scores 5, 1, 3 and twice the weight: three pairs of all, one of best and worst, two of neighbours."""
    group = ranked([5.0, 1.0, 3.0], weight=2.0)
    assert group.ranking == ((0,), (2,), (1,))
    assert compare(group, "all") == (
        Comparison(0, 2, 1.0, 2 / 3, 2.0), Comparison(0, 1, 1.0, 2 / 3, 4.0), Comparison(2, 1, 1.0, 2 / 3, 2.0)
    )  # fmt: skip
    assert compare(group, "best_worst") == (Comparison(0, 1, 1.0, 2.0, 4.0),)
    assert compare(group, "adjacent") == (Comparison(0, 2, 1.0, 1.0, 2.0), Comparison(2, 1, 1.0, 1.0, 2.0))
    assert as_list(group) == Ranking((0, 2, 1), (0, 1, 2), (5.0, 3.0, 1.0), 2.0)


def test_ties_worked_out_by_hand():
    """The two best are tied: with ties there are three comparisons, without them two, and they weigh one together."""
    group = ranked([4.0, 4.0, 1.0])
    better = {(("y0", "y2"), 1.0), (("y1", "y2"), 1.0)}
    tie = (frozenset({"y0", "y1"}), 0.5)
    for mode in ("all", "adjacent"):
        assert named(group, compare(group, mode)) == {
            **dict.fromkeys(better, (round(1 / 3, 12), 3.0)), tie: (round(1 / 3, 12), 0.0)
        }  # fmt: skip
    assert named(group, compare(group, "best_worst")) == dict.fromkeys(better, (0.5, 3.0))
    left_out = view(group, HARD, "all")
    assert named(group, left_out.comparisons) == dict.fromkeys(better, (0.5, 3.0)) and left_out.ties == 1
    assert view(group, HARD, "best_worst").ties == 0
    assert as_list(group) == Ranking((0, 1, 2), (0, 0, 1), (4.0, 4.0, 1.0))


@pytest.mark.parametrize("mode", MODES)
def test_nothing_but_ties_is_no_label_for_hard_labels(mode):
    group = ranked([2.0, 2.0, 2.0])
    made = view(group, HARD, mode)
    assert (len(made), made.kind, made.ties) == (0, "pairwise", 3)
    soft = view(group, SOFT, mode).comparisons
    assert {each.prob for each in soft} == {0.5} and sum(each.weight for each in soft) == pytest.approx(1)


def test_ranks_have_no_gap():
    group = ranked([2.0, 1.0], scored=False)
    assert compare(group, "all") == (Comparison(0, 1),) and as_list(group).scores == ()


@given(scores, st.sampled_from(MODES), st.booleans(), st.floats(0.1, 10))
def test_a_list_counts_once(values, mode, ties, weight):
    made = compare(ranked(values, weight), mode, ties=ties)
    assert sum(each.weight for each in made) == pytest.approx(weight if made else 0.0)
    assert len({each.weight for each in made}) <= 1
    assert made or not ties, "with ties there always is something to compare"


@given(scores, st.sampled_from(MODES))
def test_comparisons_are_true_to_the_scores(values, mode):
    group = ranked(values)
    for each in compare(group, mode):
        assert each.score_gap == values[each.better] - values[each.worse]
        assert each.score_gap > 0 if each.prob == 1.0 else each.score_gap == 0


@given(scores, st.sampled_from(["best_worst", "adjacent"]))
def test_every_choice_is_among_all_pairs(values, mode):
    group = ranked(values)
    assert named(group, compare(group, mode)).keys() <= named(group, compare(group, "all")).keys()
    assert len(compare(group, "all")) == len(list(combinations(values, 2)))


@given(scores)
def test_best_against_worst_has_the_widest_gap(values):
    gaps = [each.score_gap for each in compare(ranked(values), "all")]
    assert {each.score_gap for each in compare(ranked(values), "best_worst")} == {max(gaps)}


@given(st.lists(st.integers(0, 3).map(float), min_size=2, max_size=4), st.sampled_from(MODES), st.booleans())
def test_the_order_in_the_file_does_not_matter(values, mode, ties):
    first = ranked(values)
    expected = named(first, compare(first, mode, ties=ties))
    for order in permutations(range(len(values))):
        completions = tuple(first.completions[place] for place in order)
        tiers = tiers_by([values[place] for place in order], largest_first=True)
        other = Group("g", "rows:7", "q", completions, ranking=tiers)
        assert named(other, compare(other, mode, ties=ties)) == expected


@given(scores)
def test_a_list_is_its_completions_the_best_first(values):
    made = as_list(ranked(values))
    assert sorted(made.order) == list(range(len(values)))
    assert list(made.scores) == sorted(values, reverse=True) and list(made.tiers) == sorted(made.tiers)
    assert [values[index] for index in made.order] == list(made.scores)
    tied = [first == second for first, second in zip(made.scores, made.scores[1:], strict=False)]
    assert [first == second for first, second in zip(made.tiers, made.tiers[1:], strict=False)] == tied


@given(scores)
def test_the_share_of_the_best_is_one_and_follows_the_scores(values):
    completions = ranked(values).completions
    shares = [share_no_better(completions, place) for place in range(len(values))]
    assert max(shares) == 1.0 and all(share == sum(v <= own for v in values) / len(values)
                                      for share, own in zip(shares, values, strict=True))  # fmt: skip
    assert [b <= a for a, b in pairwise(shares)] == [b <= a for a, b in pairwise(values)]
