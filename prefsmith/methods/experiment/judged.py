"""Answers to the prompts that win rates are measured on: of every policy, over sampling temperatures.

All policies of a seed answer with one noise, so that what differs between them is sharper than their intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefsmith.evaluate.points import Arm
from prefsmith.evaluate.policy import as_groups
from prefsmith.evaluate.reader import Reader, open_reader
from prefsmith.evaluate.samples import Answer
from prefsmith.feedback.reward import Reward, open_reward
from prefsmith.feedback.world import TrueReward
from prefsmith.methods.experiment.arms import REFERENCE
from prefsmith.methods.experiment.place import Place
from prefsmith.methods.experiment.settings import BEST_OF_N, ExperimentConfig, WinRateConfig
from prefsmith.methods.experiment.world import write_answers


@dataclass(frozen=True, slots=True)
class Sampled:
    """One answer of a policy to every prompt that is judged.

    Args:
        temperature: that they were sampled at.
        texts: in the order of the prompts.
        rewards: their true rewards.
        tokens: their lengths, end tokens included.
        ended: how many of them the policy ended itself.
    """

    temperature: float
    texts: list[str]
    rewards: list[float]
    tokens: list[int]
    ended: int


def answer_arm(config: ExperimentConfig, place: Place, arm: Arm) -> list[Sampled]:
    """The answers of a policy that was trained, at each temperature."""
    reader = open_reader(place.of(arm) / "model", device="cpu")
    return [
        _sampled(config, temperature, [own[0] for own in _drawn(config, place, reader, temperature, each=1)])
        for temperature in _settings(config).temperatures
    ]


def answer_start(config: ExperimentConfig, place: Place) -> dict[str, list[Sampled]]:
    """The answers of the start, and the best of several of them, by arm; the first of many is the start's own."""
    reader = open_reader(place.start, device="cpu")
    best = [arm for arm in config.arms() if arm.method == BEST_OF_N]
    many = max((_n(arm) for arm in best), default=1)
    rewards: dict[str, Reward] = {"task": TrueReward(config.world)}
    if any(arm.setting("reward") == "learned" for arm in best):
        rewards["learned"] = open_reward(place.reward, device="cpu")
    found: dict[str, list[Sampled]] = {str(arm): [] for arm in (REFERENCE, *best)}
    for temperature in _settings(config).temperatures:
        drawn = _drawn(config, place, reader, temperature, each=many if temperature > 0 else 1)
        scores = {name: _scores(reward, drawn) for name, reward in rewards.items()} if best else {}
        found[str(REFERENCE)].append(_sampled(config, temperature, [own[0] for own in drawn]))
        for arm in best:
            kept = scores[str(arm.setting("reward"))][:, : _n(arm)].argmax(axis=1)
            answers = [own[index] for own, index in zip(drawn, kept, strict=True)]
            found[str(arm)].append(_sampled(config, temperature, answers))
    return found


def by_arm(config: ExperimentConfig, results: Mapping[Arm, Any]) -> dict[Arm, Sequence[Sampled]]:
    """The answers of everything that is compared: the start first, then in the order of the recipe.

    Args:
        config: of the experiment.
        results: of `answer_arm` by arm, and of `answer_start` under the start; nothing where nothing was asked.
    """
    if not results:
        return {}
    start = results[REFERENCE]
    return {arm: start[str(arm)] if str(arm) in start else results[arm] for arm in (REFERENCE, *config.arms())}


def _drawn(
    config: ExperimentConfig, place: Place, reader: Reader, temperature: float, *, each: int
) -> list[list[Answer]]:
    """So many answers to each prompt."""
    prompts = config.asked("judged", place.seed)
    noise = place.noise("judged")
    answers = write_answers(config.world, reader, prompts, per_prompt=each, seed=noise, temperature=temperature)
    return [answers[start : start + each] for start in range(0, len(answers), each)]


def _sampled(config: ExperimentConfig, temperature: float, answers: Sequence[Answer]) -> Sampled:
    return Sampled(
        temperature=temperature,
        texts=[answer.text for answer in answers],
        rewards=[config.world.reward(str(answer.group.prompt), answer.text) for answer in answers],
        tokens=[len(answer.ids) for answer in answers],
        ended=sum(answer.ended for answer in answers),
    )


def _scores(reward: Reward, drawn: Sequence[Sequence[Answer]]) -> np.ndarray:
    """By prompt and answer."""
    return np.array(reward.rewards([group for own in drawn for group in as_groups(own)]))


def _n(arm: Arm) -> int:
    n = arm.setting("n")
    assert isinstance(n, float)  # the settings refuse anything else
    return int(n)


def _settings(config: ExperimentConfig) -> WinRateConfig:
    assert config.winrate is not None  # nobody asks otherwise
    return config.winrate
