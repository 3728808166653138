"""Search for settings: trial after trial, each in its own folder, and at the end the page and the best of them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prefsmith.report.sweep as report
from prefsmith.errors import ConfigError, PrefsmithError, TrainingError
from prefsmith.evaluate.bootstrap import clustered
from prefsmith.evaluate.length import correlation, ranks
from prefsmith.evaluate.pareto import front
from prefsmith.files import write_durably
from prefsmith.methods.sweep.space import Range
from prefsmith.methods.sweep.study import Trials, name_of
from prefsmith.methods.sweep.subject import Subject
from prefsmith.methods.sweep.worth import Worth
from prefsmith.train.checkpoint import lock

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial

Say = Callable[[str], None]
FEWEST = 8
"""Trials below which what mattered is not said: any order of so few is chance."""


class Pruned(PrefsmithError):
    """A trial that is stopped since others did better by then; caught by the search."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for.

    Args:
        subject: what is tried, and by what it is judged.
        ranges: of settings of the subject.
        trials: how many.
        seed: of the settings that are tried.

    Raises:
        ConfigError: nothing varies.
    """

    subject: Subject
    ranges: tuple[Range, ...]
    trials: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError("sweep.value", f"--trials is {self.trials}", where="--trials", fix="--trials 8")
        if not self.ranges:
            raise ConfigError("sweep.range", "every setting is fixed", where="--range", fix="give one of them a range")

    def facts(self) -> dict[str, object]:
        """What has to be the same for a search to go on."""
        return {
            "settings": self.subject.settings(),
            "ranges": [each.as_dict() for each in self.ranges],
            "objectives": [each.name for each in self.subject.objectives],
            "seed": self.seed,
            "prune": self.subject.prune,
        }


def search(asked: Search, folder: Path, *, resume: bool, say: Say = print) -> dict[str, Any]:
    """Run trials until there are enough, and write sweep.json, report.html and best.yaml.

    Args:
        asked: what is searched for.
        folder: of the search.
        resume: go on with what is in the folder.
        say: is given a line at a time.

    Returns:
        What sweep.json says.

    Raises:
        ConfigError: the folder holds something else, or a setting is wrong.
        DataError: a row cannot be used.
        TrainingError: no trial came to its end, or the disk is full.
        Interrupted: a signal stopped it; it can be gone on with.
    """
    asked.subject.check({each.key: _end(each, each.low) for each in asked.ranges})
    asked.subject.check({each.key: _end(each, each.high) for each in asked.ranges})
    _claim(folder, asked, resume=resume)
    with lock(folder):
        trials = Trials(folder / "study.db", asked.ranges, asked.subject.objectives, asked.seed)
        while (number := len(trials.done())) < asked.trials:
            trial = trials.next()
            values = {key: trial.params[key] for key in sorted(trial.params)}
            say(f"trial {number + 1} of {asked.trials}: {_words(values)}")
            say(f"  {_attempt(asked, trials, trial, values, folder)}")
        found = _summary(asked, trials.done())
    if not found["best"]:
        what = f"none of {asked.trials} trials came to its end"
        reasons = sorted({str(each["reason"]) for each in found["trials"] if each["reason"]})
        raise TrainingError("sweep.nothing", what, where="; ".join(reasons)[:300], fix="narrow the ranges (--range)")
    _write(folder / "best.yaml", asked.subject.as_yaml(found["best"]["values"]))
    _write(folder / "sweep.json", json.dumps(found, indent=1, allow_nan=False))
    _write(folder / "report.html", report.page(found))
    return found


def _attempt(asked: Search, trials: Trials, trial: "Trial", values: Mapping[str, Any], folder: Path) -> str:
    """One trial; says what it came to."""
    objectives = asked.subject.objectives

    def report(value: float, step: int) -> None:
        trial.report(value, step)
        if trial.should_prune():
            raise Pruned("sweep.pruned", "others did better by then")

    try:
        worths = asked.subject.attempt(
            values, folder / "trials" / name_of(values), report if asked.subject.prune else None
        )
    except Pruned:
        trials.prune(trial)
        return "stopped: others did better by then"
    except TrainingError as error:
        if error.code == "run.write":
            raise
        trials.fail(trial, str(error.what))
        return f"came to nothing: {error.what}"
    missing = [each.words for each, worth in zip(objectives, worths, strict=True) if worth is None]
    if missing:
        trials.fail(trial, f"no {missing[0]}")
        return f"came to nothing: no {missing[0]}"
    known = [worth for worth in worths if worth is not None]
    trials.finish(trial, known)
    return ", ".join(f"{each.words} {_interval(worth)}" for each, worth in zip(objectives, known, strict=True))


def _summary(asked: Search, done: "Sequence[FrozenTrial]") -> dict[str, Any]:
    """What sweep.json says."""
    rows = [
        {
            "number": number,
            "folder": f"trials/{name_of({key: each.params[key] for key in sorted(each.params)})}",
            "state": each.state.name.lower(),
            "values": {one.key: each.params.get(one.key) for one in asked.ranges},
            "worth": each.user_attrs.get("worth"),
            "reason": each.user_attrs.get("reason", ""),
            "front": False,
        }
        for number, each in enumerate(done, 1)
    ]
    whole = [row for row in rows if row["worth"]]
    points = [[worth[0] for worth in row["worth"]] for row in whole]
    for index in front(points, [each.largest for each in asked.subject.objectives]):
        whole[index]["front"] = True
    return {
        "kind": "sweep",
        **asked.facts(),
        "words": [each.words for each in asked.subject.objectives],
        "largest": [each.largest for each in asked.subject.objectives],
        "trials": rows,
        "mattered": _mattered(asked, whole),
        "best": _best(asked, [row for row in whole if row["front"]]),
    }


def _best(asked: Search, candidates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the front, the best in the first objective; of those that its interval cannot tell from it, the best in the
    second."""
    if not candidates:
        return {}
    signs = [1.0 if each.largest else -1.0 for each in asked.subject.objectives]
    first = max(candidates, key=lambda row: signs[0] * row["worth"][0][0])
    if len(signs) == 1 or first["worth"][0][1] is None:
        return first
    low, high = first["worth"][0][1:]
    equal = [row for row in candidates if low <= row["worth"][0][0] <= high]
    return max(equal, key=lambda row: signs[1] * row["worth"][1][0])


def _mattered(asked: Search, whole: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rank correlation of every setting with every objective over the trials, with its interval."""
    if len(whole) < FEWEST:
        return []
    import numpy as np  # inside: a search of few trials has no use for it

    found = []
    for each in asked.ranges:
        for place, objective in enumerate(asked.subject.objectives):
            values = np.array([row["values"][each.key] for row in whole], dtype=np.float64)
            worths = np.array([row["worth"][place][0] for row in whole], dtype=np.float64)
            columns = np.stack([ranks(values), ranks(worths)], axis=1)
            seen = clustered(columns, list(range(len(whole))), statistic=correlation, seed=asked.seed)
            found.append({"key": each.key, "objective": objective.name, **seen.as_dict()})
    return found


def _claim(folder: Path, asked: Search, *, resume: bool) -> None:
    """Make the folder, or make sure that the search in it is this one.

    Raises:
        ConfigError: it holds another search, or something else.
    """
    note, text = folder / "search.json", json.dumps(asked.facts(), indent=1)
    if note.is_file():
        if not resume:
            what, fix = "the folder holds a search", "go on with it by --resume, or give another folder with --out"
            raise ConfigError("sweep.exists", what, where=str(folder), fix=fix)
        if note.read_text(encoding="utf-8") != text:
            what, fix = "the search in the folder has other settings, ranges or objectives", "give another --out"
            raise ConfigError("sweep.exists", what, where=str(folder), fix=fix)
        return
    if resume or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        what = "there is no search to go on with" if resume else "the folder is not empty"
        raise ConfigError("sweep.exists", what, where=str(folder), fix="give another folder with --out")
    try:
        (folder / "trials").mkdir(parents=True)
    except OSError as error:
        what = f"the folder cannot be made: {error.strerror}"
        raise ConfigError("run.folder", what, where=str(folder), fix="give another folder with --out") from error
    _write(note, text)


def _end(each: Range, value: float) -> float:
    return value if each.step is None else int(value)


def _write(path: Path, text: str) -> None:
    try:
        write_durably(path, text.encode())
    except OSError as error:
        what = f"the search cannot be written: {error.strerror}"
        raise TrainingError("run.write", what, where=str(path), fix="make room, and go on with --resume") from error


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value:.4g}" for key, value in values.items())


def _interval(worth: Worth) -> str:
    ends = "" if worth.low is None or worth.high is None else f" [{worth.low:.3f}, {worth.high:.3f}]"
    return f"{worth.value:.3f}{ends}"
