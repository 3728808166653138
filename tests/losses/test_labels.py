"""What a label means: unsure, wrong, or a tie."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import best_margin, logit, slopes, value

RATIO = st.floats(-30, 30)


@given(RATIO, RATIO, st.floats(0, 1))
def test_geometric_dpo_is_dpo_with_beta_scaled_by_the_label(chosen, rejected, prob):
    if prob > 0.5:
        expected = value("dpo", chosen, rejected, beta=0.1 * (2 * prob - 1))
    else:  # the pair is turned
        expected = value("dpo", rejected, chosen, beta=0.1 * (1 - 2 * prob)) if prob < 0.5 else math.log(2)
    assert value("geometric_dpo", chosen, rejected, prob=prob) == pytest.approx(expected, rel=1e-12)


def test_geometric_dpo_pulls_without_end_where_dpo_has_its_optimum():
    """Not calibrated: at beta h = logit(p), and far beyond, it still raises the margin."""
    for margin in (logit(0.8) / 0.1, 1000.0):
        assert slopes("geometric_dpo", margin, 0.0, prob=0.8)[0] < 0 <= slopes("dpo", margin, 0.0, prob=0.8)[0] + 1e-12
    assert slopes("geometric_dpo", 3.0, -2.0, prob=0.5) == (0.0, 0.0)


@pytest.mark.parametrize(("observed", "noise"), [(0.74, 0.2), (0.5, 0.3), (0.3, 0.1)])
def test_robust_dpo_finds_the_log_odds_before_the_noise(observed, noise):
    """A true 0.9 seen through 20 % flips is 0.74: robust 2.197, dpo 1.046, smoothed dpo 0.593."""

    def slope(h):
        right, wrong = (slopes("robust_dpo", *sides, noise=noise, beta=1.0) for sides in ((h, 0.0), (0.0, h)))
        return observed * right[0] + (1 - observed) * wrong[1]

    expected = logit((observed - noise) / (1 - 2 * noise))
    assert slope(expected) == pytest.approx(0, abs=1e-12) and slope(expected - 1e-3) < 0 < slope(expected + 1e-3)
    if (observed, noise) == (0.74, 0.2):
        assert expected == pytest.approx(2.197, abs=1e-3)
        assert best_margin("dpo", prob=0.74, beta=1.0) == pytest.approx(1.046, abs=1e-3)
        assert best_margin("dpo", prob=0.74, beta=1.0, label_smoothing=0.2) == pytest.approx(0.593, abs=1e-3)


@given(RATIO, RATIO, st.floats(0, 0.49))
def test_robust_dpo_is_the_clean_loss_on_the_mean_of_noisy_labels(chosen, rejected, noise):
    right = value("robust_dpo", chosen, rejected, noise=noise)
    wrong = value("robust_dpo", rejected, chosen, noise=noise)
    seen = (1 - noise) * right + noise * wrong
    assert seen == pytest.approx(value("dpo", chosen, rejected), rel=1e-9, abs=1e-9)


def test_robust_dpo_without_noise_is_dpo_and_with_it_has_no_lower_bound():
    assert value("robust_dpo", -0.4, -0.9, noise=0.0) == value("dpo", -0.4, -0.9)
    assert value("robust_dpo", 1000.0, 0.0) < value("robust_dpo", 500.0, 0.0) < 0


@given(st.floats(-20, 20), st.floats(0.01, 20))
def test_win_tie_and_loss_are_all_that_can_happen(u, alpha):
    win = value("todo", u, 0.0, beta=1.0, alpha=alpha)
    tie = value("todo", u, 0.0, beta=1.0, alpha=alpha, prob=0.5)
    lost = value("todo", u, 0.0, beta=1.0, alpha=alpha, prob=0.0)
    assert sum(math.exp(-each) for each in (win, tie, lost)) == pytest.approx(1, rel=1e-9)


@given(st.floats(-5, 5), st.floats(0, 1))
def test_a_probability_between_win_and_tie_is_their_mixture(u, prob):
    win, tie, lost = (value("todo", u, 0.0, beta=1.0, prob=each) for each in (1.0, 0.5, 0.0))
    share = {"win": max(2 * prob - 1, 0), "lost": max(1 - 2 * prob, 0)}
    expected = share["win"] * win + share["lost"] * lost + (1 - sum(share.values())) * tie
    assert value("todo", u, 0.0, beta=1.0, prob=prob) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("prob", [0.5, 0.6, 0.8, 0.95])
def test_todo_has_its_minimum_where_its_page_says(alpha, prob):
    c, k = 2 - 2 * prob, math.exp(-alpha)
    expected = math.log((1 - c + math.sqrt((1 - c) ** 2 + 4 * c * k**2)) / (2 * c * k))
    assert best_margin("todo", beta=1.0, alpha=alpha, prob=prob) == pytest.approx(expected, abs=1e-9)


def test_a_wider_band_expects_more_ties():
    ties = [value("todo", 0.0, 0.0, alpha=alpha, prob=0.5) for alpha in (0.1, 0.5, 2.0, 800.0)]
    assert ties == sorted(ties, reverse=True) and ties[-1] == pytest.approx(0, abs=1e-12)
