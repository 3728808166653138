"""From what is asked for to a search of runs, or of a method of an experiment, and its folder."""

from collections.abc import Sequence
from pathlib import Path

from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.methods.experiment.settings import ExperimentConfig
from prefsmith.methods.sweep.controlled import OBJECTIVES, Controlled, only, ranges_of
from prefsmith.methods.sweep.runs import Runs
from prefsmith.methods.sweep.search import Search
from prefsmith.methods.sweep.space import Range, default_ranges, parse_ranges
from prefsmith.methods.sweep.wanted import Wanted
from prefsmith.methods.sweep.worth import chosen, objectives_of


def open_search(
    config: RunConfig | ExperimentConfig, wanted: Wanted, fixed: Sequence[str], out: Path | None
) -> tuple[Search, Path]:
    """The search and its folder.

    Args:
        config: the run or the experiment.
        wanted: what is asked for.
        fixed: dotted names of settings that are not searched.
        out: the folder; None for the first free one of its name.

    Raises:
        ConfigError: something that is asked for cannot be.
    """
    typed = parse_ranges(wanted.ranges)
    given = [*fixed, *(each.key for each in typed)]
    if isinstance(config, RunConfig):
        return _of_run(config, wanted, typed, given, out)
    return _of_recipe(config, wanted, typed, given, out)


def _of_run(
    config: RunConfig, wanted: Wanted, typed: Sequence[Range], given: Sequence[str], out: Path | None
) -> tuple[Search, Path]:
    if wanted.method is not None:
        what, fix = "a run has no methods, it has losses", "loss.name=..., or a recipe of an experiment"
        raise ConfigError("sweep.method", what, where="--method", fix=fix)
    subject = Runs(config, objectives_of(wanted.names("accuracy,length"), config), wanted.prune)
    ranges = (*typed, *default_ranges(config, given))
    return Search(subject, ranges, wanted.trials, wanted.seed), out or _free(f"sweep/{config.losses[0].name}")


def _of_recipe(
    config: ExperimentConfig, wanted: Wanted, typed: Sequence[Range], given: Sequence[str], out: Path | None
) -> tuple[Search, Path]:
    if wanted.prune:
        what, fix = "a trial of an experiment is measured at its end alone", "leave --prune out"
        raise ConfigError("sweep.prune", what, where="--prune", fix=fix)
    alone = only(config, wanted.method)
    folder = out or _free(f"sweep/{alone.methods[0].name}")
    subject = Controlled(alone, folder / "start", chosen(wanted.names("reward,kl"), OBJECTIVES))
    return Search(subject, (*typed, *ranges_of(alone, given)), wanted.trials, wanted.seed), folder


def _free(default: str) -> Path:
    names = (default, *(f"{default}-{number}" for number in range(2, 10**6)))
    return next(Path(name) for name in names if not Path(name).exists())
