"""Published votes: numbers that others counted too."""

import gzip
import json
from functools import lru_cache

import numpy as np
import pytest
from feedback.aggregate.crowd import of_votes

from prefsmith.data.groups import read_groups
from prefsmith.feedback.aggregate.cycles import triples
from prefsmith.feedback.aggregate.methods import METHODS
from prefsmith.feedback.aggregate.panel import FIRST, SECOND, TIE
from prefsmith.methods.labels import Wanted, aggregate_votes

VOTES, TEXTS = "ukpconvarg_votes.jsonl.gz", "ukpconvarg_arguments.jsonl.gz"


@lru_cache
def arguments(folder):
    """The panel of ukpconvarg, and its rows."""
    with gzip.open(folder / VOTES) as file:
        rows = [json.loads(line) for line in file]
    items, annotators, code = {}, {}, {"a": FIRST, "b": SECOND, "tie": TIE}
    links = [[items.setdefault((row["topic"], row[side]), len(items)) for side in "ab"] for row in rows]
    votes = [
        (place, annotators.setdefault(vote["annotator"], len(annotators)), code[vote["vote"]])
        for place, row in enumerate(rows)
        for vote in row["votes"]
    ]
    return of_votes(votes, len(rows), links, tuple(annotators)), rows


def test_what_most_votes_say_of_arguments(shared_data):
    made, rows = arguments(shared_data)
    assert (made.pairs, len(made.said), len(made.names)) == (8895, 44385, 3563)
    assert np.bincount(made.said).tolist() == [17555, 17179, 9651]
    prob = METHODS["majority"].apply(made).prob
    assert ((prob == 1).sum(), (prob == 0).sum(), (prob == 0.5).sum()) == (3265, 3157, 1453 + 1020)
    found = triples(made, prob)
    assert (found.cyclic, found.transitive, found.unseen) == (1025, 35840, 0)
    gold = [row["strict_gold"] for row in rows]
    most = np.where(prob == 1, "a", np.where(prob == 0, "b", ""))
    counts = made.counts()
    ties = (counts[:, 2] > counts[:, 0]) & (counts[:, 2] > counts[:, 1])
    known = [place for place, each in enumerate(gold) if each is not None]
    decided = [place for place in known if most[place] or ties[place]]
    none = len([each for each in gold if each is not None]) - len(decided)
    assert (sum(most[place] == gold[place] for place in known), none) == (5602, 440)


@pytest.mark.parametrize(("method", "least"), [("share", 0.52), ("dawid-skene", 0.60), ("glad", 0.55)])
def test_reliability_goes_with_the_competence_that_was_published(shared_data, method, least):
    """MACE's, of annotators with 15 votes and more."""
    made, rows = arguments(shared_data)
    published = {vote["annotator"]: vote["mace"] for row in rows for vote in row["votes"]}
    found = METHODS[method].apply(made).reliability
    some = (found.votes >= 15) & ~np.isnan(found.value)
    competence = np.array([published[name] for name in made.names])
    assert some.sum() == 393 and np.corrcoef(found.value[some], competence[some])[0, 1] >= least


def test_models_of_annotators_know_the_strict_gold_better_than_most_votes(shared_data):
    made, rows = arguments(shared_data)
    gold = np.array([{"a": 1.0, "b": 0.0, None: np.nan}[row["strict_gold"]] for row in rows])
    known = ~np.isnan(gold)

    def right(method):
        prob = METHODS[method].apply(made).prob[known]
        return np.where(prob == 0.5, 0.5, (prob > 0.5) == (gold[known] > 0.5)).mean()

    assert right("smoothed-dawid-skene") > 0.98 > right("share") > 0.96 > right("majority") > 0.94


def test_the_labels_of_arguments_train(shared_data, tmp_path):
    """A few hundred of them, through the reader of the training."""
    with gzip.open(shared_data / VOTES, "rt", encoding="utf-8") as file:
        (tmp_path / "votes.jsonl").write_text("".join(next(file) for _ in range(300)), encoding="utf-8")
    out = tmp_path / "labels.jsonl"
    made = aggregate_votes(tmp_path / "votes.jsonl", out, Wanted(), texts=shared_data / TEXTS)
    groups = read_groups(out).groups
    assert made.evidence["pairs"]["read"] == 300 and len(groups) == made.evidence["pairs"]["written"]
    assert {group.prompt for group in groups} == {"Evolution vs. Creation: Creation"}
    assert all(0.5 <= group.comparisons[0].prob <= 1 for group in groups)


@pytest.mark.parametrize(
    ("file", "ties", "labels", "votes"),
    [
        ("pandalm", "half", (239, 259, 86, 0), (711, 777, 264, 0)),
        ("pandalm", "drop", (244, 270, 0, 70), (711, 777, 0, 264)),
        ("mtbench_multi", "half", (19, 25, 12 + 24, 0), (55, 64, 47, 0)),
        ("mtbench_multi", "drop", (30, 36, 3, 11), (55, 64, 0, 47)),
    ],
)
def test_what_most_people_say_with_and_without_ties(shared_data, file, ties, labels, votes):
    """mtbench: 12 pairs are ties by most votes, and 24 have no majority."""
    made = aggregate_votes(shared_data / f"{file}.jsonl.gz", None, Wanted("majority", "people", ties)).evidence
    assert tuple(made["labels"][name] for name in ("first", "second", "tie", "none")) == labels
    assert tuple(made["votes"][name] for name in ("first", "second", "tie", "ties_left_out")) == votes
    assert sum(labels) == made["pairs"]["read"]
