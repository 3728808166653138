"""Rows of which a loss would learn nothing: what is refused, and with which words."""

import pytest

from prefsmith.data.suitable import refuse_unsuitable
from prefsmith.data.tally import Census
from prefsmith.data.views import Wanted, label
from prefsmith.errors import PrefsmithError
from prefsmith.records import Comparison, Completion, Group, Rating

DPO, HARD = Wanted("dpo", "pairwise"), Wanted("hinge", "pairwise", soft_labels=False)
KTO = Wanted("kto", "unpaired", soft_labels=False, mismatched=True)
BCO, NPO = Wanted("bco_unpaired", "unpaired"), Wanted("npo", "unpaired", soft_labels=False, undesirable_only=True)
SFT = Wanted("sft", "unpaired", soft_labels=False, desirable_only=True)
LIST, INFONCA = Wanted("plackett_luce", "listwise", False), Wanted("infonca", "listwise", False, scores=True)


def rated(*values, weight=1.0, prompt=None):
    """A row a value, each with a prompt of its own unless one is given."""
    return [
        Group(f"g{n}", f"rows:{n}", prompt or f"q{n}", (Completion("y"),), ratings=(Rating(0, value, weight),))
        for n, value in enumerate(values)
    ]


def listed(*scores, weight=1.0):
    tiers = ((0,), (1,)) if scores[0] > scores[1] else ((0, 1),)
    texts = tuple(Completion(f"y{place}", score=score) for place, score in enumerate(scores))
    return Group("g", "rows:7", "q", texts, ranking=tiers, weight=weight)


def tied_pair():
    return Group("g", "rows:7", "q", (Completion("a"), Completion("b")), (Comparison(0, 1, 0.5),))


def refuse(groups, wanted, held_out=()):
    def counted(groups):
        return Census.of([label(group, [wanted], "all") for group in groups], [wanted])

    refuse_unsuitable(counted(groups), [wanted], "rows.jsonl", held_out=counted(held_out))


@pytest.mark.parametrize(
    ("groups", "wanted", "code", "says"),
    [
        ([], DPO, "data.no_rows", "no row is left to train on"),
        (rated(1, 1, 1), KTO, "data.one_class", "kto tells good answers from bad ones, .* all 3 are desirable"),
        (rated(0, 0), KTO, "data.one_class", "all 2 are undesirable"),
        (rated(1, 0, 0)[:1] + rated(0, 0, weight=0.0), BCO, "data.one_class", "all 1 are desirable"),
        ([tied_pair()], BCO, "data.one_class", "all are ties"),
        (rated(1, 1), NPO, "data.one_class", "npo learns from undesirable answers, and none of the 2 .* is one"),
        (rated(0, 0), SFT, "data.no_rows", "none of 2 rows has a label for sft, which reads desirable answers alone"),
        (rated(1, 1, weight=0.0), SFT, "data.weight", "every label that sft reads has the weight 0"),
        ([listed(2.0, 2.0)], HARD, "data.no_rows", "none of 1 rows .*: their answers are tied in 1 comparison"),
        ([listed(2.0, 2.0), tied_pair()], LIST, "data.one_class", r"all answers of every list \(2\) are tied"),
        ([listed(2.0, 2.0), listed(2.0, 1.0, weight=0.0)], LIST, "data.one_class", r"every list \(1\)"),
        (rated(1, 0, prompt="q"), KTO, "train.lonely_prompt", "all rows have one prompt, and kto compares"),
    ],
)  # fmt: skip
def test_what_would_teach_nothing_is_refused(groups, wanted, code, says):
    with pytest.raises(PrefsmithError, match=says) as caught:
        refuse(groups, wanted)
    assert (caught.value.code, caught.value.where) == (code, "rows.jsonl") and caught.value.fix


@pytest.mark.parametrize(
    ("groups", "wanted"),
    [
        (rated(1, 0), KTO), (rated(0, 0), NPO), (rated(1, 1), SFT), ([tied_pair()], DPO),
        ([listed(2.0, 2.0), listed(2.0, 1.0)], LIST), ([listed(2.0, 2.0)], INFONCA), ([listed(2.0, 2.0)], DPO),
    ],
)  # fmt: skip
def test_what_teaches_something_is_taken(groups, wanted):
    refuse(groups, wanted)


def test_rows_that_are_all_held_out_are_said_to_be():
    with pytest.raises(PrefsmithError, match="all 2 are held out") as caught:
        refuse([], DPO, held_out=[tied_pair(), tied_pair()])
    assert caught.value.code == "data.no_rows" and "data.eval_fraction" in caught.value.fix


def test_one_prompt_is_named_as_the_reason_wherever_its_rows_are():
    """Rows of one prompt stay together, so holding fewer out does not help; with another held out, it does."""
    for train, held_out in ((rated(1, 0, prompt="q"), []), ([], rated(1, 0, prompt="q"))):
        with pytest.raises(PrefsmithError, match="all rows have one prompt") as caught:
            refuse(train, KTO, held_out)
        assert "data.eval_fraction" not in caught.value.fix
    with pytest.raises(PrefsmithError, match="fewer than two prompts are left to train on") as caught:
        refuse(rated(1, 0, prompt="q"), KTO, held_out=rated(1, 0))
    assert caught.value.code == "train.lonely_prompt" and "data.eval_fraction" in caught.value.fix
