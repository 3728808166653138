"""The trials of a search in an SQLite file, by Optuna: which settings come next, and what became of the others."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefsmith.errors import ConfigError
from prefsmith.methods.sweep.space import Range
from prefsmith.methods.sweep.worth import Objective, Worth

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

RANDOM = 6
"""Trials that are drawn at random before earlier ones are learnt from."""
NAME = "sweep"
Values = Mapping[str, float]


class Trials:
    """A study that is gone on with wherever it stopped.

    The settings of a trial are a function of the seed, its number, and what the trials before it came to: a search that
    was killed and goes on takes the same ones as one that was not.

    Args:
        file: of the study; made where it is not there.
        ranges: of the settings.
        objectives: one or two.
        seed: of the draws.

    Raises:
        ConfigError: Optuna is not installed, or the file cannot be used.
    """

    def __init__(self, file: Path, ranges: Sequence[Range], objectives: Sequence[Objective], seed: int) -> None:
        self.ranges, self.objectives, self.seed = ranges, objectives, seed
        self.optuna = _optuna()
        try:
            self.study: Study = self.optuna.create_study(
                storage=f"sqlite:///{file}",
                study_name=NAME,
                directions=["maximize" if each.largest else "minimize" for each in objectives],
                pruner=self.optuna.pruners.MedianPruner(n_startup_trials=4),
                load_if_exists=True,
            )
        except Exception as error:
            what = f"the study cannot be used: {type(error).__name__}: {str(error).splitlines()[0]}"
            raise ConfigError("sweep.study", what, where=str(file), fix="give another folder with --out") from error
        self._go_on_with_running()

    def next(self) -> "Trial":
        """The settings to try next."""
        number = len(self.done())
        seed = int.from_bytes(hashlib.sha256(f"{self.seed} {number}".encode()).digest()[:4], "little")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            self.study.sampler = self.optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM, multivariate=True)
        trial = self.study.ask()
        for each in self.ranges:
            if each.step is not None:
                trial.suggest_int(each.key, int(each.low), int(each.high), step=each.step)
            else:
                trial.suggest_float(each.key, each.low, each.high, log=each.log)
        return trial

    def finish(self, trial: "Trial", worths: Sequence[Worth]) -> None:
        """Note what a trial came to."""
        trial.set_user_attr("worth", [[each.value, each.low, each.high] for each in worths])
        self.study.tell(trial, [each.value for each in worths])

    def fail(self, trial: "Trial", reason: str) -> None:
        """Note that a trial came to nothing."""
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)

    def prune(self, trial: "Trial") -> None:
        """Note that a trial was stopped since others did better by then."""
        self.study.tell(trial, state=self.optuna.trial.TrialState.PRUNED)

    def done(self) -> "list[FrozenTrial]":
        """Trials that came to an end of some kind, in order; one that was interrupted failed without a reason."""
        states = self.optuna.trial.TrialState
        trials = self.study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.FAIL))
        return [each for each in trials if each.state != states.FAIL or "reason" in each.user_attrs]

    def _go_on_with_running(self) -> None:
        """What ran when the search was killed is asked for again, with the same settings, before anything new."""
        for each in self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.RUNNING,)):
            self.study.tell(each.number, state=self.optuna.trial.TrialState.FAIL)
            if len(each.params) == len(self.ranges):
                self.study.enqueue_trial(each.params)


def name_of(values: Values) -> str:
    """The folder of a trial: the same settings have the same."""
    text = json.dumps({key: repr(value) for key, value in values.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _optuna() -> Any:  # noqa: ANN401
    try:
        import optuna
    except ImportError as error:
        fix = "pip install 'prefsmith[tune]'"
        raise ConfigError("sweep.optuna", "searching takes Optuna, which is not installed", fix=fix) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
