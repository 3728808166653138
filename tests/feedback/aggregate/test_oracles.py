"""Crowds of known skill: who is right, who is an adversary, what beats most votes."""

import numpy as np
import pytest
from feedback.aggregate.crowd import judges, workers

from prefsmith.feedback.aggregate.bradley_terry import bradley_terry
from prefsmith.feedback.aggregate.crowd_bradley_terry import crowd_bradley_terry
from prefsmith.feedback.aggregate.dawid_skene import dawid_skene
from prefsmith.feedback.aggregate.glad import glad
from prefsmith.feedback.aggregate.one_coin import one_coin
from prefsmith.feedback.aggregate.share import majority
from prefsmith.feedback.aggregate.smoothed_dawid_skene import smoothed_dawid_skene


def right(crowd, found):
    """The share of pairs whose label is right; a tie is right one time in two."""
    prob = found.prob[crowd.panel.voted]
    truth = crowd.truth[crowd.panel.voted] == 0
    return np.where(prob == 0.5, 0.5, (prob > 0.5) == truth).mean()


@pytest.mark.parametrize(("method", "seeds"), [(one_coin, 20), (smoothed_dawid_skene, 20), (dawid_skene, 8)])
def test_models_of_annotators_beat_most_votes_and_know_the_adversary(method, seeds):
    crowds = [workers(seed) for seed in range(seeds)]
    found = [method(crowd.panel) for crowd in crowds]
    own = np.array([right(crowd, each) for crowd, each in zip(crowds, found, strict=True)])
    most = np.array([right(crowd, majority(crowd.panel)) for crowd in crowds])
    error = np.array(
        [np.abs(each.reliability.value - crowd.skill).max() for crowd, each in zip(crowds, found, strict=True)]
    )
    assert own.min() >= 0.88 and abs(own.mean() - 0.93) < 0.015
    assert most.max() <= 0.80 and abs(most.mean() - 0.76) < 0.02
    assert (own > most).all()
    assert error.max() <= 0.11 and error.mean() <= 0.06
    assert all(each.reliability.high[4] < 0.5 for each in found)


def test_glad_finds_the_adversary_too():
    crowd = workers(0)
    found = glad(crowd.panel)
    assert right(crowd, found) >= 0.88 and found.reliability.high[4] < 0.5 < found.reliability.low[0]


@pytest.mark.parametrize("method", [one_coin, smoothed_dawid_skene])
def test_intervals_of_reliability_hold_the_truth(method):
    """95 % of 5 x 40 intervals, within three standard errors; too wide ones would hold it always."""
    held, width = [], []
    for seed in range(100, 140):
        crowd = workers(seed)
        found = method(crowd.panel).reliability
        held += ((found.low <= crowd.skill) & (crowd.skill <= found.high)).tolist()
        width += (found.high - found.low).tolist()
    assert 0.91 <= np.mean(held) <= 0.99
    assert 0.03 < np.mean(width) < 0.2


def test_the_crowd_s_model_finds_strengths_and_adversaries():
    crowds = [judges(seed) for seed in range(5)]
    for crowd in crowds:
        found = crowd_bradley_terry(crowd.panel)
        assert found.converged
        assert np.corrcoef(found.strengths, crowd.truth)[0, 1] >= 0.98
        assert np.corrcoef(bradley_terry(crowd.panel).strengths, crowd.truth)[0, 1] <= 0.985
        assert np.abs(found.reliability.value - crowd.skill).max() <= 0.06
        assert found.reliability.high[4] < 0.5


def test_intervals_of_the_crowd_s_model_hold_the_truth_though_strengths_are_estimated():
    held = []
    for seed in range(200, 208):
        crowd = judges(seed, scale=1.5)
        found = crowd_bradley_terry(crowd.panel).reliability
        held += ((found.low <= crowd.skill) & (crowd.skill <= found.high)).tolist()
    assert np.mean(held) >= 0.88
