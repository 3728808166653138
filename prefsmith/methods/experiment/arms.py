"""One arm of an experiment: train from the start, look at fixed steps. Each is a task of its own, in any process.

Losses go through `run.fit`, reinforcement learning through `methods.rl`, both from the same start; what is measured is
a copy of the policy, so that looking cannot touch what is trained.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from prefsmith.config import ModelConfig, OptimConfig, RunConfig
from prefsmith.evaluate.points import Arm, SequenceKL
from prefsmith.evaluate.policy import measure_policy
from prefsmith.evaluate.reader import open_reader, snapshot
from prefsmith.feedback.reward import open_reward
from prefsmith.feedback.world import TrueReward
from prefsmith.losses.registry import find
from prefsmith.methods.experiment.beside import write_arm
from prefsmith.methods.experiment.place import Place
from prefsmith.methods.experiment.settings import ExperimentConfig, TrainingConfig
from prefsmith.methods.experiment.world import BATCH, TOKEN_BUDGET, epochs_for, quiet
from prefsmith.methods.rl import Rloo, rloo
from prefsmith.model.export import export
from prefsmith.model.generate import Sampling
from prefsmith.model.load import load
from prefsmith.model.score import Frozen, Scorer
from prefsmith.run import fit
from prefsmith.stats import Mean, Share, wilson
from prefsmith.train.monitor import MetricsLog

REFERENCE = Arm("reference")
"""The start itself, measured as every policy is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A policy after some steps.

    Args:
        step: optimiser steps that were done.
        reward: mean true reward.
        kl: to the start, both estimates.
        tokens: mean length.
        ended: share that the policy ended itself.
        grammatical: share that the world could have written itself.
        sample: the first answer to the first prompt, with it.
    """

    step: int
    reward: Mean
    kl: SequenceKL
    tokens: Mean
    ended: Share
    grammatical: Share
    sample: str


class _Looking:
    """Measures policies against the start, all with one noise, and keeps what was read."""

    def __init__(self, config: ExperimentConfig, place: Place) -> None:
        self.config, self.reference = config, open_reader(place.start, device="cpu")
        self.prompts = config.asked("measured", place.seed)
        self.sampling = Sampling(max_new_tokens=config.world.longest, seed=place.noise("measuring"), batch_size=BATCH)
        self.readings: list[Reading] = []

    def look(self, policy: Frozen, step: int) -> None:
        """Measure a policy after so many steps."""
        world = self.config.world
        found = measure_policy(
            policy,
            self.reference.model,
            self.reference.encoder,
            self.prompts,
            TrueReward(world),
            self.sampling,
            per_prompt=self.config.measuring.samples,
            token_budget=TOKEN_BUDGET,
        )
        good = sum(each.ended and world.well_formed(str(each.group.prompt), each.text) for each in found.answers)
        first = found.answers[0]
        sample, grammatical = f"{first.group.prompt}{first.text}", wilson(good, len(found.answers))
        self.readings.append(Reading(step, found.reward, found.kl, found.tokens, found.ended, grammatical, sample))

    def due(self, row: Mapping[str, object], steps: int) -> int | None:
        """The step behind a row of metrics, if it is one to look at."""
        step = row["step"]
        if "split" in row or not isinstance(step, int):
            return None
        return step if step == steps or step % self.config.measuring.every == 0 else None


def measure_start(config: ExperimentConfig, place: Place) -> list[Reading]:
    """The start, as a policy that was trained for no step."""
    looking = _Looking(config, place)
    looking.look(looking.reference.model, 0)
    return looking.readings


def train_loss(config: ExperimentConfig, place: Place, arm: Arm) -> list[Reading]:
    """A loss of the registry on the pairs, by a run like any other."""
    looking = _Looking(config, place)
    loaded = load(ModelConfig(path=str(place.start), device="cpu"))

    def watch(row: Mapping[str, object], steps: int) -> None:
        if (step := looking.due(row, steps)) is not None:
            looking.look(snapshot(loaded.model), step)
            if step == steps:
                write_arm(config, place.of(arm), place, looking.readings)

    settings = loss_run(config, place, arm)
    fit(settings, model=(loaded.model, loaded.tokenizer), say=quiet, watch=watch)
    return looking.readings


def loss_run(config: ExperimentConfig, place: Place, arm: Arm) -> RunConfig:
    """The settings of an arm's run; `prefsmith train run.yaml` repeats it."""
    training = training_of(config, arm)
    entry = find(arm.method, where="methods")
    one_sided = entry.desirable_only or entry.first_move == (0, -1)
    each = 2 if entry.kind == "unpaired" and not one_sided else 1  # of a pair such a loss reads two ratings
    loss = {"name": arm.method, **dict(arm.settings)}
    return run_settings(place, training, loss, labels_per_pair=each, out=place.of(arm))


def run_settings(
    place: Place,
    training: TrainingConfig,
    loss: Mapping[str, object],
    *,
    out: Path,
    labels_per_pair: int = 1,
    held_out: Path | None = None,
    look_every: int = 0,
) -> RunConfig:
    """A run on the seed's pairs.

    Args:
        place: of the seed.
        training: how long, in which steps.
        loss: name and settings.
        out: folder of the run.
        labels_per_pair: that the loss reads.
        held_out: other pairs, to look at.
        look_every: steps between looks at them.
    """
    with place.pairs.open(encoding="utf-8") as file:
        pairs = sum(1 for _ in file)
    return RunConfig.model_validate(
        {
            "model": {"path": str(place.start), "device": "cpu"},
            "data": {
                "train": str(place.pairs),
                "eval": None if held_out is None else str(held_out),
                "eval_fraction": 0.0,
                "cache": str(place.cache),
                "workers": 0,
            },
            "loss": dict(loss),
            "optim": {
                "learning_rate": training.learning_rate,
                "warmup_steps": training.warmup_steps,
                "schedule": training.schedule,
            },
            "train": {
                "pairs_per_step": training.pairs_per_step * labels_per_pair,
                "epochs": epochs_for(training.steps, training.pairs_per_step, pairs),
                "max_steps": training.steps,
                "seed": place.seed,
            },
            "checkpoint": {"every": 10_000, "keep": 1},
            "evaluate": {"samples": 0, "every": look_every},
            "out": str(out),
        }
    )


def train_rloo(config: ExperimentConfig, place: Place, arm: Arm) -> list[Reading]:
    """Reinforcement learning on the true reward, or on the learned one."""
    looking, training = _Looking(config, place), training_of(config, arm)
    reader = open_reader(place.start, device="cpu")
    true = arm.setting("reward") == "task"
    reward = TrueReward(config.world) if true else open_reward(place.reward, device="cpu")
    model = reader.model.scorer.model.requires_grad_(True)
    reference = Frozen(Scorer(model, "shared").frozen_copy())
    policy, folder = Scorer(model, "shared"), place.of(arm)
    folder.mkdir(parents=True)
    beta, answers = arm.setting("beta"), config.preferences.answers
    assert isinstance(beta, float)  # the settings refuse anything else
    how = Rloo(
        beta=beta,
        steps=training.steps,
        prompts=training.pairs_per_step // answers,
        answers=answers,
        max_new_tokens=config.world.longest,
        optim=OptimConfig(
            learning_rate=training.learning_rate, warmup_steps=training.warmup_steps, schedule=training.schedule
        ),
        seed=place.seed,
        token_budget=TOKEN_BUDGET,
    )
    with closing(MetricsLog(folder / "metrics.jsonl")) as log:

        def watch(row: Mapping[str, object], steps: int) -> None:
            log.write(row)
            if (step := looking.due(row, steps)) is not None:
                looking.look(snapshot(model), step)

        rloo(policy, reference, reader.encoder, config.asked("train", place.seed), reward, how, watch=watch)
    export(model, reader.encoder.tokenizer, folder, template=None)
    return looking.readings


def training_of(config: ExperimentConfig, arm: Arm) -> TrainingConfig:
    """How an arm is trained: as all are, but for what its entry says itself."""
    method = config.method_of(arm)
    own = {key: value for key in ("steps", "learning_rate") if (value := getattr(method, key)) is not None}
    return config.training.model_copy(update=own)
