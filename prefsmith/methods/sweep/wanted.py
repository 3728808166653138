"""What a search is asked for, before anything is loaded. Starts without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefsmith.config import RunConfig
from prefsmith.methods.experiment.settings import ExperimentConfig
from prefsmith.settings import parse_as, parse_settings, read_yaml


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search as it is typed.

    Args:
        trials: how many.
        ranges: KEY=LOW:HIGH[:log|STEP], each.
        objectives: names with commas between; None for the usual ones.
        method: of an experiment; None for its first.
        prune: stop trials that do worse than half of the others by then.
        seed: of the settings that are tried.
    """

    trials: int
    ranges: tuple[str, ...] = ()
    objectives: str | None = None
    method: str | None = None
    prune: bool = False
    seed: int = 0

    def names(self, default: str) -> list[str]:
        """Of the objectives."""
        text = default if self.objectives is None else self.objectives
        return [each.strip() for each in text.split(",") if each.strip()]


def read_subject(arguments: Sequence[str]) -> RunConfig | ExperimentConfig:
    """The run, or the experiment, that a command line names; an experiment's file lists methods.

    Raises:
        ConfigError: an unreadable file, an unknown key, a value outside its range, a key given twice.
    """
    first = arguments[0] if arguments else ""
    recipe = first.endswith((".yaml", ".yml")) and "methods" in read_yaml(Path(first)).values
    return parse_as(ExperimentConfig, arguments) if recipe else parse_settings(arguments)
