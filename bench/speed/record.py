"""What was measured, a file in bench/recorded for every kind of processor, and the few numbers that follow from it."""

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .arms import BASELINES
from .sample import Padding
from .texts import ROOT

RECORDED = ROOT / "bench" / "recorded"


def place_of(machine: str) -> Path:
    """Where records of a machine are kept: those of one kind of processor are in one file."""
    processor = re.sub(r"\((?:R|TM)\)|\b(?:CPU|Processor)\b", " ", machine.split(",")[0])
    return RECORDED / ("-".join(re.findall(r"[a-z0-9.]+", processor.lower())) + ".json")


@dataclass(frozen=True, slots=True)
class Where:
    """On what, with what and when."""

    date: str
    machine: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of repeated measurements between the least and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one measurement or more."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Measured:
    """A regime, measured.

    Args:
        title: what the page calls it.
        pairs: in the sample.
        batch: pairs of a step.
        vocabulary: of the model.
        unique: tokens of a pair, its prompt once, in the mean.
        rows: scored tokens of a pair, in the mean.
        padding: of the sample.
        population: padding of what it stands for.
        operations: the least that a pair needs, by arm of prefsmith.
        seconds: CPU seconds a pair, by arm, one for each round.
        rate: operations a second of the model's matrix products, measured between the rounds.
        peak: bytes above weights, reference and optimiser, by arm.
        loss: of the same small batch before the first step, by arm; `exact` in float64.
        norm: of its gradient, by arm.
        where: machine and versions.
    """

    title: str
    pairs: int
    batch: int
    vocabulary: int
    unique: float
    rows: float
    padding: Padding
    population: Padding
    operations: dict[str, float]
    seconds: dict[str, list[float]]
    rate: list[float]
    peak: dict[str, int]
    loss: dict[str, float]
    norm: dict[str, float]
    where: Where

    def ratio(self, baseline: str) -> Spread:
        """How many times the baseline's time is ours, round by round."""
        rival = BASELINES[baseline].rival or ""
        pairs = zip(self.seconds[baseline], self.seconds[rival], strict=True)
        return Spread.of([theirs / ours for theirs, ours in pairs])

    def share(self, arm: str) -> float:
        """The part of the machine's rate of matrix products that an arm turns into operations that are needed."""
        return self.operations[arm] / statistics.median(self.seconds[arm]) / statistics.median(self.rate)

    def apart(self, arm: str) -> tuple[float, float]:
        """How far an arm is from float64, relatively: in the loss, and in the gradient's norm."""
        loss, norm = (abs(each[arm] / each["exact"] - 1) for each in (self.loss, self.norm))
        return loss, norm


@dataclass(frozen=True, slots=True)
class Whole:
    """Whole runs from text to a saved model; CPU seconds of the process, by arm, one for each round."""

    pairs: int
    batch: int
    vocabulary: int
    seconds: dict[str, list[float]]
    where: Where

    def ratio(self, baseline: str, ours: str = "prefsmith") -> Spread:
        """How many times the baseline's time is one of prefsmith's."""
        pairs = zip(self.seconds[baseline], self.seconds[ours], strict=True)
        return Spread.of([theirs / ours for theirs, ours in pairs])


@dataclass(frozen=True, slots=True)
class Records:
    """Everything that was measured on one kind of processor."""

    regimes: dict[str, Measured] = field(default_factory=dict)
    whole: Whole | None = None

    def ratios(self) -> dict[str, dict[str, float]]:
        """The median ratio of every regime and baseline."""
        return {
            key: {baseline: each.ratio(baseline).median for baseline in BASELINES} for key, each in self.regimes.items()
        }

    @property
    def places(self) -> list[Where]:
        """Of every row, and of the whole runs."""
        return [each.where for each in (*self.regimes.values(), *([self.whole] if self.whole else []))]

    def write(self, path: Path) -> None:
        """As JSON, numbers rounded to what they are worth."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Records":
        """What `write` wrote; nothing where there is none yet."""
        if not path.exists():
            return cls()
        kept = json.loads(path.read_text(encoding="utf-8"))
        whole = kept["whole"]
        return cls(
            {key: _measured(each) for key, each in kept["regimes"].items()},
            Whole(**{**whole, "where": Where(**whole["where"])}) if whole else None,
        )


def everywhere(folder: Path = RECORDED) -> list[Records]:
    """The records of every kind of processor, those with the most rows first, and of these the newest."""
    found = [Records.read(path) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda each: (len(each.places), max(place.date for place in each.places)), reverse=True)


def _measured(kept: dict) -> Measured:
    parts = {"padding": Padding(**kept["padding"]), "population": Padding(**kept["population"])}
    return Measured(**{**kept, **parts, "where": Where(**kept["where"])})


def _rounded(value: object) -> object:
    """Floats to eleven digits."""
    if isinstance(value, float):
        return float(f"{value:.11g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value
