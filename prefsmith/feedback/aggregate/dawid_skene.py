"""Dawid and Skene's model: what each annotator says of each truth, and the truth, found together (crowd-kit)."""

from typing import TYPE_CHECKING

import numpy as np

from prefsmith.feedback.aggregate.aggregate import Aggregate, of_posterior
from prefsmith.feedback.aggregate.crowdkit import frame, load, quiet
from prefsmith.feedback.aggregate.panel import OfVotes, Panel
from prefsmith.feedback.aggregate.posterior import Confusion, Evidence, joint, judged_by_others, normal
from prefsmith.feedback.aggregate.reliability import turned

if TYPE_CHECKING:
    from crowdkit.aggregation import DawidSkene

ROUNDS = 100
_STILL = 1e-3
"""Largest change of a probability by one more round of a model that stands still."""
_LEAST = 1e-10
"""Below it crowd-kit takes no probability."""


def dawid_skene(panel: Panel, *, neutral: bool = True, least_votes: int = 1) -> Aggregate:
    """Every pair has a true label: first, second, or tie; an annotator has a confusion matrix of what it says of each.

    A tie is a label of its own, and p = P(first) + P(tie) / 2; K is 2 where nobody says tie. Found by expectation and
    maximisation in turn from the shares of votes, by crowd-kit's `DawidSkene`. It draws no count to anything: an
    annotator with few votes soon counts as infallible. It stops where its bound gains less than 1e-5 a vote; that bound
    counts the prior once a vote, may fall, and so may end a fit early: `converged` says whether one more round would
    move a label.

    Args:
        panel: the votes; on some pair, of two annotators.
        neutral: every vote is laid down a second time with the sides swapped, so that the label of a pair does not
            depend on which answer the file calls first. Confusion matrices are then the same for both sides. False is
            the model as it was published.
        least_votes: annotators with fewer votes share one confusion matrix; 1 gives each its own.

    Source:
        Dawid and Skene 1979, Applied Statistics 28(1).
    """
    model = load("crowd-kit", "crowdkit.aggregation", "dawid-skene").DawidSkene(n_iter=ROUNDS)
    worker = _pooled(panel, least_votes)
    pair, who, said = panel.pair, worker[panel.annotator], panel.said
    if neutral:
        pair, who = np.concatenate([pair, pair + panel.pairs]), np.concatenate([who, who])
        said = np.concatenate([said, turned(said)])
    with quiet():
        model.fit(frame(pair, who, said))
    labels = sorted(int(each) for each in model.probas_.columns)
    size = max(2, *(label + 1 for label in labels))
    truth = np.full((panel.pairs, size), 1 / size)
    rows = model.probas_.loc[model.probas_.index < panel.pairs, labels]
    # A label that nobody gave has probability 0.
    truth[np.ix_(rows.index.to_numpy(), range(size))] = 0.0
    truth[np.ix_(rows.index.to_numpy(), labels)] = rows.to_numpy()
    confusion, prior = _parameters(model, len(panel.names), labels, size)
    evidence = _evidence(confusion, worker[panel.annotator], panel.said)
    logs = joint(panel, evidence, prior)
    again = normal(logs)
    moved = float(np.abs(again - truth)[panel.voted].max(initial=0.0))
    pooled = int((panel.votes < least_votes).sum())
    return Aggregate(
        prob=of_posterior(panel, truth),
        reliability=judged_by_others(panel, logs, evidence),
        posterior=truth,
        rounds=len(model.loss_history_),
        converged=moved < _STILL,
        facts={"last_change": moved, "prior": prior.tolist(), **({"share_one_matrix": pooled} if pooled else {})},
    )


def _pooled(panel: Panel, least_votes: int) -> OfVotes:
    """Whose matrix each annotator has: its own number, or that of the first of those who share one."""
    own = np.arange(len(panel.names))
    few = panel.votes < least_votes
    return np.where(few, int(np.argmax(few)), own)


def _parameters(model: "DawidSkene", annotators: int, labels: list[int], size: int) -> tuple[Confusion, np.ndarray]:
    """Confusion matrices and the prior of crowd-kit's model, as arrays."""
    confusion = np.full((annotators, size, size), _LEAST)
    assert model.errors_ is not None and model.priors_ is not None  # it was fitted
    errors = model.errors_.reset_index()
    for label in labels:
        confusion[errors["worker"].to_numpy(), errors["label"].to_numpy(), label] = errors[label].to_numpy()
    prior = np.full(size, _LEAST)
    prior[labels] = model.priors_.loc[labels].to_numpy()
    return confusion, prior


def _evidence(confusion: Confusion, worker: OfVotes, said: OfVotes) -> Evidence:
    return np.log(np.maximum(confusion[worker, said], _LEAST))
