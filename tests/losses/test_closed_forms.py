"""Losses against numbers that were worked out elsewhere and problems whose answer is known."""

import itertools
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


def test_the_implicit_reward_of_the_optimum_is_the_reward_and_ranks_as_well_as_anyone_can():
    """beta times the log-ratio is r up to a constant; its pair accuracy is that of the true reward."""
    beta = 0.3
    reference, reward, (chosen, rejected), _ = outcomes(6, seed=4)
    probs = torch.sigmoid(reward[chosen] - reward[rejected])
    found = fitted(LOSSES["dpo"].fn, reference, (chosen, rejected), torch.ones_like(probs), probs, beta=beta)
    implicit = beta * (found - reference.log())
    assert (implicit - reward).std() < 1e-6
    accuracy = torch.where(implicit[chosen] > implicit[rejected], probs, 1 - probs).mean()
    bayes = torch.maximum(probs, 1 - probs).mean()
    assert accuracy.item() == pytest.approx(bayes.item(), rel=1e-12)


@pytest.mark.parametrize("moving", [True, False])
def test_rounds_go_further_from_a_reference_that_moves_than_from_one_that_stays(moving):
    """After k rounds: proportional to pi_0 exp(k r / beta) if each round's result is the next one's reference."""
    beta = 1.0
    start, reward, (chosen, rejected), _ = outcomes(5, seed=5)
    probs = torch.sigmoid(reward[chosen] - reward[rejected])
    reference = start
    for number in range(1, 4):
        found = fitted(LOSSES["dpo"].fn, reference, (chosen, rejected), torch.ones_like(probs), probs, beta=beta)
        times = number if moving else 1
        expected = (start.log() + times * reward / beta).log_softmax(0)
        torch.testing.assert_close(found.exp(), expected.exp(), atol=1e-6, rtol=0)
        reference = found.exp() if moving else start


def test_rounds_of_best_against_worst_raise_the_true_reward():
    """Eight samples a round from the policy of the round before, judged with noise, best against worst."""
    better = 0
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        reward = torch.randn(30, dtype=torch.float64, generator=generator)
        log_policy = torch.zeros(30, dtype=torch.float64).log_softmax(0)
        seen = [(log_policy.exp() * reward).sum().item()]
        for _ in range(3):
            samples = torch.multinomial(log_policy.exp(), 400 * 5, replacement=True, generator=generator).view(400, 5)
            noisy = reward[samples] + 0.3 * torch.randn(samples.shape, dtype=torch.float64, generator=generator)
            best, worst = (samples.gather(1, pick[:, None])[:, 0] for pick in (noisy.argmax(1), noisy.argmin(1)))
            log_policy = trained(log_policy, best[best != worst], worst[best != worst])
            seen.append((log_policy.exp() * reward).sum().item())
        better += all(after > before for before, after in itertools.pairwise(seen))
    assert better >= 9


def trained(log_reference, best, worst):
    """150 Adam steps of dpo with beta one half, from the reference."""
    logits = log_reference.clone().requires_grad_(True)
    adam, prefs = torch.optim.Adam([logits], lr=0.05), preferences(best, worst, 1.0)
    ones = torch.ones(len(logits)).long()
    for _ in range(150):
        adam.zero_grad()
        scores = SequenceScores(logits.log_softmax(0), log_reference, ones)
        LOSSES["dpo"].fn(scores, prefs, beta=0.5).mean().backward()
        adam.step()
    return logits.detach().log_softmax(0)


def descended(loss, steps, rate, **settings):
    """The margin of one sure pair after each power of ten of gradient steps."""
    logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    reference, prefs, ones = column(0.3, 0.7).log(), preferences([0], [1], 1.0), torch.tensor([1, 1])
    margins = {}
    for number in range(1, steps + 1):
        scores = SequenceScores(logits.log_softmax(0), reference, ones)
        (gradient,) = torch.autograd.grad(loss(scores, prefs, **settings).sum(), logits)
        with torch.no_grad():
            logits -= rate * gradient
        if math.log10(number).is_integer():
            margins[number] = (scores.log_ratio()[0] - scores.log_ratio()[1]).item()
    return margins, logits.detach().softmax(0)[0].item()


def test_a_sure_pair_drives_dpo_on_for_ever_and_ipo_to_its_target():
    margins, _ = descended(LOSSES["dpo"].fn, 10_000, 1.0, beta=1.0)
    assert all(margins[10 * n] - margins[n] >= 2 for n in (10, 100, 1000))
    tau = 0.5
    margins, share = descended(LOSSES["ipo"].fn, 1000, 0.1, tau=tau)
    assert margins[1000] == pytest.approx(margins[100], abs=1e-9) == pytest.approx(1 / (2 * tau), abs=1e-9)
    assert share == pytest.approx(1 / (1 + math.exp(-(math.log(0.3 / 0.7) + 1 / (2 * tau)))), abs=1e-9)
