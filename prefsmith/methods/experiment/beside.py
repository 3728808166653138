"""What the page of an arm's own run shows beside its curves: reward against KL, and the best that any could have."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prefsmith.evaluate.frontier import Best, Rewards, tilted
from prefsmith.methods.experiment.place import Place
from prefsmith.methods.experiment.settings import ExperimentConfig
from prefsmith.methods.experiment.world import write_text
from prefsmith.stats import Mean, mean

if TYPE_CHECKING:
    from prefsmith.methods.experiment.arms import Reading

BETAS = tuple(float(beta) for beta in np.geomspace(50, 0.08, 60))
"""Of the tilted references that the curve is drawn through."""


def best_curve(rewards: Rewards) -> list[Best]:
    """The best reward at every KL that the start's own answers show, from KL 0 on.

    Args:
        rewards: of answers of the start.
    """
    start = Best(float("inf"), mean(rewards.ravel().tolist()).value, 0.0)
    return [start, *(tilted(rewards, beta) for beta in BETAS)]


def write_arm(config: ExperimentConfig, folder: Path, place: Place, readings: Sequence["Reading"]) -> None:
    """Write evidence.json into the run of an arm, from which its page is drawn.

    Args:
        config: of the experiment.
        folder: of the run.
        place: of its seed.
        readings: of the policy, the earliest first.

    Raises:
        TrainingError: the disk is full or fails.
    """
    rows = [json.loads(line) for line in place.answers.read_text(encoding="utf-8").splitlines()]
    prompts = len({row["prompt"] for row in rows})
    rewards = np.array([config.world.reward(row["prompt"], row["completion"]) for row in rows]).reshape(prompts, -1)
    nothing = Mean(0.0, 0.0, 0.0, rewards.size)
    points = [_point("the start", mean(rewards.ravel().tolist()), nothing)]
    points += [_point(f"step {each.step:,}", each.reward, each.kl.averaged) for each in readings]
    frontier = {
        "reward": "mean true reward",
        "points": points,
        "best": [[each.kl, each.reward] for each in best_curve(rewards)],
    }
    write_text(folder / "evidence.json", json.dumps({"frontier": frontier}, indent=1, allow_nan=False) + "\n")


def _point(name: str, reward: Mean, kl: Mean) -> dict[str, object]:
    ends = {"reward_low": reward.low, "reward_high": reward.high, "kl_low": kl.low, "kl_high": kl.high}
    return {"name": name, "reward": reward.value, "kl": kl.value, **ends, "n": reward.n}
