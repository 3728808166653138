"""What a loss sees of a group's labels."""

import pytest

from prefsmith.data.made import describe
from prefsmith.data.views import View, Wanted, view
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Completion, Group, Rating

DPO, HARD = Wanted("dpo", "pairwise"), Wanted("hard", "pairwise", soft_labels=False)
KTO = Wanted("kto", "unpaired", soft_labels=False)
SFT = Wanted("sft", "unpaired", soft_labels=False, desirable_only=True)


def compared(prob=1.0, weight=1.0):
    completions = (Completion("good"), Completion("bad"))
    return Group("g", "rows:7", "q", completions, (Comparison(0, 1, prob, weight, score_gap=2.0),))


def rated(value):
    return Group("g", "rows:7", "q", (Completion("good"),), ratings=(Rating(0, value, 3.0),))


@pytest.mark.parametrize(
    ("group", "wanted", "labels"),
    [
        (compared(), DPO, View(comparisons=(Comparison(0, 1, 1.0, 1.0, 2.0),))),
        (compared(0.7), DPO, View(comparisons=(Comparison(0, 1, 0.7, 1.0, 2.0),))),
        (compared(0.0), DPO, View(comparisons=(Comparison(0, 1, 0.0, 1.0, 2.0),))),
        (compared(0.0, 3.0), HARD, View(comparisons=(Comparison(1, 0, 1.0, 3.0, -2.0),))),
        (compared(weight=3.0), KTO, View(ratings=(Rating(0, 1.0, 3.0), Rating(1, 0.0, 3.0)))),
        (compared(0.0), KTO, View(ratings=(Rating(1, 1.0), Rating(0, 0.0)))),
        (compared(0.0), SFT, View(ratings=(Rating(1, 1.0),))),
        (rated(0.0), KTO, View(ratings=(Rating(0, 0.0, 3.0),))),
        (rated(1.0), SFT, View(ratings=(Rating(0, 1.0, 3.0),))),
        (rated(0.0), SFT, View()),
    ],
    ids=[
        "pair", "soft", "zero kept", "zero turned", "two ratings", "zero as ratings", "the better alone",
        "rating", "desirable", "undesirable",
    ],
)  # fmt: skip
def test_labels_in_the_form_that_is_wanted(group, wanted, labels):
    """A gap is score of better minus score of worse, so it turns its sign with the comparison."""
    assert view(group, wanted) == labels
    assert len(labels) == len(labels.comparisons) + len(labels.ratings)


@pytest.mark.parametrize("wanted", [DPO, HARD], ids=["soft", "hard"])
def test_ratings_never_become_pairs(wanted):
    with pytest.raises(DataError) as caught:
        view(rated(1.0), wanted)
    assert (caught.value.code, caught.value.where) == ("data.no_pairs", "rows:7") and "kto" in caught.value.fix


@pytest.mark.parametrize("wanted", [HARD, KTO, SFT], ids=["pairwise", "unpaired", "desirable"])
@pytest.mark.parametrize("prob", [0.5, 0.999, 1e-9])
def test_a_soft_label_is_refused_where_it_means_nothing(wanted, prob):
    with pytest.raises(DataError) as caught:
        view(compared(prob), wanted)
    assert (caught.value.code, caught.value.where) == ("data.soft_label", "rows:7") and caught.value.fix


def test_a_view_knows_its_completions():
    assert View((Comparison(3, 1),), (Rating(2, 1.0), Rating(3, 0.0))).completions() == {1, 2, 3}


@pytest.mark.parametrize(
    ("groups", "wanted", "line"),
    [
        ([compared(), compared()], DPO, "2 comparisons for dpo"),
        ([compared(), compared()], KTO, "2 desirable and 2 undesirable completions made of pairs for kto"),
        ([rated(1.0), rated(0.0), rated(0.0)], KTO, "1 desirable and 2 undesirable completions for kto"),
        ([compared(), compared()], SFT, "2 desirable and 0 undesirable completions made of pairs for sft"),
    ],
    ids=["pairs", "pairs as ratings", "ratings", "the better alone"],
)
def test_what_is_made_of_the_file_is_said(groups, wanted, line):
    assert describe([(group, view(group, wanted)) for group in groups], wanted) == line
