"""Terms for mixtures: likelihood, and bounds on what the policy would say."""

import math

import pytest
import torch
from losses.slopes import at, sequence_scores
from losses.worlds import column, lists, pairs

from prefsmith.errors import ConfigError
from prefsmith.losses import resolve


@pytest.mark.parametrize(("length_norm", "size"), [("token", (3, 5)), ("none", (1, 1))])
def test_nll_is_the_cross_entropy_of_the_better_side(length_norm, size):
    values, gradient = at("nll", [-6.0, -10.0], pairs((0, 1), prob=0.7), tokens=(3, 5), length_norm=length_norm)
    assert values.item() == pytest.approx(0.7 * 6 / size[0] + 0.3 * 10 / size[1])
    assert gradient.tolist() == pytest.approx([-0.7 / size[0], -0.3 / size[1]])


@pytest.mark.parametrize("prob", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(("length_norm", "size"), [("token", (3, 5)), ("none", (1, 1))])
def test_nll_alone_gives_the_sides_in_the_ratio_of_the_label(prob, length_norm, size):
    """A policy over two outcomes: the optimum is p / tokens_w to (1 - p) / tokens_l, or p to 1 - p for sums."""
    logits = column(math.log(prob / size[0]), math.log((1 - prob) / size[1])).requires_grad_()
    scores = sequence_scores([0.0, 0.0], tokens=(3, 5))
    scores = type(scores)(logits.log_softmax(0), None, scores.tokens)
    resolve("nll", {"length_norm": length_norm})(scores, pairs((0, 1), prob=prob)).sum().backward()
    assert logits.grad.abs().max() < 1e-12


RATIOS, TOKENS = [0.3, -1.0, 0.8, 2.0, -0.5], (4, 10, 7, 20, 6)
LISTS = lists((0, 1, 2), (3, 4), scores=(0.5, -1.0, 2.0))  # scores .5, -1, 2 and .5, -1


def means(numbers):
    first = column(*RATIOS[:3]).softmax(0) @ column(*numbers[:3])
    second = column(*RATIOS[3:]).softmax(0) @ column(*numbers[3:])
    return first.item(), second.item()


def test_a_bound_on_length_counts_what_the_step_is_above_it_on_the_whole():
    """Every list has the excess of the step's mean: not each its own, and not a clamp per list."""
    first, second = means(TOKENS)
    mean = (first + second) / 2
    assert first < 10 < mean  # one list within the bound, the other beyond it
    values, gradient = at("length", RATIOS, LISTS, tokens=TOKENS, most=10.0)
    assert values.tolist() == pytest.approx([mean - 10] * 2)
    shares = column(*RATIOS[:3]).softmax(0)
    wanted = shares * (column(*TOKENS[:3]) - first)  # over two lists and halved by their mean
    torch.testing.assert_close(gradient[:3], wanted)
    values, gradient = at("length", RATIOS, LISTS, tokens=TOKENS, most=mean + 0.1)
    assert values.tolist() == [0.0, 0.0] and gradient.count_nonzero() == 0


def test_a_bound_on_the_score_is_from_below():
    mean = sum(means([0.5, -1.0, 2.0, 0.5, -1.0])) / 2
    values, gradient = at("constraint", RATIOS, LISTS, least=mean + 0.25)
    assert values.tolist() == pytest.approx([0.25] * 2)
    assert gradient[2] < 0 < gradient[1]  # up with the best of the first list, down with its worst
    values, gradient = at("constraint", RATIOS, LISTS, least=mean - 0.25)
    assert values.tolist() == [0.0, 0.0] and gradient.count_nonzero() == 0


@pytest.mark.parametrize("least", ["inf", "-inf", "nan"])
def test_a_bound_that_is_no_number_is_refused(least):
    with pytest.raises(ConfigError, match="is not a number"):
        resolve("constraint", {"least": least})


def test_lists_count_by_their_data_weight():
    first, second = means(TOKENS)
    labels = lists((0, 1, 2), (3, 4))
    labels.weight.copy_(column(3.0, 1.0))
    values, _ = at("length", RATIOS, labels, tokens=TOKENS, most=1.0)
    assert values.tolist() == pytest.approx([(3 * first + second) / 4 - 1] * 2)
    labels.weight.zero_()
    values, gradient = at("length", RATIOS, labels, tokens=TOKENS, most=1.0)
    assert torch.isfinite(values).all() and gradient.count_nonzero() == 0


def test_only_differences_within_a_list_enter_the_expectation():
    """The weights are normalised by themselves: what the lists have in common does not count."""
    shifted = [ratio + (50.0 if place < 3 else -80.0) for place, ratio in enumerate(RATIOS)]
    wanted, _ = at("length", RATIOS, LISTS, tokens=TOKENS, most=1.0)
    torch.testing.assert_close(at("length", shifted, LISTS, tokens=TOKENS, most=1.0)[0], wanted)


def test_the_expectation_is_exact_for_every_outcome_of_a_flat_reference_and_near_it_for_samples():
    policy, scores = column(0.5, 0.2, 0.2, 0.1), (1.0, 3.0, -2.0, 0.0)
    exact = (policy @ column(*scores)).item()
    value, _ = at(
        "constraint", policy.log(), lists((0, 1, 2, 3), scores=scores), reference=[math.log(0.25)] * 4, least=9.0
    )
    assert value.item() == pytest.approx(9 - exact)
    drawn = torch.randint(4, (4000,), generator=torch.Generator().manual_seed(0)).tolist()
    labels = lists(tuple(drawn), scores=[scores[each] for each in drawn])
    value, _ = at("constraint", policy.log(), labels, reference=[math.log(0.25)] * 4, least=9.0)
    assert value.item() == pytest.approx(9 - exact, abs=0.1)


class Bounded:
    """Mean reward - beta KL to a flat reference over eight outcomes, whose mean cost shall be within a budget."""

    def __init__(self):
        generator = torch.Generator().manual_seed(7)
        self.reward, self.cost = torch.randn(2, 8, dtype=torch.float64, generator=generator)
        self.cost = self.cost + self.reward  # what is rewarded is costly
        self.beta, self.flat = 0.5, math.log(1 / 8)
        self.budget = ((self.best(0.0).exp() @ self.cost) + self.cost.min()).item() / 2
        low, high = 0.0, 100.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if self.excess(middle) > 0 else (low, middle)
        self.multiplier = high

    def best(self, price):
        """The optimum of reward - price cost, as log-probabilities: the reference tilted."""
        return ((self.reward - price * self.cost) / self.beta).log_softmax(0)

    def excess(self, price):
        return (self.best(price).exp() @ self.cost).item() - self.budget

    def objective(self, logits, weight):
        """What is minimised: the term's value comes from the library."""
        policy = logits.log_softmax(-1)
        labels = lists(tuple(range(8)), scores=(-self.cost).tolist())
        scores = sequence_scores(policy.detach(), reference=[self.flat] * 8)
        scores = type(scores)(policy, scores.reference, scores.tokens)
        penalty = resolve("constraint", {"least": -self.budget})(scores, labels).sum()
        return (policy.exp() * (self.beta * (policy - self.flat) - self.reward)).sum() + weight * penalty


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_below_the_multiplier_the_penalty_is_a_price(share):
    """The cost stays where the weight's own optimum has it: above the budget."""
    world = Bounded()
    logits = world.best(share * world.multiplier).clone().requires_grad_()
    assert world.excess(share * world.multiplier) > 0.01
    (gradient,) = torch.autograd.grad(world.objective(logits, share * world.multiplier), logits)
    assert gradient.abs().max() < 1e-10


@pytest.mark.parametrize("share", [1.2, 5.0])
def test_above_the_multiplier_the_budget_is_kept_exactly(share):
    """The constrained optimum is the least of all policies near and far: the problem is convex in the policy."""
    world = Bounded()
    optimum, weight = world.best(world.multiplier), share * world.multiplier
    assert abs(world.excess(world.multiplier)) < 1e-10
    least = world.objective(optimum, weight).item()
    generator = torch.Generator().manual_seed(1)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(50):
            other = optimum + size * torch.randn(8, dtype=torch.float64, generator=generator)
            assert world.objective(other, weight).item() > least - 1e-12
    for price in (0.0, 0.5, 0.9, 1.1, 2.0):
        assert world.objective(world.best(price * world.multiplier), weight).item() > least
