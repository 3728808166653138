"""Labels of ranked and scored groups: lists, ratings by score, and what a loss that needs numbers refuses."""

import pytest

from prefsmith.data.made import describe
from prefsmith.data.ranking import tiers_by
from prefsmith.data.views import View, Wanted, label, view
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Completion, Group, Ranking, Rating

DPO, HARD = Wanted("dpo", "pairwise"), Wanted("hard", "pairwise", soft_labels=False)
KTO = Wanted("kto", "unpaired", soft_labels=False, mismatched=True)
BCO, SFT = Wanted("bco_unpaired", "unpaired"), Wanted("sft", "unpaired", soft_labels=False, desirable_only=True)
REBEL, ODPO = Wanted("rebel", "pairwise", scores=True), Wanted("odpo", "pairwise", False, scores=True, score_order=True)
QRPO = Wanted("qrpo", "unpaired", scores=True)
LIST, LIPO = Wanted("plackett_luce", "listwise", False), Wanted("lipo", "listwise", False, scores=True)


def completions(*scores):
    return tuple(Completion(f"y{place}", score=score) for place, score in enumerate(scores))


def pair(prob=1.0, weight=1.0, scores=(None, None), gap=None):
    return Group("g", "rows:7", "q", completions(*scores), (Comparison(0, 1, prob, weight, gap),))


def ranked(*scores, weight=1.0, scored=True):
    tiers = tiers_by(scores, largest_first=True)
    texts = completions(*(scores if scored else [None] * len(scores)))
    return Group("g", "rows:7", "q", texts, ranking=tiers, weight=weight)


def rated(value=1.0, score=None):
    return Group("g", "rows:7", "q", completions(score), ratings=(Rating(0, value),))


@pytest.mark.parametrize(
    ("group", "wanted", "labels"),
    [
        (ranked(1.0, 4.0, 4.0, weight=2.0), LIST,
         View(rankings=(Ranking((1, 2, 0), (0, 0, 1), (4.0, 4.0, 1.0), 2.0),))),
        (ranked(1.0, 2.0, scored=False), LIST, View(rankings=(Ranking((1, 0), (0, 1)),))),
        (pair(weight=3.0, scores=(1.0, 2.0)), LIPO, View(rankings=(Ranking((0, 1), (0, 1), (1.0, 2.0), 3.0),))),
        (pair(0.0, gap=2.0), LIST, View(rankings=(Ranking((1, 0), (0, 1)),))),
        (pair(0.5), LIST, View(rankings=(Ranking((0, 1), (0, 0)),))),
        (ranked(1.0, 4.0, 4.0, 9.0, weight=2.0), QRPO,
         View(ratings=tuple(Rating(place, value, 2.0) for place, value in enumerate((0.25, 0.75, 0.75, 1.0))))),
        (pair(weight=3.0, scores=(5.0, 2.0)), QRPO, View(ratings=(Rating(0, 1.0, 3.0), Rating(1, 0.5, 3.0)))),
        (ranked(3.0, 1.0, 2.0), KTO, View(ratings=tuple(
            Rating(place, value, 1 / 3) for place, value in ((0, 1.0), (2, 0.0), (0, 1.0), (1, 0.0), (2, 1.0), (1, 0.0))
        ))),
        (ranked(3.0, 1.0, scored=False), SFT, View(ratings=(Rating(0, 1.0),))),
        (pair(0.75), BCO, View(ratings=(Rating(0, 0.75), Rating(1, 0.25)))),
        (pair(gap=-1.0), REBEL, View(comparisons=(Comparison(0, 1, score_gap=-1.0),))),
        (ranked(2.0, 2.0), REBEL, View(comparisons=(Comparison(0, 1, 0.5, 1.0, 0.0),))),
        (ranked(3.0, 1.0), ODPO, View(comparisons=(Comparison(0, 1, score_gap=2.0),))),
        (pair(0.0, gap=-2.0), ODPO, View(comparisons=(Comparison(1, 0, score_gap=2.0),))),
    ],
    ids=["list with a tie", "ranks", "scored pair as a list", "zero as a list", "tie as a list", "shares",
         "shares of a pair", "ratings of a list", "the better ones", "soft ratings", "a gap the other way",
         "a tied gap", "ordered", "turned"],
)  # fmt: skip
def test_labels_in_the_form_that_is_wanted(group, wanted, labels):
    made = view(group, wanted)
    assert made == labels and made.kind == wanted.kind


@pytest.mark.parametrize("wanted", [DPO, LIST], ids=["pairs", "lists"])
def test_ratings_become_neither_pairs_nor_lists(wanted):
    with pytest.raises(DataError) as caught:
        view(rated(), wanted)
    assert (caught.value.code, caught.value.where) == ("data.no_pairs", "rows:7")
    assert wanted.loss in caught.value.what and "loss.name=kto" in caught.value.fix


@pytest.mark.parametrize(
    ("group", "wanted", "says"),
    [
        (pair(), REBEL, "rebel needs scores, and this row does not say how much better one answer is"),
        (pair(scores=(3.0, None)), ODPO, "odpo needs scores, and this row does not say how much better"),
        (ranked(2.0, 1.0, scored=False), REBEL, "rebel needs scores"),
        (pair(gap=2.0), LIPO, "lipo needs scores, and this row does not say a score of each of several answers"),
        (ranked(2.0, 1.0, scored=False), LIPO, "lipo needs scores"),
        (ranked(2.0, 1.0, scored=False), QRPO, "qrpo needs scores"),
        (pair(gap=2.0), QRPO, "qrpo needs scores"),
        (rated(), QRPO, "qrpo needs scores"),
        (rated(score=3.0), QRPO, "qrpo needs scores"),
        (pair(gap=-0.5), ODPO, "odpo needs a chosen answer with the higher score, and the margin is -0.5"),
        (pair(gap=0.0), ODPO, "and the margin is 0"),
        (pair(scores=(2.0, 3.5), gap=-1.5), ODPO, "and chosen has the score 2 and rejected 3.5"),
        (pair(0.0, scores=(4.0, 3.5), gap=0.5), ODPO, "and chosen has the score 3.5 and rejected 4"),
    ],
)
def test_a_loss_that_needs_numbers_refuses_rows_without(group, wanted, says):
    with pytest.raises(DataError) as caught:
        view(group, wanted)
    assert (caught.value.code, caught.value.where) == ("data.scores", "rows:7")
    assert says in caught.value.what and caught.value.fix


@pytest.mark.parametrize("wanted", [LIST, ODPO, KTO], ids=lambda wanted: wanted.loss)
def test_a_soft_label_is_refused_where_it_means_nothing(wanted):
    with pytest.raises(DataError) as caught:
        view(pair(0.7, gap=1.0), wanted)
    assert caught.value.code == "data.soft_label" and "0.7" in caught.value.what


def test_ties_of_a_list_are_left_out_for_ratings_and_counted():
    made = view(ranked(3.0, 3.0, 1.0), KTO)
    assert made.ties == 1 and sum(rating.weight for rating in made.ratings) == pytest.approx(2.0)
    assert {(rating.completion, rating.value) for rating in made.ratings} == {(0, 1.0), (1, 1.0), (2, 0.0)}


def test_pairs_say_which_completions_are_used():
    group = ranked(4.0, 3.0, 2.0, 1.0)
    assert view(group, DPO, "best_worst").completions() == {0, 3}
    assert view(group, LIST, "best_worst").completions() == {0, 1, 2, 3}, "a list is whole whatever pairs are made"


@pytest.mark.parametrize(("pairs", "count"), [("all", 6), ("best_worst", 1), ("adjacent", 3)])
def test_what_the_data_says_of_pairs_follows_the_setting(pairs, count):
    made = label(ranked(4.0, 3.0, 2.0, 1.0), [LIST, SFT], pairs)
    assert len(made.compared) == count and [each.kind for each in made.views] == ["listwise", "unpaired"]
    assert label(pair(), [DPO], pairs).compared == (Comparison(0, 1),)
    assert label(rated(), [SFT], pairs).compared == ()


def test_an_empty_view_keeps_its_kind():
    assert [view(rated(0.0), SFT).kind, view(ranked(1.0, 1.0), HARD).kind] == ["unpaired", "pairwise"]
    assert [View(rankings=(Ranking((0, 1), (0, 1)),)).kind, View().kind] == ["listwise", "pairwise"]


THREE, TIED = ranked(3.0, 2.0, 1.0), ranked(2.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("groups", "wanted", "pairs", "line"),
    [
        ([THREE, THREE], DPO, "all", "6 comparisons of 2 ranked lists (data.pairs=all) for dpo"),
        ([THREE], DPO, "best_worst", "1 comparison of 1 ranked list (data.pairs=best_worst) for dpo"),
        ([THREE, TIED], HARD, "all", "5 comparisons of 2 ranked lists (data.pairs=all) for hard; 1 tie left out"),
        ([THREE, TIED], DPO, "all",
         "6 comparisons, 1 of them a tie (probability 0.5), of 2 ranked lists (data.pairs=all) for dpo"),
        ([pair(), pair(0.7), pair(0.5), pair(0.5)], DPO, "all",
         "4 comparisons, 2 of them ties (probability 0.5), for dpo"),
        ([THREE, ranked(1.0, 2.0)], LIST, "all", "2 ranked lists (2 to 3 completions) for plackett_luce"),
        ([THREE, TIED], LIST, "all", "2 ranked lists (3 completions) for plackett_luce"),
        ([pair(), pair(0.5)], LIST, "all",
         "2 ranked lists of 2 completions made of pairs, 1 of them tied throughout, for plackett_luce"),
        ([ranked(1.0, 1.0), ranked(1.0, 2.0)], LIST, "all",
         "2 ranked lists (2 completions), 1 of them tied throughout, for plackett_luce"),
        ([pair(), pair(0.5)], BCO, "all",
         "1 desirable, 1 undesirable and 2 tied completions made of pairs for bco_unpaired"),
        ([THREE, THREE], QRPO, "all", "6 completions rated by the scores of 2 lists for qrpo"),
        ([THREE, TIED], KTO, "all",
         "5 desirable and 5 undesirable completions made of 2 ranked lists (data.pairs=all) for kto; 1 tie left out"),
    ],
)  # fmt: skip
def test_what_is_made_of_the_file_is_said(groups, wanted, pairs, line):
    assert describe([(group, view(group, wanted, pairs)) for group in groups], wanted, pairs) == line
