"""The settings of an experiment: what is compared, on what, how long. Starts without torch."""

import math
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from prefsmith.config import Section
from prefsmith.evaluate.points import Arm
from prefsmith.feedback.world import Use, World
from prefsmith.feedback.worlds import WORLDS
from prefsmith.records import Group
from prefsmith.settings import build_as, read_yaml

BEST_OF_N, RLOO = "best_of_n", "rloo"
OWN = {BEST_OF_N: {"n", "reward"}, RLOO: {"beta", "reward"}}
"""Methods that are no loss, and their settings."""
_NEEDS: dict[str, tuple[str, str, Callable[[float], bool]]] = {
    BEST_OF_N: ("n", "a whole number of at least 1", lambda n: n >= 1 and n.is_integer()),
    RLOO: ("beta", "a finite number above 0", lambda beta: 0 < beta < math.inf),
}
"""The setting that each cannot do without, what it has to be, and whether a value is that."""
Rule = Literal["V1", "V2", "V3", "A1", "A2", "A3", "A4", "A5"]


class StartConfig(Section):
    """The model that every method starts from: it learns texts of the world from scratch."""

    examples: int = Field(default=12_000, ge=1)
    """Texts that the world writes."""
    steps: int = Field(default=500, ge=1)
    """Optimiser steps."""
    per_step: int = Field(default=96, ge=1)
    """Texts in a step."""
    learning_rate: float = Field(default=3e-3, gt=0, lt=1)
    """Peak; falls linearly to zero."""
    width: int = Field(default=64, ge=4)
    """Of the hidden states."""
    layers: int = Field(default=2, ge=1)
    """Of the model."""
    heads: int = Field(default=4, ge=1)
    """Of its attention."""


class PreferencesConfig(Section):
    """What methods learn from: the start's own answers, compared pair by pair."""

    asked: int = Field(default=208, ge=1)
    """How often each prompt is asked; reviews have twelve."""
    held_out: int = Field(default=20, ge=0)
    """The same for the pairs that the reward model is chosen by."""
    answers: int = Field(default=4, ge=2)
    """Answers each time, all of them compared."""
    labels: Literal["bradley_terry", "deterministic"] = "bradley_terry"
    """`bradley_terry`: a judge that errs, P = s(difference of rewards). `deterministic`: the better one; no ties."""


class TrainingConfig(Section):
    """How every method is trained."""

    steps: int = Field(default=300, ge=1)
    """Optimiser steps."""
    pairs_per_step: int = Field(default=64, ge=2)
    """Comparisons in a step; for reinforcement learning answers, a multiple of `preferences.answers`."""
    learning_rate: float = Field(default=3e-4, gt=0, lt=1)
    """Peak."""
    warmup_steps: int = Field(default=20, ge=0)
    """Steps of the rise to it."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What follows."""


class MeasuringConfig(Section):
    """When and on how many samples policies are measured."""

    every: int = Field(default=100, ge=1)
    """Steps between measurements; the last step is always measured."""
    samples: int = Field(default=250, ge=2)
    """Answers to each prompt."""
    frontier: int = Field(default=1_500, ge=2)
    """Answers of the start to each prompt, of which the frontier is computed: fewer are low above 2.5 nats of KL."""


class PromptsConfig(Section):
    """How many prompts are drawn, in a world that has more of them than anybody asks."""

    train: int = Field(ge=1)
    """That methods learn from."""
    held_out: int = Field(ge=1)
    """That the reward model is chosen by; like those below never learnt from."""
    measured: int = Field(ge=1)
    """That reward and KL are measured on."""


class WinRateConfig(Section):
    """Answers beside those of the data, compared on the true reward, over sampling temperatures."""

    prompts: int = Field(default=500, ge=2)
    """That are answered once at each temperature, none of them learnt from."""
    temperatures: list[Annotated[float, Field(ge=0)]] = Field(default=[0.0, 0.25, 0.5, 0.75, 1.0], min_length=1)
    """That answers are sampled at; 0 takes the likeliest token."""

    @field_validator("temperatures")
    @classmethod
    def _rising(cls, value: list[float]) -> list[float]:
        if value != sorted({*value}):
            raise ValueError("the temperatures do not rise from one to the next")
        return value


class MethodConfig(BaseModel):
    """A method and a grid of its settings: a list tries each of its values."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    name: str
    """A loss (`prefsmith losses`), `rloo`, or `best_of_n`."""
    steps: int | None = Field(default=None, ge=1)
    """In the place of `training.steps`."""
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    """In the place of `training.learning_rate`."""

    @model_validator(mode="after")
    def _own_settings(self) -> "MethodConfig":
        own = OWN.get(self.name)
        empty = [key for key, values in self.grid.items() if not values]
        if empty:
            raise ValueError(f"{empty[0]} of {self.name} has no value to try")
        if own is None:
            return self
        unknown = sorted({*self.grid} - own)
        if unknown:
            raise ValueError(f"{self.name} has no setting {unknown[0]}: it takes {', '.join(sorted(own))}")
        key, wanted, sound = _NEEDS[self.name]
        if key not in self.grid:
            raise ValueError(f"{self.name} needs {key}")
        unsound = [value for value in self.grid[key] if not (isinstance(value, float) and sound(value))]
        if unsound:
            raise ValueError(f"{key} of {self.name} is {unsound[0]!r}, and must be {wanted}")
        for value in self.grid.get("reward", []):
            if value not in ("task", "learned"):
                raise ValueError(f"reward is {value!r}, and must be task or learned")
        return self

    @property
    def grid(self) -> dict[str, list[float | str]]:
        """The values of each setting of its own that are tried."""
        given: Mapping[str, Any] = self.model_extra or {}
        return {
            key: [_plain(each) for each in (value if isinstance(value, list) else [value])]
            for key, value in given.items()
        }

    def arms(self) -> list[Arm]:
        """Every combination; what chooses or rewards is always said."""
        grid = self.grid
        if self.name in OWN:
            grid = {"reward": ["task"], **grid}
        return [Arm(self.name, tuple(zip(grid, values, strict=True))) for values in product(*grid.values())]


class ExperimentConfig(Section):
    """Everything that changes what an experiment finds, and how many processes find it."""

    version: Literal[1] = 1
    """Version of this schema."""
    task: Literal["reviews", "posts"] = "reviews"
    """The world, whose reward is known: reviews that are written to their end, or posts that are summarised."""
    seeds: list[Annotated[int, Field(ge=0, strict=True)]] = Field(default=[0], min_length=1)
    """One whole experiment for each."""
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Processes; `auto` takes a core each. The numbers do not depend on it."""
    start: StartConfig = Field(default_factory=StartConfig)
    preferences: PreferencesConfig = Field(default_factory=PreferencesConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    reward_model: TrainingConfig = Field(default_factory=lambda: TrainingConfig(learning_rate=1e-3))
    """How the reward is learned, where a method uses a learned one; the best of its steps on held-out pairs is kept."""
    measuring: MeasuringConfig = Field(default_factory=MeasuringConfig)
    prompts: PromptsConfig | None = None
    """Of posts; the prompts of reviews are twelve, and each is asked."""
    winrate: WinRateConfig | None = None
    """Whether win rates are measured, and how; of posts alone, whose data have answers to compare with."""
    methods: list[MethodConfig] = Field(min_length=1)
    """What is compared."""
    required: list[Rule] = Field(default_factory=list)
    """Criteria that have to hold; otherwise the command ends with exit status 4, the evidence being written."""

    @field_validator("seeds")
    @classmethod
    def _each_seed_once(cls, value: list[int]) -> list[int]:
        if len({*value}) < len(value):
            raise ValueError("a seed is given twice")
        return value

    @model_validator(mode="after")
    def _of_the_world(self) -> "ExperimentConfig":
        if self.task == "reviews" and (self.prompts is not None or self.winrate is not None):
            name = "winrate" if self.prompts is None else "prompts"
            raise ValueError(f"task reviews takes no `{name}`: its prompts are twelve, without answers to compare with")
        if self.task == "posts" and self.prompts is None:
            raise ValueError("task posts needs `prompts: {train: ..., held_out: ..., measured: ...}`")
        foreign = next((rule for rule in self.required if rule not in self.world.criteria), None)
        if foreign is not None:
            raise ValueError(f"{foreign} is no criterion of task {self.task}: {', '.join(self.world.criteria)}")
        return self

    @model_validator(mode="after")
    def _arms_differ(self) -> "ExperimentConfig":
        arms = [str(arm) for arm in self.arms()]
        twice = next((arm for place, arm in enumerate(arms) if arm in arms[:place]), None)
        if twice is not None:
            raise ValueError(f"{twice} is asked for twice")
        largest = max((value for arm in self.arms() if isinstance(value := arm.setting("n"), float)), default=1.0)
        if largest * 2 > self.measuring.frontier:
            raise ValueError(f"best of {largest:g} needs measuring.frontier of at least {2 * largest:g}")
        if self.training.pairs_per_step % self.preferences.answers and any(arm.method == RLOO for arm in self.arms()):
            raise ValueError("training.pairs_per_step is no multiple of preferences.answers, which rloo needs")
        return self

    def arms(self) -> list[Arm]:
        """Everything that is compared, in order."""
        return [arm for method in self.methods for arm in method.arms()]

    def method_of(self, arm: Arm) -> MethodConfig:
        """The entry that an arm is of."""
        return next(method for method in self.methods if arm in method.arms())

    @property
    def world(self) -> World:
        """What is asked and answered, and what answers are worth."""
        return WORLDS[self.task]

    def asked(self, use: Use, seed: int) -> list[Group]:
        """The prompts of a seed for a use."""
        counts: dict[Use, int] = {}
        if self.prompts is not None:
            counts = {"train": self.prompts.train, "held out": self.prompts.held_out, "measured": self.prompts.measured}
        if self.winrate is not None:
            counts["judged"] = self.winrate.prompts
        return self.world.prompts(use, counts.get(use, 0), seed)

    @property
    def learns_a_reward(self) -> bool:
        """Whether any method needs one."""
        return any(arm.setting("reward") == "learned" for arm in self.arms())

    @property
    def betas(self) -> list[float]:
        """Of the methods that have a closed form, for the tilted reference."""
        found = {arm.setting("beta") for arm in self.arms() if arm.method in ("dpo", RLOO)}
        return sorted(beta for beta in found if isinstance(beta, float))


def read_experiment(path: Path, *, seeds: list[int] | None = None, workers: int | None = None) -> ExperimentConfig:
    """The settings in a YAML file.

    Args:
        path: of the file.
        seeds: in the place of the file's.
        workers: likewise.

    Raises:
        ConfigError: it cannot be read, a key is not known, or a value is outside its range; with its line.
    """
    settings = read_yaml(path)
    for key, value in (("seeds", seeds), ("workers", workers)):
        if value is not None:
            settings.values[key] = value
            settings.origins[(key,)] = f"--{key.rstrip('s') if key == 'seeds' else key}"
    return build_as(ExperimentConfig, settings)


def _plain(value: object) -> float | str:
    """A number as a float, so that 1 and 1.0 are one setting; words stay."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is neither a number nor a word")
    try:
        return float(value)  # YAML reads 1e-3 as text
    except ValueError:
        return str(value)
