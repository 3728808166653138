"""Each method: what it does with ties, what no method may depend on, and whose numbers it must have."""

import numpy as np
import pytest
from feedback.aggregate.crowd import of_votes, workers

from prefsmith.errors import ConfigError
from prefsmith.feedback.aggregate.bradley_terry import bradley_terry
from prefsmith.feedback.aggregate.crowd_bradley_terry import crowd_bradley_terry
from prefsmith.feedback.aggregate.crowdkit import frame, load, quiet
from prefsmith.feedback.aggregate.dawid_skene import dawid_skene
from prefsmith.feedback.aggregate.glad import glad
from prefsmith.feedback.aggregate.methods import METHODS
from prefsmith.feedback.aggregate.one_coin import one_coin
from prefsmith.feedback.aggregate.panel import FIRST, SECOND, TIE, Panel, panel
from prefsmith.feedback.aggregate.reliability import agreement, turned
from prefsmith.feedback.aggregate.share import majority, share, smoothed_share
from prefsmith.feedback.aggregate.smoothed_dawid_skene import smoothed_dawid_skene
from prefsmith.records import Completion, Group, Vote

OWN = ("share", "smoothed-share", "majority", "one-coin", "smoothed-dawid-skene", "glad", "crowd-bradley-terry")
ANSWERS = (Completion(text="x"), Completion(text="y"))


def group(*votes):
    return Group("g", "f:1", "q", ANSWERS, votes=votes)


def small_crowd(seed):
    """Votes of up to five annotators on up to six pairs of four answers, each annotator once a pair."""
    rng = np.random.default_rng(seed)
    seen = np.argwhere(rng.random((6, 5)) < rng.uniform(0.3, 0.9))
    said = rng.integers(0, 3 if seed % 2 else 2, len(seen))
    return of_votes(np.column_stack([seen, said]), 6, LINKS, NAMES)


LINKS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
NAMES = tuple("abcde")


def swapped(made, flipped):
    """The same votes, where the file calls other answers of some pairs first."""
    said = np.where(flipped[made.pair], turned(made.said), made.said)
    items = np.where(flipped[:, None], made.items[:, ::-1], made.items)
    return Panel(made.pair, made.annotator, said, made.pairs, made.names, items, made.invalid)


def test_a_verdict_is_of_an_answer_wherever_it_was_shown():
    votes = (Vote(0, 1, "left", "a"), Vote(1, 0, "left", "b", 1), Vote(1, 0, "right", "c", 1), Vote(0, 1, "tie", "d"),
             Vote(0, 1, "invalid", "e"))  # fmt: skip
    made = panel([group(*votes), group()])
    assert made.said.tolist() == [FIRST, SECOND, FIRST, TIE]
    assert made.invalid.tolist() == [0, 0, 0, 0, 1] and made.voted.tolist() == [True, False]
    assert made.items.tolist() == [[0, 1], [0, 1]]
    dropped = panel([group(*votes)], ties="drop")
    assert dropped.dropped_ties == 1 and dropped.said.tolist() == [FIRST, SECOND, FIRST] and dropped.labels == 2
    assert panel([group(*votes)], annotators=frozenset("bd")).names == ("b", "d")


def test_what_counting_makes_of_votes_and_ties():
    """Three pairs: two to one with a tie, all alike, and no votes."""
    made = of_votes([(0, 0, FIRST), (0, 1, FIRST), (0, 2, SECOND), (0, 3, TIE), (1, 0, SECOND), (1, 1, SECOND)], 3)
    assert share(made).prob[:2].tolist() == [2.5 / 4, 0.0] and np.isnan(share(made).prob[2])
    assert smoothed_share(made).prob[:2].tolist() == [3.5 / 6, 1 / 4]
    assert smoothed_share(made, pseudo=3).prob[0] == 5.5 / 10
    assert majority(made).prob[:2].tolist() == [1.0, 0.0]
    tied = of_votes([(0, 0, TIE), (0, 1, TIE), (0, 2, FIRST), (1, 0, FIRST), (1, 1, SECOND)])
    assert majority(tied).prob.tolist() == [0.5, 0.5]


def test_agreement_is_with_the_others_alone():
    """An annotator who voted alone agrees with nobody, and is not counted as agreeing with itself."""
    made = of_votes([(0, 0, FIRST), (0, 1, FIRST), (0, 2, SECOND), (1, 0, TIE), (1, 2, TIE), (2, 3, FIRST)])
    found = agreement(made)
    # a: 1 of 2 halves on pair 0 (b says so, c does not: split), and c's tie on pair 1.
    assert found.value[:3].tolist() == [(0.5 + 1) / 2, 0.5, (0 + 1) / 2]
    assert np.isnan(found.value[3]) and found.votes.tolist() == [2, 1, 2, 1]


def test_intervals_of_agreement_are_those_of_a_share():
    """2 log L falls by 3.84: 9 of 10 has [0.628, 0.994], and 10 of 10 ends at exp(-1.92 / 10)."""
    votes = [(pair, annotator, FIRST) for pair in range(10) for annotator in (0, 1)]
    whole = agreement(of_votes(votes))
    assert whole.value[0] == 1.0 and whole.high[0] == pytest.approx(1, abs=1e-6)
    assert whole.low[0] == pytest.approx(np.exp(-3.841458820694124 / 20), abs=1e-6)
    votes[0] = (0, 0, SECOND)
    one_off = agreement(of_votes(votes))
    assert one_off.value[0] == pytest.approx(0.9)
    assert (one_off.low[0], one_off.high[0]) == pytest.approx((0.628, 0.994), abs=1e-3)


def test_an_annotator_is_not_held_against_its_own_vote_on_the_other_order():
    """Fault: who was shown every pair both ways agrees with itself, and is sound where nobody else voted."""
    alone = agreement(of_votes([(pair, 0, pair % 2) for pair in range(40) for _ in "ab"]))
    assert np.isnan(alone.value[0]) and alone.votes[0] == 80
    # Of three who vote once a pair, each vote laid down twice: nothing is learnt by the copies.
    said = np.random.default_rng(17).integers(0, 3, (60, 3))
    once = [(pair, annotator, said[pair, annotator]) for pair in range(60) for annotator in range(3)]
    twice = [vote for vote in once for _ in "ab"]
    for method in (agreement, lambda panel: bradley_terry(panel).reliability):
        for name in ("value", "low", "high"):
            first, second = (getattr(method(of_votes(votes)), name) for votes in (once, twice))
            np.testing.assert_allclose(first, second, atol=1e-9)
    # w1 says both of pair 0, w2 the first: w0 agrees with the first alone, as it has 1.5 votes of 2.
    split = agreement(of_votes([(0, 0, FIRST), (0, 1, FIRST), (0, 1, SECOND), (0, 2, FIRST)]))
    assert split.value.tolist() == [1, 0.5, 1]


@pytest.mark.parametrize("fit", [one_coin, smoothed_dawid_skene, glad, dawid_skene])
def test_what_a_pair_is_judged_by_has_no_vote_of_the_annotator(fit):
    """Fault: the vote on the other order stays in, and an annotator whom nobody shares a pair with is sure."""
    votes = [(pair, annotator, (pair + annotator * (pair % 5 == 0)) % 2) for pair in range(30) for annotator in (0, 1)]
    votes += [(pair, 2, pair % 2) for pair in range(30, 60) for _ in "ab"]
    found = fit(of_votes(votes)).reliability
    assert np.isnan(found.value[2]) or (found.low[2] < 0.01 and found.high[2] > 0.99)
    assert found.low[0] > 0.5


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", OWN)
def test_labels_and_reliability_do_not_depend_on_which_answer_is_called_first(name, seed):
    made, flips = small_crowd(seed), np.random.default_rng(seed).random(6) < 0.5
    plain, other = METHODS[name].apply(made), METHODS[name].apply(swapped(made, flips))
    assert np.where(flips, 1 - other.prob, other.prob) == pytest.approx(plain.prob, abs=1e-3, nan_ok=True)
    assert np.isnan(plain.prob).tolist() == (~made.voted).tolist()
    assert np.all((plain.prob[made.voted] >= 0) & (plain.prob[made.voted] <= 1))
    known = ~np.isnan(plain.reliability.value)
    low, value, high = plain.reliability.low, plain.reliability.value, plain.reliability.high
    assert np.all(low[known] <= value[known] + 1e-9) and np.all(value[known] <= high[known] + 1e-9)
    assert np.all(low[known] >= 0) and np.all(high[known] <= 1)


def test_dawid_skene_does_not_learn_that_the_first_answer_wins():
    """Most pairs are written with the winner first; on some the votes go one each way."""
    votes = [(pair, who, FIRST if pair < 14 else SECOND) for pair in range(18) for who in range(2)]
    votes += [(pair, who, (FIRST, SECOND)[(pair + who) % 2]) for pair in range(18, 26) for who in range(2)]
    made = of_votes(votes)
    assert dawid_skene(made).prob[18:] == pytest.approx(0.5, abs=1e-6)
    assert smoothed_dawid_skene(made).prob[18:] == pytest.approx(0.5, abs=1e-6)
    assert np.abs(dawid_skene(made, neutral=False).prob[18:] - 0.5).min() > 0.05


def ten_lines(pair, annotator, said, size, rounds):
    """Dawid and Skene's own equations."""
    counts = np.zeros((pair.max() + 1, size))
    np.add.at(counts, (pair, said), 1)
    truth = counts / counts.sum(axis=1, keepdims=True)
    for _ in range(rounds):
        prior, confusion = truth.mean(axis=0), np.zeros((annotator.max() + 1, size, size))
        np.add.at(confusion, (annotator, said), truth[pair])
        confusion = np.maximum(confusion, 1e-10) / np.maximum(confusion, 1e-10).sum(axis=1, keepdims=True)
        logs = np.zeros(counts.shape) + np.log(prior)
        np.add.at(logs, pair, np.log(confusion[annotator, said]))
        truth = np.exp(logs - logs.max(axis=1, keepdims=True))
        truth /= truth.sum(axis=1, keepdims=True)
    return truth


def test_dawid_skene_has_the_numbers_of_its_equations():
    """crowd-kit's and our own, beside ten lines; as many rounds as crowd-kit took."""
    made = workers(3, pairs=80).panel
    found = dawid_skene(made, neutral=False)
    plain = ten_lines(made.pair, made.annotator, made.said, 2, found.rounds)
    assert found.posterior[made.voted] == pytest.approx(plain[made.voted], abs=1e-6)
    both = np.concatenate([made.pair, made.pair + made.pairs])
    mirrored = ten_lines(both, np.tile(made.annotator, 2), np.concatenate([made.said, turned(made.said)]), 2, 400)
    assert smoothed_dawid_skene(made, pseudo=0).posterior[made.voted] == pytest.approx(
        mirrored[: made.pairs][made.voted], abs=1e-3
    )


def test_an_end_that_comes_early_is_told():
    """crowd-kit stops by a bound of its own; whether the labels stand still is asked of the labels."""
    made = workers(3, pairs=80).panel
    found = dawid_skene(made)
    assert found.converged == (found.facts["last_change"] < 1e-3)
    assert smoothed_dawid_skene(made).converged and one_coin(made).converged and glad(made).converged


def test_annotators_with_few_votes_may_share_a_matrix():
    votes = [(pair, annotator, FIRST if pair % 2 else SECOND) for pair in range(12) for annotator in range(3)]
    votes += [(0, 3, FIRST), (1, 4, FIRST)]
    found = dawid_skene(of_votes(votes), least_votes=5)
    assert found.facts["share_one_matrix"] == 2 and found.prob.round(6).tolist() == [0.0, 1.0] * 6


def test_glad_has_the_numbers_of_crowd_kit():
    made = workers(0, pairs=8).panel
    import pandas as pd

    model = load("crowd-kit", "crowdkit.aggregation", "a test").GLAD(
        n_iter=6, tol=-np.inf, m_step_tol=1e-5, labels_priors=pd.Series(0.5, index=[0, 1])
    )
    with quiet():
        model.fit(frame(made.pair, made.annotator, made.said))
    assert glad(made).posterior[model.probas_.index] == pytest.approx(model.probas_[[0, 1]].to_numpy(), abs=0.02)


def test_bradley_terry_has_the_closed_form_of_two_answers():
    """Three votes to one: log odds log((3 + c) / (1 + c)); ties are half a vote each way."""
    votes = [(0, 0, FIRST), (0, 1, FIRST), (0, 2, FIRST), (0, 3, SECOND)]
    assert bradley_terry(of_votes(votes), pseudo=0.1).prob[0] == pytest.approx(3.1 / 4.2)
    votes += [(0, 4, TIE), (0, 5, TIE)]
    assert bradley_terry(of_votes(votes), pseudo=0.1).prob[0] == pytest.approx(4.1 / 6.2)


@pytest.mark.parametrize("name", METHODS)
def test_all_agree(name):
    """Nobody errs: every label is what was said, and nobody is below chance."""
    said = [FIRST, SECOND, FIRST, SECOND]
    found = METHODS[name].apply(of_votes([(pair, who, said[pair]) for pair in range(4) for who in range(3)]))
    assert ((found.prob > 0.5) == (np.array(said) == FIRST)).all() and not np.isnan(found.prob).any()
    assert (found.reliability.value > 0.9).all()


@pytest.mark.parametrize("name", METHODS)
def test_an_annotator_with_one_label_is_no_authority(name):
    """Whoever says `first` of everything is as often right as wrong, and says nothing."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 40)
    votes = [(pair, who, int(truth[pair])) for pair in range(40) for who in (0, 1)]
    votes += [(pair, 2, FIRST) for pair in range(40)]
    found = METHODS[name].apply(of_votes(votes))
    assert ((found.prob > 0.5) == (truth == 0)).all()
    assert found.reliability.value[2] < found.reliability.value[:2].min()


def test_a_missing_package_is_named_with_what_installs_it():
    with pytest.raises(ConfigError) as caught:
        load("crowd-kit", "crowdkit_that_is_not_there", "dawid-skene")
    assert caught.value.code == "label.extra" and "prefsmith[labels]" in caught.value.fix


def test_one_coin_is_drawn_to_the_mean_of_all():
    """An annotator with one vote is as good as the mean, not infallible."""
    crowd = workers(1)
    votes = np.stack([crowd.panel.pair, crowd.panel.annotator, crowd.panel.said], axis=1).tolist()
    made = of_votes([*votes, (0, 5, FIRST)], 300)
    strict, drawn = one_coin(made, pseudo=0.0), one_coin(made, pseudo=50.0)
    assert abs(drawn.prob[0] - 0.5) <= abs(strict.prob[0] - 0.5)
    assert crowd_bradley_terry(made).reliability.votes[5] == 1
