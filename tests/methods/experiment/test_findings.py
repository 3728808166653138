"""What an experiment's numbers mean: a difference is told where noise could not have made it."""

import pytest

from prefsmith.evaluate.criteria import Ground
from prefsmith.evaluate.points import Arm, Point
from prefsmith.methods.experiment.evidence import Experiment, findings
from prefsmith.methods.experiment.settings import ExperimentConfig, MethodConfig
from prefsmith.stats import Z95, Mean

ERROR = 0.1
RL_AT = {1.0: 1.0, 4.0: 2.0}
NOISE = 2 * (2 * ERROR**2) ** 0.5  # of two rewards with this error each


def number(value, error=ERROR):
    return Mean(value, value - Z95 * error, value + Z95 * error, 100)


def point(method, kl, reward, slope=0.0):
    settings = (("beta", 1 / kl), *((("reward", "task"),) if method == "rloo" else ()))
    return Point(Arm(method, settings), 0, 300, number(reward), number(kl), 5.0, slope, 0.0)


def against_on_policy(*gaps, slope=0.0):
    """What is said where DPO is so much above RLOO, at each of its KLs."""
    points = [point("rloo", kl, reward, slope) for kl, reward in RL_AT.items()]
    points += [point("dpo", kl, RL_AT[kl] + gap) for kl, gap in zip(RL_AT, gaps, strict=True)]
    config = ExperimentConfig(methods=[MethodConfig(name="dpo")])
    said = findings(Experiment(config, {}, tuple(points), {0: Ground(number(0.0), (), {})}, ()))
    return said[0]["what"]


@pytest.mark.parametrize(
    ("gaps", "headline"),
    [
        ((NOISE * 1.1, NOISE * 1.1), "DPO lies above RLOO"),
        ((NOISE * 0.9, NOISE * 1.1), "Noise does not tell whether DPO lies above RLOO"),
        ((0.01, 0.01), "Noise does not tell whether DPO lies above RLOO"),
        ((-0.01, -0.01), "Noise does not tell whether DPO lies above RLOO"),
        ((NOISE * 1.1, NOISE * -1.1), "DPO does not lie above on-policy learning"),
    ],
)
def test_dpo_is_above_on_policy_learning_where_noise_could_not_have_put_it_there(gaps, headline):
    said = against_on_policy(*gaps)
    assert said.startswith(f"{headline} on the true reward")
    assert f"at KL 1.00 DPO {1 + gaps[0]:.2f}, RLOO 1.00, noise 0.28; at KL 4.00" in said


def test_noise_in_the_kl_is_noise_in_the_reward_that_it_buys():
    assert against_on_policy(NOISE * 1.1, NOISE * 1.1, slope=1.0).startswith("Noise does not tell")
