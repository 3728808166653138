"""Rewards per token against a target margin: closed forms, limits, and what alpha-DPO remembers."""

import math

import pytest
import torch
from losses.slopes import at, sequence_scores
from losses.worlds import column, pairs

from prefsmith.losses import resolve

PROBS = [0.05, 0.3, 0.5, 0.8, 0.99]


def optimum(prob, gamma):
    half = math.log(prob / (1 - prob)) / 2
    return half + math.asinh(math.exp(gamma) * math.sinh(half))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("prob", PROBS)
def test_the_mixture_over_who_is_better_has_its_optimum_in_closed_form(prob, gamma):
    """Caught: a gamma that does not turn with the pair, whose optimum would be gamma + logit(p)."""
    labels, beta = pairs((0, 1), prob=prob), 2.5
    x = optimum(prob, gamma)
    assert prob * (1 + math.exp(-x - gamma)) == pytest.approx((1 - prob) * (1 + math.exp(x - gamma)))

    def slope(distance):
        return at("simpo", [(x + distance) / beta - 1.0, -1.0], labels, beta=beta, gamma=gamma)[1][0].item()

    assert abs(slope(0.0)) < 1e-12
    assert slope(-1e-3) < -1e-9 and slope(1e-3) > 1e-9


@pytest.mark.parametrize("prob", PROBS)
def test_without_a_margin_the_optimum_is_the_labels_log_odds(prob):
    assert optimum(prob, 0.0) == pytest.approx(math.log(prob / (1 - prob)))


@pytest.mark.parametrize("alpha", [-1.0, 0.25, 2.0])
@pytest.mark.parametrize("prob", PROBS)
def test_alphapo_has_the_same_optimum_in_its_own_reward(prob, alpha):
    x, beta, low = optimum(prob, 0.1), 20.0, -1.2
    reward = -math.expm1(-alpha * low) / alpha + x / beta
    high = -math.log1p(-alpha * reward) / alpha
    _, gradient = at("alphapo", [high, low], pairs((0, 1), prob=prob), beta=beta, alpha=alpha, gamma=0.1)
    assert gradient.abs().max() < 1e-12


def test_alphapo_becomes_simpo_as_the_curvature_goes():
    policy, labels, tokens = [-7.0, -11.0], pairs((0, 1), prob=0.7), (3, 5)
    wanted = at("simpo", policy, labels, tokens=tokens, beta=2.5, gamma=0.1)
    for alpha, near in ((0.0, 1e-15), (1e-9, 1e-8), (-1e-9, 1e-8)):
        for found, known in zip(at("alphapo", policy, labels, tokens=tokens, alpha=alpha), wanted, strict=True):
            torch.testing.assert_close(found, known, rtol=near, atol=0)


@pytest.mark.parametrize("alpha", [-5.0, 0.25, 5.0])
@pytest.mark.parametrize("average", [-1e4, -60.0, 0.0, 50.0])
def test_alphapo_is_finite_where_its_exponential_is_not(average, alpha):
    for policy in ([average, -1.0], [-1.0, average]):
        values, gradient = at("alphapo", policy, pairs((0, 1)), alpha=alpha)
        assert torch.isfinite(values).all() and torch.isfinite(gradient).all()


def test_gamma_is_absolute_and_length_does_not_matter():
    """Caught: gamma multiplied by beta, and sums in place of means."""
    wanted = math.log1p(math.exp(0.5 - 2.0 * (-0.5 + 1.0)))
    for policy, tokens in (([-1.0, -3.0], (2, 3)), ([-5.0, -1.0], (10, 1))):
        assert at("simpo", policy, pairs((0, 1)), tokens=tokens)[0].item() == pytest.approx(wanted)


FAR, NEAR = [-3.0, -8.0, -2.0, -6.0], [-4.0, -6.0, -3.0, -5.0]
LENGTHS = (2, 4, 1, 3)
STATE = {"mean": 0.3, "std": 0.5}


def moved(policy, reference):
    ratio = (column(*policy) - column(*reference)) / torch.tensor(LENGTHS)
    return ratio[[0, 2]] - ratio[[1, 3]]


@pytest.mark.parametrize(
    ("state", "alpha"), [({"mean": 0.0, "std": 0.0}, 0.2), ({"mean": 9.0, "std": 0.0}, 0.2), (STATE, 0.0)]
)
def test_alpha_dpo_is_simpo_while_nothing_is_remembered_or_asked(state, alpha):
    labels = pairs((0, 1), (2, 3))
    own = at("alpha_dpo", FAR, labels, reference=NEAR, tokens=LENGTHS, state=state, alpha=alpha, gamma=0.6)
    other = at("simpo", FAR, labels, tokens=LENGTHS, beta=2.5, gamma=1.5)
    for found, known in zip(own, other, strict=True):
        torch.testing.assert_close(found, known, rtol=1e-13, atol=0)


def test_the_target_of_alpha_dpo_is_a_number_to_the_gradient():
    labels, beta, gamma, alpha = pairs((0, 1), (2, 3)), 2.5, 0.6, 0.2
    target = gamma + alpha * (moved(FAR, NEAR) - STATE["mean"]) / STATE["std"]
    average = column(*FAR) / torch.tensor(LENGTHS)
    missing = beta * (target - average[[0, 2]] + average[[1, 3]])
    values, gradient = at(
        "alpha_dpo", FAR, labels, reference=NEAR, tokens=LENGTHS, state=STATE, beta=beta, gamma=gamma, alpha=alpha
    )
    torch.testing.assert_close(values, torch.nn.functional.softplus(missing))
    pull = beta * torch.sigmoid(missing)
    wanted = torch.stack([-pull[0], pull[0], -pull[1], pull[1]]) / torch.tensor(LENGTHS)
    torch.testing.assert_close(gradient, wanted)


def remembered(labels, *steps, **settings):
    term = resolve("alpha_dpo", settings)
    state = term.first_state()
    for policy in steps:
        state = term.next_state(state, sequence_scores(policy, reference=NEAR, tokens=LENGTHS), labels)
    return state


def test_alpha_dpo_remembers_mean_and_sample_deviation_with_nine_parts_old():
    """With data weights of one it is torch.std of the authors; at the start both are 0."""
    labels, further = pairs((0, 1), (2, 3)), [-2.0, -9.0, -1.0, -5.5]
    first, second = moved(FAR, NEAR), moved(further, NEAR)
    found = remembered(labels, FAR, further)
    assert found["mean"] == pytest.approx(0.09 * first.mean().item() + 0.1 * second.mean().item())
    assert found["std"] == pytest.approx(0.09 * first.std().item() + 0.1 * second.std().item())
    assert remembered(labels, NEAR) == {"mean": 0.0, "std": 0.0}  # policy equals reference: nothing is 0 / 0


def test_a_step_of_one_comparison_says_nothing_of_the_spread():
    one, both = pairs((0, 1)), pairs((0, 1), (2, 3))
    after = remembered(one, FAR)
    assert after["std"] == 0 and after["mean"] == pytest.approx(0.1 * moved(FAR, NEAR)[0].item())
    term = resolve("alpha_dpo", {})
    scores = sequence_scores(FAR, reference=NEAR, tokens=LENGTHS)
    assert term.next_state(STATE, scores, one)["std"] == STATE["std"]
    both.weight[1] = 0.0  # no weight is no comparison
    assert term.next_state(STATE, scores, both) == pytest.approx(term.next_state(STATE, scores, one))
    both.weight[0] = 0.0
    assert term.next_state(STATE, scores, both) == STATE


@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_small_weights_do_not_blow_the_deviation_up(weight):
    """A list cut into pairs gives them fractions; Bessel's n - 1 must not see a sum of weights near 1."""
    found = remembered(pairs((0, 1), (2, 3), weight=weight), FAR)
    assert found["std"] == pytest.approx(0.1 * moved(FAR, NEAR).std().item())
