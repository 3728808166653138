"""Losses against numbers that were worked out elsewhere and problems whose answer is known."""

import math

import pytest
import torch

from prefsmith.losses import LOSSES
from prefsmith.types import Preferences, Ratings, SequenceScores


def column(*values):
    return torch.tensor(values, dtype=torch.float64)


POLICY, REFERENCE, TOKENS = column(-12.3, -15.1), column(-11.9, -14.2), torch.tensor([7, 9])


def preferences(chosen, rejected, prob, weight=None):
    prob = torch.as_tensor(prob, dtype=torch.float64).expand(len(chosen))
    weight = torch.ones(len(chosen), dtype=torch.float64) if weight is None else weight
    return Preferences(
        torch.as_tensor(chosen), torch.as_tensor(rejected), prob, weight, torch.full_like(weight, math.nan)
    )


@pytest.mark.parametrize(
    ("name", "settings", "prob", "value", "at_reference"),
    [
        ("dpo", {"beta": 0.1}, 1.0, 0.668459648013, 0.69314718056),
        ("dpo", {"beta": 0.1, "label_smoothing": 0.1}, 1.0, 0.673459648013, 0.69314718056),
        ("dpo", {"beta": 0.1}, 0.8, 0.678459648013, 0.69314718056),
        ("ipo", {"tau": 0.1}, 1.0, 20.25, 25.0),
        ("ipo", {"tau": 0.1, "length_norm": "token"}, 1.0, 24.5732653061, 25.0),
        ("ipo", {"tau": 0.1}, 0.8, 22.25, 25.0),
    ],
)
def test_check_values_of_pairs(name, settings, prob, value, at_reference):
    prefs = preferences([0], [1], prob)
    loss = LOSSES[name].fn
    assert loss(SequenceScores(POLICY, REFERENCE, TOKENS), prefs, **settings).item() == pytest.approx(value, rel=1e-10)
    assert loss(SequenceScores(REFERENCE, REFERENCE, TOKENS), prefs, **settings).item() == pytest.approx(
        at_reference, rel=1e-10
    )


def test_check_values_of_kto():
    """z0 = .1 comes from a third, mismatched sequence with log-ratio .1."""
    scores = SequenceScores(
        torch.cat([POLICY, column(-5.0)]), torch.cat([REFERENCE, column(-5.1)]), torch.tensor([7, 9, 3])
    )
    ratings = Ratings(torch.tensor([0, 1]), column(1.0, 0.0), column(1.0, 1.0), torch.tensor([2]))
    desirable, undesirable = LOSSES["kto"].fn(scores, ratings, beta=0.1).tolist()
    assert desirable == pytest.approx(0.512497396484, rel=1e-10)
    assert undesirable == pytest.approx(0.475020812521, rel=1e-10)


def test_kto_reference_point_is_never_negative_and_is_a_mean_over_all_mismatched():
    def value(*mismatched):
        policy = column(0.5, *mismatched)
        scores = SequenceScores(policy, torch.zeros_like(policy), torch.ones(len(policy)).long())
        ratings = Ratings(torch.tensor([0]), column(1.0), column(1.0), torch.arange(1, len(policy)))
        return LOSSES["kto"].fn(scores, ratings, beta=1.0).item()

    assert value(-3.0) == value(0.0) == pytest.approx(1 - 1 / (1 + math.exp(-0.5)))
    assert value(0.2, 0.4) == pytest.approx(value(0.3)) == pytest.approx(1 - 1 / (1 + math.exp(-0.2)))


def test_sft_is_the_mean_over_tokens():
    ratings = Ratings(torch.tensor([1, 0]), column(1.0, 1.0), column(1.0, 1.0))
    values = LOSSES["sft"].fn(SequenceScores(POLICY, None, TOKENS), ratings).tolist()
    assert values == pytest.approx([15.1 / 9, 12.3 / 7])


def fitted(loss, reference, all_pairs, weights, probs, **settings):
    """log pi that minimises the loss of every ordered pair: a policy over K outcomes, found by L-BFGS."""
    logits = reference.log().clone().requires_grad_(True)
    chosen, rejected = all_pairs
    prefs = preferences(chosen, rejected, probs, weights)
    optimizer = torch.optim.LBFGS(
        [logits], lr=1, max_iter=2000, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        policy = logits.log_softmax(0)
        scores = SequenceScores(policy, reference.log(), torch.ones(len(reference)).long())
        value = (weights * loss(scores, prefs, **settings)).sum()
        value.backward()
        return value

    for _ in range(5):
        optimizer.step(closure)
    return logits.detach().log_softmax(0)


def outcomes(k, seed):
    generator = torch.Generator().manual_seed(seed)
    reference = torch.rand(k, dtype=torch.float64, generator=generator) + 0.1
    reward = 1.5 * torch.randn(k, dtype=torch.float64, generator=generator)
    all_pairs = torch.combinations(torch.arange(k)).T
    return reference / reference.sum(), reward, all_pairs, generator


@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0, 5.0])
def test_dpo_finds_the_tilted_reference(beta):
    """pi* is proportional to reference exp(r / beta) where labels are Bradley-Terry of r."""
    reference, reward, (chosen, rejected), _ = outcomes(6, seed=1)
    probs = torch.sigmoid(reward[chosen] - reward[rejected])
    found = fitted(LOSSES["dpo"].fn, reference, (chosen, rejected), torch.ones_like(probs), probs, beta=beta)
    expected = (reference.log() + reward / beta).log_softmax(0)
    assert 0.5 * (found.exp() - expected.exp()).abs().sum() < 1e-6


@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_ipo_finds_its_closed_form_for_any_preferences(tau):
    """pi* is proportional to reference exp(P(y beats a uniform answer) / tau), also where P is a cycle."""
    reference, _, (chosen, rejected), generator = outcomes(5, seed=2)
    probs = torch.rand(len(chosen), dtype=torch.float64, generator=generator)
    found = fitted(LOSSES["ipo"].fn, reference, (chosen, rejected), torch.ones_like(probs), probs, tau=tau)
    wins = torch.full((5, 5), 0.5, dtype=torch.float64)
    wins[chosen, rejected], wins[rejected, chosen] = probs, 1 - probs
    expected = (reference.log() + wins.mean(1) / tau).log_softmax(0)
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)


LOG_ODDS = [(0.74, 0.0, 1.046), (0.74, 0.2, 0.593), (0.1, 0.0, -2.197)]


@pytest.mark.parametrize(("prob", "smoothing", "optimum"), LOG_ODDS)
def test_dpo_is_smallest_where_the_margin_is_the_labels_log_odds(prob, smoothing, optimum):
    """A label of .74, seen through flips of 20 %, is shrunk a second time by smoothing."""
    beta, prefs = 0.1, preferences([0], [1], prob)

    def slope(at):
        policy = column(at / beta, 0.0).requires_grad_(True)
        scores = SequenceScores(policy, torch.zeros(2, dtype=torch.float64), torch.tensor([1, 1]))
        LOSSES["dpo"].fn(scores, prefs, beta=beta, label_smoothing=smoothing).sum().backward()
        return policy.grad[0].item()

    assert slope(optimum - 2e-3) < 0 < slope(optimum + 2e-3)


@pytest.mark.parametrize(("prob", "tau"), [(1.0, 0.1), (0.8, 0.1), (0.5, 2.0)])
def test_ipo_is_smallest_at_its_target(prob, tau):
    policy = column((prob - 0.5) / tau, 0.0).requires_grad_(True)
    scores = SequenceScores(policy, torch.zeros(2, dtype=torch.float64), torch.tensor([3, 5]))
    LOSSES["ipo"].fn(scores, preferences([0], [1], prob), tau=tau).sum().backward()
    assert policy.grad.abs().max() < 1e-12


def test_dpo_gradient_is_the_papers():
    """-beta s(-beta h) on chosen, its negative on rejected (the paper's section 4; eq. 21 has the sign swapped)."""
    policy = POLICY.clone().requires_grad_(True)
    LOSSES["dpo"].fn(SequenceScores(policy, REFERENCE, TOKENS), preferences([0], [1], 1.0), beta=0.3).sum().backward()
    weight = 0.3 / (1 + math.exp(0.3 * 0.5))
    torch.testing.assert_close(policy.grad, column(-weight, weight), rtol=1e-12, atol=0)


@pytest.mark.parametrize("undesirable_weight", [1.0, 2.0])
@pytest.mark.parametrize("desirable_share", [0.9, 0.7, 0.6, 0.4, 0.2])
def test_kto_moves_by_the_majority(desirable_share, undesirable_weight):
    """The sign of q w_D - (1 - q) w_U, not a function of how much better."""
    policy = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    scores = SequenceScores(policy, torch.zeros(2, dtype=torch.float64), torch.tensor([1, 1]))
    ratings = Ratings(torch.tensor([0, 0]), column(1.0, 0.0), column(1.0, 1.0), torch.tensor([1]))
    share = column(desirable_share, 1 - desirable_share)
    (share * LOSSES["kto"].fn(scores, ratings, undesirable_weight=undesirable_weight)).sum().backward()
    expected = desirable_share - (1 - desirable_share) * undesirable_weight
    assert math.copysign(1, -policy.grad[0].item()) == math.copysign(1, expected)
