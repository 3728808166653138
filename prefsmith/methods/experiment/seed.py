"""What a seed's methods have in common: the start, its own answers, the pairs, and the reward learned from them."""

import json
from dataclasses import dataclass

import numpy as np

from prefsmith.evaluate.reader import open_reader
from prefsmith.feedback.world import TrueReward
from prefsmith.methods.experiment.arms import run_settings
from prefsmith.methods.experiment.place import Place
from prefsmith.methods.experiment.settings import ExperimentConfig
from prefsmith.methods.experiment.world import judged_answers, learn, quiet, write_answers, write_rows
from prefsmith.methods.reward_model import fit_reward
from prefsmith.records import Completion, Group
from prefsmith.stats import Share

BRADLEY_TERRY = {"name": "dpo", "beta": 1.0}
LOOKS = 6
"""How often the held-out pairs are looked at while the reward is learned."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a seed begins with.

    Args:
        rewards: true rewards of the start's answers, of which the frontier is computed; a row for each prompt.
        pairs: that methods learn from.
        right: share of their verdicts that agree with the true reward.
    """

    rewards: list[list[float]]
    pairs: int
    right: float


@dataclass(frozen=True, slots=True)
class Learned:
    """A reward model that a seed's methods use.

    Args:
        accuracy: on held-out pairs, whose verdicts err as those that it learned from; None where none are held out.
        step: whose weights were kept.
        correlation: with the true reward, over the answers of which the frontier is computed.
        scores: of these answers.
    """

    accuracy: Share | None
    step: int
    correlation: float
    scores: list[list[float]]


def prepare(config: ExperimentConfig, place: Place) -> Start:
    """Train the start, let it answer, and compare its answers.

    Raises:
        TrainingError: the disk is full or fails.
    """
    place.folder.mkdir(parents=True)
    start, asked, world = config.start, config.preferences, config.world
    learn(
        world,
        place.folder,
        examples=start.examples,
        steps=start.steps,
        per_step=start.per_step,
        learning_rate=start.learning_rate,
        seed=place.seed,
        shape={"width": start.width, "layers": start.layers, "heads": start.heads},
    )
    reader = open_reader(place.start, device="cpu")
    learnt, kept = config.asked("train", place.seed), config.asked("held out", place.seed)
    pairs, held_out = (
        judged_answers(world, reader, prompts, asked=times, answers=asked.answers, seed=noise, labels=asked.labels)
        for prompts, times, noise in (
            (learnt, asked.asked, place.noise("pairs")),
            (kept, asked.held_out, place.noise("held out")),
        )
    )
    write_rows(place.pairs, [each.as_row() for each in pairs])
    write_rows(place.held_out, [each.as_row() for each in held_out])
    measured = config.asked("measured", place.seed)
    answers = write_answers(world, reader, measured, per_prompt=config.measuring.frontier, seed=place.noise("frontier"))
    write_rows(place.answers, [{"prompt": str(each.group.prompt), "completion": each.text} for each in answers])
    true = [world.reward(str(each.group.prompt), each.text) for each in answers]
    rewards = np.array(true).reshape(len(measured), -1).tolist()
    return Start(rewards, len(pairs), sum(each.gap > 0 for each in pairs) / len(pairs))


def learn_reward(config: ExperimentConfig, place: Place) -> Learned:
    """Learn a reward from the seed's pairs, and let it score the start's answers.

    Raises:
        TrainingError: a value is not finite, or the disk is full.
    """
    held_out = place.held_out if config.preferences.held_out else None
    every = max(1, config.reward_model.steps // LOOKS)
    settings = run_settings(
        place, config.reward_model, BRADLEY_TERRY, out=place.reward, held_out=held_out, look_every=every
    )
    found = fit_reward(settings, say=quiet)
    rows = [json.loads(line) for line in place.answers.read_text(encoding="utf-8").splitlines()]
    texts: dict[str, list[Completion]] = {}
    for row in rows:
        texts.setdefault(row["prompt"], []).append(Completion(row["completion"]))
    groups = [
        Group(prompt, f"{place.answers}:{number}", prompt, tuple(own))
        for number, (prompt, own) in enumerate(texts.items(), 1)
    ]
    scores = np.array(found.reward.rewards(groups))
    true = np.array([value for own in TrueReward(config.world).rewards(groups) for value in own])
    varied = scores.std() > 0 < true.std()
    alike = float(np.corrcoef(scores.ravel(), true)[0, 1]) if varied else 0.0
    return Learned(found.accuracy, found.step, alike, scores.tolist())
