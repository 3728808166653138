"""Runs of `prefsmith train` as what is searched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefsmith.assembly import objective_of
from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.methods.sweep.space import put
from prefsmith.methods.sweep.subject import Report
from prefsmith.methods.sweep.worth import OfRun, Worth
from prefsmith.run import fit
from prefsmith.settings import Settings, build


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs that differ in some settings.

    Args:
        config: of all of them.
        objectives: one or two numbers of a run.
        prune: stop runs that do worse than half of the others by then.

    Raises:
        ConfigError: pruning is asked for, and no evaluation before the end measures the one objective.
    """

    config: RunConfig
    objectives: tuple[OfRun, ...]
    prune: bool = False

    def __post_init__(self) -> None:
        if not self.prune:
            return
        if [each.name for each in self.objectives] not in (["accuracy"], ["loss"]):
            what = "half of a run cannot be judged by two objectives, nor by samples of its end"
            fix = "--objectives accuracy, or leave --prune out"
            raise ConfigError("sweep.prune", what, where="--prune", fix=fix)
        if self.config.evaluate.every == 0:
            what, fix = "runs are stopped at evaluations, and there is none before the last step", "evaluate.every=20"
            raise ConfigError("sweep.prune", what, where="evaluate.every", fix=fix)

    def settings(self) -> dict[str, Any]:
        """All but where a run is written."""
        settings = self.config.model_dump(mode="json")
        settings.pop("out")
        return settings

    def check(self, values: Mapping[str, Any]) -> None:
        """Refuse what is no setting of a run."""
        objective_of(self._of(values, Path("trial")))  # which looks at the settings of losses

    def attempt(self, values: Mapping[str, Any], folder: Path, report: Report | None) -> Sequence[Worth | None]:
        """Train, and read what the run came to."""
        config = self._of(values, folder)

        def watch(row: Mapping[str, object], _steps: int) -> None:
            value, step = row.get(self.objectives[0].name), row.get("step")
            if report is not None and row.get("split") == "eval" and isinstance(value, float) and isinstance(step, int):
                report(value, -(-step // config.evaluate.every))

        run = fit(config, resume=(folder / "run.yaml").is_file(), say=lambda line: None, watch=watch)
        return [each.of(run) for each in self.objectives]

    def as_yaml(self, values: Mapping[str, Any]) -> str:
        """A run that `prefsmith train` takes."""
        return self._of(values, Path("best")).model_copy(update={"out": None}).to_yaml()

    def _of(self, values: Mapping[str, Any], out: Path) -> RunConfig:
        settings = Settings(self.config.model_dump(mode="json"))
        for key, value in {**values, "out": str(out)}.items():
            put(settings.values, key, value)
        if self.prune and "train.pairs_per_step" in values:  # the n-th evaluation is after as many pairs in every trial
            pairs = self.config.evaluate.every * self.config.train.pairs_per_step
            settings.values["evaluate"]["every"] = max(1, round(pairs / values["train.pairs_per_step"]))
        return build(settings)
