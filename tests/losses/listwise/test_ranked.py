"""Plackett-Luce and LiPO-lambda against sums written out, pair by pair."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.slopes import at, sequence_scores
from losses.worlds import column, lists, pairs

from prefsmith.losses import resolve
from prefsmith.types import Rankings


def ranking(*tiers, scores=None):
    """Lists by their tiers, the items numbered as they come."""
    lengths = torch.tensor([len(tier) for tier in tiers])
    many = int(lengths.sum())
    return Rankings(
        torch.arange(many),
        torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        torch.tensor([each for tier in tiers for each in tier]),
        column(*(scores or [math.nan] * many)),
        torch.ones(len(tiers)).double(),
    )


def plain_plackett_luce(rewards, tiers):
    """Each item above the last tier against its tier and everything below."""
    total = 0.0
    for reward, tier in zip(rewards, tiers, strict=True):
        if tier < max(tiers):
            left = [other for other, place in zip(rewards, tiers, strict=True) if place >= tier]
            total += math.log(sum(math.exp(other) for other in left)) - reward
    return total


TIERS = st.lists(st.integers(0, 3), min_size=1, max_size=6).map(sorted)


@given(st.lists(TIERS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_lists_with_any_ties_are_the_sum_over_their_draws(tiers, random):
    """Caught: draws from the whole list, from the items below alone, and a last tier that counts."""
    ratios = [random.uniform(-4, 4) for tier in tiers for _ in tier]
    values, _ = at("plackett_luce", ratios, ranking(*tiers), beta=0.7)
    rest = iter([0.7 * ratio for ratio in ratios])
    wanted = [plain_plackett_luce(list(itertools.islice(rest, len(tier))), tier) for tier in tiers]
    assert values.tolist() == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_two_items_are_dpo_and_a_tie_of_two_is_nothing():
    ratios = [0.4, -1.1, 2.0, 3.0]
    values, gradient = at("plackett_luce", ratios, lists((0, 1), (2, 3)), beta=0.3)
    wanted, slope = at("dpo", ratios, pairs((0, 1), (2, 3)), beta=0.3)
    torch.testing.assert_close(values, wanted)
    torch.testing.assert_close(gradient, slope)
    values, gradient = at("plackett_luce", ratios[:2], ranking((0, 0)), beta=0.3)
    assert values.item() == 0 and gradient.tolist() == [0.0, 0.0]


def test_the_start_is_the_logarithm_of_the_orders_that_are_left_open():
    """log K! without ties; log K where only the best is known."""
    labels = ranking((0, 1, 2, 3), (0, 1, 1, 1), (0, 0, 1), (0, 0, 0))
    start = resolve("plackett_luce", {}).start(sequence_scores([0.0] * 14, reference=[0.0] * 14), labels)
    assert start.tolist() == pytest.approx([math.log(24), math.log(4), 2 * math.log(3), 0.0])


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_over_rankings_drawn_with_utilities_the_optimum_is_the_utilities(beta):
    utilities = column(1.0, -0.4, 0.3)
    orders = list(itertools.permutations(range(3)))
    labels = lists(*orders)
    chances = [
        math.exp(-plain_plackett_luce([utilities[each].item() for each in order], (0, 1, 2))) for order in orders
    ]
    assert sum(chances) == pytest.approx(1)
    ratios = (utilities / beta + 5.0).requires_grad_()
    scores = sequence_scores(ratios.detach(), reference=[0.0] * 3)
    scores = type(scores)(ratios, scores.reference, scores.tokens)
    (column(*chances) * resolve("plackett_luce", {"beta": beta})(scores, labels)).sum().backward()
    assert ratios.grad.abs().max() < 1e-12


def plain_lipo(ratios, scores, *, beta, psi, log):
    many = range(len(ratios))
    gain = list(scores)
    if psi == "win":
        gain = [
            sum(1 / (1 + math.exp(scores[j] - scores[i])) for j in many if j != i) / (len(ratios) - 1) for i in many
        ]
    order = sorted(many, key=lambda i: (-ratios[i], -gain[i], i))
    rank = {item: place for place, item in enumerate(order, start=1)}
    total, slope = 0.0, [0.0] * len(ratios)
    for i, j in itertools.permutations(many, 2):
        if gain[i] > gain[j]:
            weight = abs(2 ** gain[i] - 2 ** gain[j]) * abs(1 / log(1 + rank[i]) - 1 / log(1 + rank[j]))
            total += weight * math.log1p(math.exp(-beta * (ratios[i] - ratios[j])))
            pull = weight * beta / (1 + math.exp(beta * (ratios[i] - ratios[j])))
            slope[i] -= pull
            slope[j] += pull
    return total, slope


LOGS = {"natural": math.log, "log2": math.log2}


@given(
    st.integers(2, 6), st.sampled_from(["win", "score"]), st.sampled_from(list(LOGS)), st.randoms(use_true_random=False)
)
def test_lipo_is_its_sum_over_pairs_and_its_weights_pull_on_nothing(many, psi, discount, random):
    ratios = [random.choice([0.0, random.uniform(-9, 9)]) for _ in range(many)]  # some are equal
    scores = [random.choice([1.0, random.uniform(-2, 3)]) for _ in range(many)]
    labels = ranking(tuple(range(many)), scores=scores)
    values, gradient = at("lipo", ratios, labels, beta=0.3, psi=psi, discount=discount)
    wanted, slope = plain_lipo(ratios, scores, beta=0.3, psi=psi, log=LOGS[discount])
    assert values.item() == pytest.approx(wanted, rel=1e-10, abs=1e-13)
    assert gradient.tolist() == pytest.approx(slope, rel=1e-9, abs=1e-13)


def test_where_all_rewards_are_equal_the_ranks_are_those_of_the_labels():
    """Not those of the places: the list is in no order."""
    scores = [0.1, 0.9, 0.5]
    values, _ = at("lipo", [0.0] * 3, ranking((0, 0, 0), scores=scores), psi="score")
    weights = [
        (2**0.9 - 2**0.5) * (1 / math.log(2) - 1 / math.log(3)),
        (2**0.9 - 2**0.1) * (1 / math.log(2) - 1 / math.log(4)),
        (2**0.5 - 2**0.1) * (1 / math.log(3) - 1 / math.log(4)),
    ]
    assert values.item() == pytest.approx(math.log(2) * sum(weights))


def test_equal_labels_are_not_compared():
    values, gradient = at("lipo", [3.0, -1.0], ranking((0, 0), scores=[0.5, 0.5]))
    assert values.item() == 0 and gradient.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["plackett_luce", "lipo", "infonca", "nca_list"])
def test_far_rewards_and_large_scores_are_finite(name):
    labels = ranking((0, 1, 2), (0, 1), scores=[900.0, 2.0, -900.0, 1.0, 0.0])
    for ratios in ([1e5, -1e5, 0.0, -1e5, 1e5], [-1e5, 0.0, 1e5, 1e5, 1e5]):
        values, gradient = at(name, ratios, labels, beta=5.0)
        assert torch.isfinite(values).all() and torch.isfinite(gradient).all()
