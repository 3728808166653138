"""What a finished run is worth: the numbers that a search compares, each with its interval where it has one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.run import Run
from prefsmith.train.findings import Estimate, Sample, drift, number, sample_of

Kind = TypeVar("Kind", bound="Objective")


@dataclass(frozen=True, slots=True)
class Worth:
    """A number of a run with its 95 % interval, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """Something that a search makes large or small.

    Args:
        name: on the command line.
        words: in tables and drawings.
        largest: whether more is better.
    """

    name: str
    words: str
    largest: bool


@dataclass(frozen=True, slots=True)
class OfRun(Objective):
    """A number of a run of `prefsmith train`.

    Args:
        samples: whether it takes samples of the policy.
        of: the number of a run; None where it has none.
    """

    samples: bool
    of: Callable[[Run], Worth | None]


def _accuracy(run: Run) -> Worth | None:
    row = run.evaluation or {}
    value, low, high = (number(row, f"accuracy{end}") for end in ("", "_low", "_high"))
    return None if value is None else Worth(value, low, high)


def _loss(run: Run) -> Worth | None:
    value = number(run.evaluation or {}, "loss")
    return None if value is None else Worth(value)


def _length(run: Run) -> Worth | None:
    change = drift(_samples(run.folder)).tokens
    if change is None or change.before <= 0:
        return None
    ends = sorted(abs(end) / change.before for end in (change.by.low, change.by.high))
    low = 0.0 if change.by.low <= 0 <= change.by.high else ends[0]
    return Worth(abs(change.by.value) / change.before, low, ends[1])


def _kl(run: Run) -> Worth | None:
    kl: Estimate | None = drift(_samples(run.folder)).kl
    return None if kl is None else Worth(kl.value, kl.low, kl.high)


OBJECTIVES = {
    each.name: each
    for each in (
        OfRun("accuracy", "held-out accuracy", True, False, _accuracy),
        OfRun("loss", "held-out loss", False, False, _loss),
        OfRun("length", "change of length, share of the length before", False, True, _length),
        OfRun("kl", "KL to the starting model, nats an answer", False, True, _kl),
    )
}


def chosen(names: Sequence[str], known: Mapping[str, Kind]) -> tuple[Kind, ...]:
    """One or two of the objectives that are known.

    Raises:
        ConfigError: a name is not known or there twice, or there are none or more than two.
    """
    if any(name not in known for name in names) or not 1 <= len(names) <= 2 or len(set(names)) < len(names):
        what = f"{', '.join(names) or 'nothing'} is not one or two different objectives"
        raise ConfigError("sweep.objective", what, where="--objectives", fix=f"of {', '.join(known)}")
    return tuple(known[name] for name in names)


def objectives_of(names: Sequence[str], config: RunConfig) -> tuple[OfRun, ...]:
    """One or two objectives by name.

    Raises:
        ConfigError: a name is not known or there twice, there are more than two, or the runs do not measure it.
    """
    found = chosen(names, OBJECTIVES)
    if any(each.samples for each in found) and config.evaluate.samples < 4:
        what = f"evaluate.samples is {config.evaluate.samples}, too few to see {names[-1]} with"
        raise ConfigError("sweep.objective", what, where="evaluate.samples", fix="evaluate.samples=32")
    if config.data.eval is None and config.data.eval_fraction == 0:
        what = "no rows are held out, so nothing says what a run is worth"
        raise ConfigError("sweep.objective", what, where="data.eval_fraction", fix="data.eval_fraction=0.1")
    return found


def _samples(folder: Path) -> list[Sample]:
    rows = (json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines())
    return [each for each in map(sample_of, rows) if each is not None]
