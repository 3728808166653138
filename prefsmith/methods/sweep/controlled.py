"""A method of a controlled experiment as what is searched: true reward against KL, from one start and its pairs."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prefsmith.errors import ConfigError
from prefsmith.methods.experiment.arms import Reading, train_loss, train_rloo
from prefsmith.methods.experiment.place import Place
from prefsmith.methods.experiment.run import check_methods
from prefsmith.methods.experiment.seed import learn_reward, prepare
from prefsmith.methods.experiment.settings import BEST_OF_N, RLOO, ExperimentConfig
from prefsmith.methods.experiment.world import one_thread
from prefsmith.methods.sweep.space import PAIRS, Range, put
from prefsmith.methods.sweep.subject import Report
from prefsmith.methods.sweep.worth import Objective, Worth
from prefsmith.settings import Settings, build_as

REWARD, KL = Objective("reward", "true reward", True), Objective("kl", "KL to the start, nats an answer", False)
OBJECTIVES = {each.name: each for each in (REWARD, KL)}
STRENGTHS = ("beta", "tau", "alpha")
"""Settings of a method that say how far it goes."""
TIMES = 3.0
"""Down and up from a value that the recipe has alone."""


def only(config: ExperimentConfig, method: str | None) -> ExperimentConfig:
    """The experiment with one of its methods, on its first seed, measured at the end alone.

    Args:
        config: the recipe's.
        method: a name; None for the first of those that are trained.

    Raises:
        ConfigError: the recipe trains no such method.
    """
    trained = {each.name: each for each in reversed(config.methods) if each.name != BEST_OF_N}
    name = method or next((each.name for each in config.methods if each.name in trained), None)
    if name not in trained:
        what = f"the recipe trains no method {name}" if name else "the recipe trains nothing"
        raise ConfigError("sweep.method", what, where="--method", fix=f"one of {', '.join(reversed(trained))}")
    entry = trained[name]
    own = {key: value for key in ("steps", "learning_rate") if (value := getattr(entry, key)) is not None}
    training = config.training.model_copy(update=own)
    alone = entry.model_copy(update={"steps": None, "learning_rate": None})
    measuring = config.measuring.model_copy(update={"every": training.steps})
    return config.model_copy(
        update={
            "seeds": config.seeds[:1],
            "training": training,
            "measuring": measuring,
            "methods": [alone],
            "required": [],
        }
    )


def ranges_of(config: ExperimentConfig, given: Collection[str]) -> list[Range]:
    """Over which values: those of the recipe's own grid, its learning rate up and down, and pairs a step.

    Args:
        config: with one method.
        given: dotted names of settings that the command line fixes or gives a range of.
    """
    rate = config.training.learning_rate
    found = [
        Range("training.learning_rate", rate / TIMES, min(rate * TIMES, 0.99), log=True),
        Range("training.pairs_per_step", *PAIRS[:2], step=PAIRS[2]),
    ]
    grid = config.methods[0].grid
    for name in STRENGTHS:
        values = [value for value in grid.get(name, ()) if isinstance(value, float)]
        if values:
            low, high = min(values), max(values)
            low, high = (low, high) if low < high else (low / TIMES, high * TIMES)
            found.insert(0, Range(f"methods.0.{name}", low, high, log=True))
    return [each for each in found if each.key not in given]


@dataclass(frozen=True, slots=True)
class Controlled:
    """A method of an experiment with other settings, from the same start and pairs each time.

    Args:
        config: with one method: `only`.
        start: folder of what all trials share; made where it is not there.
        objectives: of `OBJECTIVES`, one or two.
    """

    config: ExperimentConfig
    start: Path
    objectives: tuple[Objective, ...] = (REWARD, KL)

    @property
    def prune(self) -> bool:
        """A trial is measured at its end."""
        return False

    def settings(self) -> dict[str, Any]:
        """All that changes what is found."""
        return self.config.model_dump(mode="json", exclude={"workers", "required"})

    def check(self, values: Mapping[str, Any]) -> None:
        """Refuse what is no setting of the recipe, or of its method."""
        check_methods(self._of(values))

    def attempt(self, values: Mapping[str, Any], folder: Path, report: Report | None) -> Sequence[Worth | None]:
        """Train from the start, and measure the policy."""
        config = self._of(values)
        (arm,) = config.arms()
        if folder.exists():
            shutil.rmtree(folder)  # of a trial that was stopped: too short to be worth going on with
        with one_thread():
            place = Place(self._prepared().absolute(), config.seeds[0], runs=folder.absolute())
            work = train_rloo if arm.method == RLOO else train_loss
            last: Reading = work(config, place, arm)[-1]
        found = {REWARD.name: last.reward, KL.name: last.kl.averaged}
        return [Worth(mean.value, mean.low, mean.high) for mean in (found[each.name] for each in self.objectives)]

    def as_yaml(self, values: Mapping[str, Any]) -> str:
        """A recipe that `prefsmith eval frontier` takes."""
        return yaml.safe_dump(self._of(values).model_dump(mode="json", exclude_none=True), sort_keys=False)

    def _prepared(self) -> Path:
        """The start, whole or not there at all."""
        if not self.start.exists():
            begun = self.start.with_name(f"{self.start.name}.begun")
            if begun.exists():
                shutil.rmtree(begun)
            place = Place(begun.absolute(), self.config.seeds[0])
            prepare(self.config, place)
            if self.config.learns_a_reward:
                learn_reward(self.config, place)
            begun.rename(self.start)
        return self.start

    def _of(self, values: Mapping[str, Any]) -> ExperimentConfig:
        settings = Settings(self.config.model_dump(mode="json", exclude_none=True))
        for key, value in values.items():
            put(settings.values, key, value)
        config = build_as(ExperimentConfig, settings)
        if len(config.arms()) != 1:
            names = [name for name, grid in config.methods[0].grid.items() if len(grid) > 1]
            what, fix = f"{config.methods[0].name} has more than one {names[0]}", f"give methods.0.{names[0]} a range"
            raise ConfigError("sweep.method", what, where="methods", fix=fix)
        return config
