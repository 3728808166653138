"""Losses that take length out of the margin."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses.pair import best_margin, comparisons, logit, scores_at, slopes, value
from losses.worlds import column

from prefsmith.losses import LOSSES, resolve
from prefsmith.types import PerToken, Preferences, SequenceScores

NATS = st.lists(st.tuples(st.floats(-3, 0), st.floats(-3, 0)), min_size=1, max_size=6)


def by_token(*completions):
    """Scores of completions, each a list of (policy, reference) of its tokens."""
    lengths = torch.tensor([len(each) for each in completions])
    policy, reference = (column(*(pair[side] for each in completions for pair in each)) for side in (0, 1))
    sums = [
        column(*(part.sum().item() for part in nats.split(lengths.tolist()))) for nats in (policy.detach(), reference)
    ]
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return SequenceScores(*sums, lengths, per_token=PerToken(policy, reference, offsets))


def ld_dpo(*completions, prefs=None, **settings):
    return resolve("ld_dpo", settings)(by_token(*completions), prefs or comparisons(1)).tolist()


@given(NATS, NATS, st.floats(0, 1))
def test_ld_dpo_counts_the_tail_alpha_in_each_model(chosen, rejected, alpha):
    shared = min(len(chosen), len(rejected))

    def total(tokens, model, tail):
        return sum(each[model] * (1 if place < shared else tail) for place, each in enumerate(tokens))

    for which, reference_tail in (("both", alpha), ("policy", 1.0)):
        chosen_ratio, rejected_ratio = (
            total(each, 0, alpha) - total(each, 1, reference_tail) for each in (chosen, rejected)
        )
        expected = value("dpo", chosen_ratio, rejected_ratio)
        assert ld_dpo(chosen, rejected, alpha=alpha, ld_reference=which) == pytest.approx([expected], rel=1e-9)


@given(NATS, NATS)
def test_ld_dpo_is_dpo_at_alpha_one_or_with_equal_lengths(chosen, rejected):
    scores = by_token(chosen, rejected)
    dpo = resolve("dpo", {})(scores, comparisons(1)).tolist()
    assert ld_dpo(chosen, rejected, alpha=1.0) == pytest.approx(dpo, rel=1e-12)
    even = [each[: min(len(chosen), len(rejected))] for each in (chosen, rejected)]
    same = resolve("dpo", {})(by_token(*even), comparisons(1)).tolist()
    assert ld_dpo(*even, alpha=0.3) == pytest.approx(same, rel=1e-12)


def test_ld_dpo_cuts_one_completion_by_each_partner():
    """A completion in two pairs has two tails, and pairs may be in any order of sequences."""
    one, two, three = [(-1.0, -2.0)] * 4, [(-0.5, -0.7)] * 2, [(-2.0, -1.5)] * 3
    prefs = Preferences(torch.tensor([2, 0]), torch.tensor([0, 1]), *(column(1, 1) for _ in range(3)))
    apart = ld_dpo(three, one) + ld_dpo(one, two)
    assert ld_dpo(one, two, three, prefs=prefs) == pytest.approx(apart, rel=1e-12)


def test_ld_dpo_pulls_tail_tokens_alpha_times_as_much():
    base = by_token([(-1.0, -1.0)] * 4, [(-2.0, -2.0)] * 2)
    policy = base.per_token.policy.clone().requires_grad_(True)
    live = SequenceScores(
        base.policy, base.reference, base.tokens, PerToken(policy, base.per_token.reference, base.per_token.offsets)
    )
    resolve("ld_dpo", {"alpha": 0.25})(live, comparisons(1)).sum().backward()
    assert policy.grad.tolist() == pytest.approx([-0.05, -0.05, -0.0125, -0.0125, 0.05, 0.05])


def test_ld_dpo_is_finite_far_out():
    far = [(-1e4, -1.0)] * 10
    assert all(map(math.isfinite, ld_dpo(far, [(-1.0, -1e4)] * 3) + ld_dpo([(-1.0, -1e4)] * 3, far)))


@given(st.floats(-30, 30), st.floats(-30, 30), st.integers(1, 300), st.integers(1, 300))
def test_r_dpo_is_dpo_with_the_margin_moved_by_the_lengths(chosen, rejected, w, l):  # noqa: E741
    found = value("r_dpo", chosen, rejected, alpha=0.02, more={"tokens": (w, l)})
    moved = value("dpo", chosen + 0.02 * (w - l) / 0.1, rejected)
    assert found == pytest.approx(moved, rel=1e-9, abs=1e-12)
    if w == l:
        assert found == value("dpo", chosen, rejected)


def test_r_dpo_asks_more_of_a_win_of_the_shorter_answer():
    """The policy that is optimal for reward - alpha tokens: u = log-odds of the judge, who likes length."""
    shorter, longer = (value("r_dpo", 0.0, 0.0, more={"tokens": each}) for each in ((5, 9), (9, 5)))
    assert longer < math.log(2) < shorter
    assert best_margin("r_dpo", prob=0.8, more={"tokens": (9, 5)}) == pytest.approx((logit(0.8) - 0.05 * 4) / 0.1)


def test_a_tie_under_r_dpo_is_no_tie_where_lengths_differ():
    """Equal judgements of unequal lengths say that the shorter answer is the better one."""
    assert slopes("r_dpo", 0.0, 0.0, prob=0.5, more={"tokens": (9, 5)})[0] > 0
    assert slopes("r_dpo", 0.0, 0.0, prob=0.5, more={"tokens": (7, 7)}) == (0.0, 0.0)
    assert not LOSSES["r_dpo"].neutral_tie


def test_r_dpo_recovers_a_planted_reward_from_a_judge_who_likes_length():
    """Labels are Bradley-Terry of r + alpha tokens; the optimum of each pair is the difference of r."""
    reward, tokens, alpha, beta = (0.7, -0.4), (30, 12), 0.05, 0.2
    judged = reward[0] - reward[1] + alpha * (tokens[0] - tokens[1])
    prob = 1 / (1 + math.exp(-judged))
    margin = best_margin("r_dpo", prob=prob, alpha=alpha, beta=beta, more={"tokens": tokens})
    assert beta * margin == pytest.approx(1.1, abs=1e-9)
    assert torch.isfinite(resolve("r_dpo", {})(scores_at(column(1e5), column(-1e5)), comparisons(1))).all()
