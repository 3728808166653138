"""The criteria on points that were made up: each holds where it should, and fails for its own fault alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

from prefsmith.evaluate.criteria import Ground, Table, checks
from prefsmith.evaluate.frontier import Best, best_at, tilted
from prefsmith.evaluate.points import Arm, Average, Point, SequenceKL, averages, endpoints
from prefsmith.stats import Z95, Mean, Share, mean

REWARDS = np.random.default_rng(0).normal(0.0, 1.0, (3, 4000)).clip(-3, 3)
BETAS = (0.3, 1.0, 3.0)


def number(value, error=0.01):
    return Mean(value, value - Z95 * error, value + Z95 * error, 3000)


def arm(method, **settings):
    return Arm(method, tuple(settings.items()))


def point(arm, kl, short=0.0, *, seed=0, step=300, tokens=12.0, ended=1.0):
    """A point that is so much below the frontier."""
    best = best_at(REWARDS, kl) if kl > 0 else Best(0.0, float(REWARDS.mean()), 0.0)
    both = SequenceKL(number(kl, 0.005), number(kl, 0.03), number(0.0, 0.02)) if kl > 0 else None
    both = both or SequenceKL(Mean(0.0, 0.0, 0.0, 3000), Mean(0.0, 0.0, 0.0, 3000), Mean(0.0, 0.0, 0.0, 3000))
    return Point(
        arm, seed, step, number(best.reward - short), both.averaged, best.reward, best.beta, float(REWARDS.mean()),
        both, number(tokens, 0.05), Share(ended, ended, ended, 3000),
    )  # fmt: skip


def at(beta):
    return tilted(REWARDS, beta).kl


def right_points(seed=0):
    """An experiment that came out as it must."""
    found = [point(arm("reference"), 0.0, seed=seed, step=0)]
    found += [point(arm("rloo", reward="task", beta=beta), at(beta), 0.01, seed=seed) for beta in BETAS]
    found += [point(arm("dpo", beta=beta), at(beta) * 1.1, 0.02, seed=seed) for beta in (0.1, *BETAS)]
    found += [point(arm("ipo", tau=0.1), 1.2, 0.05, seed=seed), point(arm("kto", beta=1.0), 0.8, 0.05, seed=seed)]
    found += [point(arm("sft"), 0.05, 0.05, seed=seed, step=step) for step in (100, 300)]
    found += [point(arm("unlikelihood", alpha=0.5), 0.4, 0.2, seed=seed)]
    kl = math.log(4) - 0.75
    of_four = point(arm("best_of_n", reward="task", n=4.0), kl, 0.01, seed=seed, step=0)
    found += [replace(of_four, sequence_kl=None, tokens=None, ended=None, most_kl=kl)]
    return found


def grounds(*seeds):
    start = mean(REWARDS.ravel().tolist())
    return {seed: Ground(start, (), {beta: tilted(REWARDS, beta) for beta in (0.1, *BETAS)}) for seed in seeds}


def results(points, *seeds):
    return {check.name: check.passed for check in checks(points, grounds(*(seeds or (0,))))}


ALL = ("V1", "V2", "V3", "A1", "A2", "A3", "A4", "A5")


def test_what_came_out_right_holds():
    assert results(right_points()) == dict.fromkeys(ALL, True)
    both = [*right_points(0), *right_points(1)]
    assert results(both, 0, 1) == dict.fromkeys(ALL, True)


def changed(points, method, **changes):
    """The points with those of a method changed; a change is a value or a function of the point."""

    def made(each):
        return {key: value(each) if callable(value) else value for key, value in changes.items()}

    return [replace(each, **made(each)) if each.arm.method == method else each for each in points]


@pytest.mark.parametrize(
    ("method", "changes", "failing"),
    [
        ("kto", {"reward": lambda p: number(p.best + 0.2)}, {"V1"}),
        ("kto", {"sequence_kl": lambda p: replace(p.sequence_kl, gap=number(0.25, 0.02))}, {"V2"}),
        ("reference", {"kl": number(0.01)}, {"V3"}),
        ("reference", {"reward": number(0.4)}, {"V1", "V3"}),
        ("reference", {"sequence_kl": lambda p: replace(p.sequence_kl, sampled=number(1e-9))}, {"V2"}),
        ("rloo", {"reward": lambda p: number(p.best - 0.2)}, {"A1"}),
        ("rloo", {"kl": lambda p: number(p.kl.value * 1.5)}, {"A1"}),
        ("ipo", {"reward": lambda p: number(p.start + 0.7 * (p.best - p.start))}, {"A3"}),
        ("best_of_n", {"kl": lambda p: number(p.most_kl + 0.01)}, {"A3"}),
        ("sft", {"reward": number(1.0), "best": 1.0}, {"A4"}),
        ("unlikelihood", {"reward": lambda p: number(p.best + 0.02)}, {"A4"}),
        ("ipo", {"tokens": number(8.5)}, {"A5"}),
        ("unlikelihood", {"ended": Share(0.9, 0.9, 0.9, 3000)}, {"A5"}),
    ],
)
def test_each_fault_fails_its_criterion(method, changes, failing):
    found = results(changed(right_points(), method, **changes))
    assert {name for name, passed in found.items() if not passed} == failing


def test_dpo_has_to_move_with_its_beta():
    points = right_points()
    one = next(each for each in points if each.arm == arm("dpo", beta=1.0))
    far = point(one.arm, at(0.3) * 1.2, 0.02)
    found = results([far if each is one else each for each in points])
    assert not found["A2"] and found["V1"] and found["A3"]


def test_a_length_that_only_others_lose_is_allowed():
    assert results(changed(right_points(), "kto", tokens=number(7.0)))["A5"]


def test_what_is_not_trained_is_not_tested():
    found = checks([point(arm("reference"), 0.0, step=0), point(arm("slic"), 0.5)], grounds(0))
    words = {check.name: check.word for check in found}
    assert words == {**dict.fromkeys(("V1", "V2", "V3", "A5"), "holds"),
                     **dict.fromkeys(("A1", "A2", "A3", "A4"), "not tested")}  # fmt: skip


def test_many_comparisons_are_told_by_the_nearest_to_failing():
    points = changed(right_points(), "kto", reward=lambda p: number(p.best + 0.05))
    (check,) = [each for each in checks(points, grounds(0)) if each.name == "V1"]
    assert (
        check.passed and check.found.startswith("kto, beta 1, step 300, seed 0: +0.050") and "nearest of" in check.found
    )


def test_one_seed_may_fail_what_the_mean_keeps():
    """A criteria are of the mean over seeds; V criteria of every run."""
    points = [*right_points(0), *changed(right_points(1), "rloo", reward=lambda p: number(p.best - 0.2))]
    assert results(points, 0, 1)["A1"]
    points = [*right_points(0), *changed(right_points(1), "kto", reward=lambda p: number(p.best + 0.2))]
    assert not results(points, 0, 1)["V1"]


def test_between_is_a_line_through_the_reference_in_the_root_of_kl():
    table = Table([point(arm("dpo", beta=1.0), 0.5, 0.1)], grounds(0))
    end = table.ends[0].reward.value
    assert table.between("dpo", 0.125).value == pytest.approx((end + REWARDS.mean()) / 2)
    assert table.between("dpo", 0.5).value == pytest.approx(end) and table.between("dpo", 0.51) is None


def test_points_over_seeds():
    one, other = point(arm("dpo", beta=1.0), 0.5, 0.1, seed=0), point(arm("dpo", beta=1.0), 0.7, 0.2, seed=1)
    (found,) = averages([one, other])
    assert isinstance(found, Average) and found.below == pytest.approx(0.15)
    assert found.reward.value == pytest.approx((one.reward.value + other.reward.value) / 2)
    assert found.reward.error == pytest.approx(0.01 / math.sqrt(2)) and found.reward.n == 6000
    assert found.efficiency == pytest.approx((one.efficiency + other.efficiency) / 2)
    early = replace(one, step=100)
    assert endpoints(averages([early, one, other])) == [found]


def test_the_error_below_the_frontier_has_that_of_the_kl():
    each = point(arm("dpo", beta=1.0), 0.5)
    assert each.error == pytest.approx(math.hypot(0.01, each.beta * 0.005))
    slope = (best_at(REWARDS, 0.51).reward - best_at(REWARDS, 0.49).reward) / 0.02
    assert each.beta == pytest.approx(slope, rel=0.01)
