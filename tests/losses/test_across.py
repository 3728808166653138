"""Losses across the step: pairs that weigh each other, that are sorted, and that are kept or left out."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import comparisons, logit, optimum, scores_at, slopes, term, value
from losses.worlds import column

from prefsmith.losses.domain import evaluate
from prefsmith.types import SequenceScores

MARGIN = st.floats(-20, 20)


def softplus(x):
    return math.log1p(math.exp(x))


def of_margins(name, margins, **more):
    """The values of pairs with these margins, half of each on either side."""
    half = column(*margins) / 2
    return value(name, half, -half, **more)


def mean(values, weight=None):
    weight = torch.ones_like(values) if weight is None else column(*weight)
    return ((weight * values).sum() / weight.sum()).item()


# --- dr_dpo


def test_robust_pairs_by_hand():
    """Two pairs of margin 2 and -6 at beta 0.5: l = log(1 + e^-1) and log(1 + e^3), beta' = 2."""
    found = of_margins("dr_dpo", (2, -6), beta=0.5, beta_prime=2.0)
    one, two = softplus(-1), softplus(3)
    expected = -2 * math.log((math.exp(-one / 2) + math.exp(-two / 2)) / 2)
    assert found.tolist() == pytest.approx([expected] * 2, rel=1e-14)


def test_the_heavier_a_pair_s_loss_the_less_it_pulls():
    """Each pair's pull is that of dpo times exp(-l / beta'), which sum to 1."""
    margins, beta, prime = (3.0, -1.0, -8.0), 0.5, 0.7
    half = (column(*margins) / 2).requires_grad_(True)
    (pull,) = torch.autograd.grad(value("dr_dpo", half, -half, beta=beta, beta_prime=prime).mean(), half)
    plain = [2 * -beta / (1 + math.exp(beta * h)) for h in margins]
    weight = [math.exp(-softplus(-beta * h) / prime) for h in margins]
    assert pull.tolist() == pytest.approx([w / sum(weight) * g for w, g in zip(weight, plain, strict=True)], rel=1e-12)


@given(st.lists(MARGIN, min_size=1, max_size=6))
def test_a_large_beta_prime_is_the_mean_and_a_small_one_the_best_pair(margins):
    plain = of_margins("dpo", margins)
    assert mean(of_margins("dr_dpo", margins, beta_prime=1e7)) == pytest.approx(plain.mean().item(), abs=1e-6)
    small = 1e-5
    best = mean(of_margins("dr_dpo", margins, beta_prime=small))
    assert plain.min() - 1e-12 <= best <= plain.min() + small * math.log(len(margins)) + 1e-12


@pytest.mark.parametrize("prime", [1e6, 1e9, 1e15])
def test_a_large_beta_prime_costs_no_digits(prime):
    """beta' times the rounding of a logarithm near 0 was 0.07 of 0.70 at 1e15, and everything beyond."""
    margins = (3.0, -1.0, -8.0)
    exact = value("dpo", column(*margins), column(0.0, 0.0, 0.0))
    spread = (exact - exact.mean()).square().mean() / (2 * prime)  # the next term of the series
    found = of_margins("dr_dpo", margins, beta_prime=prime)
    assert found.tolist() == pytest.approx([(exact.mean() - spread).item()] * 3, rel=1e-14)


@given(st.lists(MARGIN, min_size=2, max_size=5), st.floats(0.05, 5))
def test_the_two_ways_to_the_robust_mean_agree(margins, prime):
    """For losses near each other and for losses far apart, in value and in slope."""
    each = value("dpo", column(*margins), column(*[0.0] * len(margins)))
    half = (column(*margins) / 2).requires_grad_(True)
    found = value("dr_dpo", half, -half, beta_prime=prime)
    shares = (-each / prime).softmax(0)
    plain = -0.1 * torch.sigmoid(-0.1 * column(*margins))
    assert found[0].item() == pytest.approx(
        -prime * (torch.logsumexp(-each / prime, 0).item() - math.log(len(margins))), rel=1e-12
    )
    assert torch.autograd.grad(found[0], half)[0].tolist() == pytest.approx((2 * shares * plain).tolist(), rel=1e-10)


@pytest.mark.parametrize("prob", [0.2, 0.5, 0.9])
def test_one_robust_pair_is_dpo_with_its_probability(prob):
    assert value("dr_dpo", -0.4, -0.9, prob=prob) == pytest.approx(value("dpo", -0.4, -0.9, prob=prob), rel=1e-14)
    among = optimum(lambda h: slopes_among("dr_dpo", h, prob), -100, 100)
    assert 0.1 * among == pytest.approx(logit(prob), abs=1e-9)


def slopes_among(name, h, prob):
    """The derivative by the first of three margins."""
    half = column(h / 2, 1.0, -2.0).requires_grad_(True)
    return torch.autograd.grad(value(name, half, -half, prob=prob).mean(), half)[0][0].item()


def test_a_robust_pair_of_weight_zero_is_not_there_and_weights_are_shares():
    assert (
        of_margins("dr_dpo", (2, -6, 40), weight=column(1, 3, 0))[0]
        == of_margins("dr_dpo", (2, -6, -6, -6), weight=column(5, 5, 5, 5))[0].item()
        == pytest.approx(-math.log((math.exp(-softplus(-0.2)) + 3 * math.exp(-softplus(0.6))) / 4))
    )


def test_a_hopeless_pair_neither_overflows_nor_hides_the_others():
    found = of_margins("dr_dpo", (0.0, -1e5), beta=1.0, beta_prime=0.01)
    assert found[0].item() == pytest.approx(math.log(2) + 0.01 * math.log(2))


# --- aot


def policy_and_reference(policy, reference, weight=None):
    """Pairs whose margins under policy and reference are these."""
    u, v = column(*policy).requires_grad_(True), column(*reference)
    half = torch.stack([u, -u], 1).flatten() / 2
    scores = SequenceScores(half, torch.stack([v, -v], 1).flatten() / 2, torch.full((2 * len(u),), 3))
    return u, scores, comparisons(len(u), weight=1.0 if weight is None else column(*weight))


def transported(policy, reference, weight=None, **settings):
    u, scores, labels = policy_and_reference(policy, reference, weight)
    values = term("aot", **settings)(scores, labels)
    (pull,) = torch.autograd.grad((labels.weight * values).sum(), u)
    return values.detach(), pull


def test_margins_are_sorted_on_both_sides_before_they_meet():
    """u = (4, 1), v = (0, 3): sorted 1 - 0 and 4 - 3, so both meet at d = 1."""
    values, pull = transported((4, 1), (0, 3), beta=0.5)
    assert values.tolist() == pytest.approx([softplus(-0.5)] * 2)
    assert pull.tolist() == pytest.approx([-0.5 / (1 + math.exp(0.5))] * 2)


@given(st.lists(st.tuples(MARGIN, MARGIN), min_size=1, max_size=6), st.randoms())
def test_which_pair_the_reference_s_margin_came_from_does_not_matter(both, random):
    policy, reference = (list(each) for each in zip(*both, strict=True))
    before, _ = transported(policy, reference)
    random.shuffle(reference)
    torch.testing.assert_close(before, transported(policy, reference)[0], rtol=1e-9, atol=1e-12)


@given(MARGIN, st.floats(0, 0.4))
def test_one_transported_pair_is_smoothed_dpo(h, smoothing):
    plain = of_margins("dpo", (h,), beta=0.2, label_smoothing=smoothing).item()
    assert of_margins("aot", (h,), beta=0.2, label_smoothing=smoothing).item() == pytest.approx(plain, rel=1e-12)


def test_smoothing_draws_every_coupling_to_its_log_odds():
    assert 0.01 * optimum(lambda h: slopes("aot", h / 2, -h / 2, label_smoothing=0.1)[0]) == pytest.approx(logit(0.9))


@pytest.mark.parametrize("weight", [(1, 2, 3), (2, 0, 5), (4, 1, 1)])
def test_data_weight_is_mass_as_if_pairs_stood_there_so_often(weight):
    policy, reference = (2.0, -1.0, 0.3), (0.5, 1.5, -2.0)
    values, pull = transported(policy, reference, weight, beta=0.3)
    often = [place for place, many in enumerate(weight) for _ in range(many)]
    plain, single = transported([policy[i] for i in often], [reference[i] for i in often], beta=0.3)
    assert mean(values, weight) == pytest.approx(plain.mean().item(), rel=1e-12)
    parts = torch.zeros(3, dtype=torch.float64).index_add(0, torch.tensor(often), single)
    torch.testing.assert_close(pull, parts, rtol=1e-10, atol=1e-12)


# --- beta_dpo


def followed(margins, state=None, draws=None, weight=1.0, **settings):
    return of_margins("beta_dpo", margins, state=state, draws=draws, weight=weight, **settings)


def state(mean=0.0, deviation=0.0):
    return {"mean": mean, "deviation": deviation}


def test_beta_follows_how_far_the_step_s_margins_lie_above_the_past_s():
    """M = (3 + 1) / 2 = 2 against M0 = 0.5: b = 0.1 (1 + 0.6 * 1.5) = 0.19."""
    found = followed((3, 1), state(0.5, 1.0))
    assert found.tolist() == pytest.approx([softplus(-0.19 * 3), softplus(-0.19)], rel=1e-14)


def test_beta_has_a_floor():
    assert followed((-30, -50), state(5.0, 1.0)).tolist() == pytest.approx([softplus(0.03), softplus(0.05)], rel=1e-14)


def test_beta_is_a_number_to_the_gradient():
    half = column(1.5, 0.5).requires_grad_(True)
    (pull,) = torch.autograd.grad(value("beta_dpo", half, -half, state=state(0.5, 1.0)).sum(), half)
    assert pull.tolist() == pytest.approx([-2 * 0.19 / (1 + math.exp(0.19 * h)) for h in (3, 1)], rel=1e-12)


def test_past_margins_are_averaged_from_zero():
    """Margins 3 and 1: mean 2, deviation 1; then 6 and 0: mean 3, deviation 3."""
    loss, labels = term("beta_dpo"), comparisons(2)
    once = loss.next_state(loss.first_state(), scores_at(column(3, 1), column(0, 0)), labels)
    assert once == pytest.approx({"mean": 0.2, "deviation": 0.1})
    twice = loss.next_state(once, scores_at(column(6, 0), column(0, 0)), labels)
    assert twice == pytest.approx({"mean": 0.9 * 0.2 + 0.3, "deviation": 0.9 * 0.1 + 0.3})
    nothing = replace(labels, weight=torch.zeros_like(labels.weight))
    assert loss.next_state(twice, scores_at(column(9, 9), column(0, 0)), nothing) == twice


def test_the_mean_is_over_what_was_kept():
    """The pair 30 deviations away has no chance; the rest give M = 1 and a mean of their own."""
    margins, draws = (1.0, 2.0, 40.0, 1.5, -0.5), column(0.5, 0.5, 0.5, 0.5, 0.5)
    found = followed(margins, state(1.0, 1.3), draws, rho=0.2)
    rest = [h for h in margins if h < 30]
    b = 0.1
    assert found[2] == 0 and (found > 0).sum() == 4
    assert found.mean().item() == pytest.approx(sum(softplus(-b * h) for h in rest) / 4, rel=1e-14)


@pytest.mark.parametrize(
    ("pairs", "rho", "dropped"),
    [(5, 0.2, 1), (4, 0.2, 0), (9, 0.4, 3), (100, 0.29, 29), (3, 0.99, 2), (3, 1 - 1e-12, 2)],
)
def test_as_many_are_left_out_as_asked(pairs, rho, dropped):
    draws = torch.rand(pairs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = followed(torch.linspace(-1, 3, pairs).tolist(), state(1.0, 2.0), draws, rho=rho)
    assert int((found == 0).sum()) == dropped


@pytest.mark.parametrize("why", [{"draws": None, "state": state(1.0, 2.0)}, {"state": state(1.0, 0.0)}, {"rho": 0.0}])
def test_nothing_is_left_out_in_evaluation_nor_before_margins_differed(why):
    given = {"draws": column(0.1, 0.5, 0.9, 0.3, 0.7), "state": state(1.0, 2.0), "rho": 0.4} | why
    assert (followed((1, 2, 3, 4, 90), **given) > 0).all()
    assert torch.isfinite(followed((0, 0, 0, 0, 0), **given)).all()  # margins that are all equal


def test_a_pair_of_weight_zero_neither_counts_nor_takes_a_place():
    draws = column(0.1, 0.5, 0.9, 0.3, 0.7, 0.2)
    with_it = followed((1, 2, 3, 4, 90, 1000), state(1.0, 2.0), draws, weight=column(1, 1, 1, 1, 1, 0))
    without = followed((1, 2, 3, 4, 90), state(1.0, 2.0), draws[:5])
    torch.testing.assert_close(with_it[:5], without, rtol=1e-14, atol=0)


def test_pairs_are_drawn_without_replacement_by_their_likelihood():
    """Two of three are kept; the chance of each couple, summed over both orders, against 4000 draws."""
    margins, past = (0.0, 1.5, 2.5), state(0.0, 1.5)
    weight = [math.exp(-(((h - 0.0) / 1.5) ** 2) / 2) for h in margins]
    generator, seen = torch.Generator().manual_seed(0), dict.fromkeys(itertools.combinations(range(3), 2), 0)
    loss, labels = term("beta_dpo", rho=0.34), comparisons(3)
    scores = scores_at(column(*margins) / 2, -column(*margins) / 2)
    for _ in range(4000):
        draws = torch.rand(3, dtype=torch.float64, generator=generator)
        values, _ = evaluate(loss, scores, labels, past, draws)
        seen[tuple(values.nonzero()[:, 0].tolist())] += 1
    for (one, two), count in seen.items():
        first, second = weight[one] / sum(weight), weight[two] / sum(weight)
        chance = first * second / (1 - first) + second * first / (1 - second)
        assert abs(count / 4000 - chance) < 4 * math.sqrt(chance * (1 - chance) / 4000)
