"""Single completions against a remembered or a fixed point."""

import math

import pytest
import torch
from losses.slopes import at, sequence_scores
from losses.worlds import column, ratings

from prefsmith.losses import resolve


@pytest.mark.parametrize("mean", [0.0, 0.4, -1.0])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_bco_is_smallest_where_the_reward_is_the_labels_log_odds_above_the_mean(share, mean):
    """Caught: d with the wrong sign, or inside beta."""
    beta, state = 0.1, {"mean": mean, "count": 3.0}

    def slope(distance):
        there = (mean + math.log(share / (1 - share)) + distance) / beta
        return at("bco_unpaired", [there], ratings((0, share), mismatched=(0,)), state=state, beta=beta)[1].item()

    assert abs(slope(0.0)) < 1e-12
    assert slope(-0.01) < -1e-6 and slope(0.01) > 1e-6


def test_bco_remembers_the_mean_reward_of_all_ratings_seen():
    """Cumulative, not an average that forgets; weighted by the data; both classes; of the steps before."""
    term = resolve("bco_unpaired", {"beta": 0.5})
    steps = [([1.0, 3.0, -1.0], (1.0, 1.0, 2.0)), ([4.0, 0.0, 1.0], (0.5, 0.0, 3.0))]
    state, rewards, weights = term.first_state(), [], []
    for ratios, weight in steps:
        labels = ratings((0, 1.0), (1, 0.0), (2, 1.0), mismatched=(0,))
        labels.weight.copy_(column(*weight))
        state = term.next_state(state, sequence_scores(ratios, reference=[0.0] * 3), labels)
        rewards += [0.5 * ratio for ratio in ratios]
        weights += weight
    mean = sum(r * w for r, w in zip(rewards, weights, strict=True)) / sum(weights)
    assert state == pytest.approx({"mean": mean, "count": sum(weights)})
    labels.weight.zero_()
    assert term.next_state(term.first_state(), sequence_scores([1.0] * 3, reference=[0.0] * 3), labels) == {
        "mean": 0.0,
        "count": 0.0,
    }


def test_bco_starts_from_zero_and_the_mean_pulls_on_nothing():
    labels = ratings((0, 1.0), (1, 0.0), mismatched=(0,))
    values, _ = at("bco_unpaired", [1.0, 2.0], labels, beta=0.1)
    assert values.tolist() == pytest.approx([math.log1p(math.exp(-0.1)), math.log1p(math.exp(0.2))])
    _, gradient = at("bco_unpaired", [1.0, 2.0], labels, state={"mean": 0.3, "count": 2.0}, beta=0.1)
    wanted = 0.1 * torch.sigmoid(column(0.3 - 0.1, 0.2 - 0.3)) * column(-1, 1)
    torch.testing.assert_close(gradient, wanted)


def test_apo_zero_is_the_two_halves_of_the_loss_on_pairs():
    """1 - s(beta D_w) + s(beta D_l), here one rating each."""
    values, gradient = at("apo_zero_unpaired", [0.5, -1.5], ratings((0, 1.0), (1, 0.0), mismatched=(0,)), beta=2.0)
    up = torch.sigmoid(column(1.0, -3.0))
    torch.testing.assert_close(values, torch.stack([1 - up[0], up[1]]))
    torch.testing.assert_close(gradient, 2 * column(-1, 1) * up * (1 - up))


@pytest.mark.parametrize("ratio", [-1e5, -50.0, 0.0, 50.0, 1e5])
def test_apo_zero_stays_between_nothing_and_one(ratio):
    values, gradient = at("apo_zero_unpaired", [ratio, ratio], ratings((0, 1.0), (1, 0.0), mismatched=(0,)))
    assert ((values >= 0) & (values <= 1)).all() and values.sum().item() == pytest.approx(1)
    assert gradient.abs().max() <= 0.025 + 1e-15  # strongest at the reference
