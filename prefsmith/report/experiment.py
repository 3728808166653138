"""The page of an experiment: methods against the best that any could reach, criteria, and every number behind them."""

import json
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prefsmith.errors import ConfigError
from prefsmith.report.arms import title_of
from prefsmith.report.evidence import Remark
from prefsmith.report.excerpt import Cell, Drawing, Excerpt, Grid
from prefsmith.report.methods import Drawn, Family, methods_plot
from prefsmith.report.page import ends, measured, templates, write_page
from prefsmith.report.temperatures import ShownRates, detail_table, numbers_of, rate_grid, temperature_plot
from prefsmith.train.findings import Finding

NEAR, FAR = 1.0, 1.5
"""Nats: where methods go beyond the second, what they do below the first is drawn once more."""
FIGURE = (
    "Up is better, to the left is cheaper. Bars are 95 % intervals, lines join the settings of a method, small marks "
    "are earlier steps. No policy can lie in the shaded part; it ends where the start\u2019s own answers no longer "
    "show what is possible."
)


class Shown(BaseModel):
    """A part of evidence.json, as far as the page shows it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True)


class Number(Shown):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float
    n: float


class Criterion(Shown):
    """A criterion and what became of it."""

    name: str
    claim: str
    passed: bool | None
    found: str


class End(Shown):
    """The last point of an arm, over seeds."""

    arm: str
    method: str
    settings: dict[str, float | str]
    step: int
    reward: Number
    kl: Number
    best: float
    below: float
    below_error: float
    efficiency: float | None
    tokens: float | None
    by_seed: list[float]


class Measurement(Shown):
    """A policy after some steps."""

    arm: str
    seed: int
    step: int
    reward: Number
    kl: Number
    best: float
    below: float
    kl_sampled: Number | None = None
    kl_gap: Number | None = None
    kl_errors: dict[str, float] = Field(default_factory=dict)
    tokens: Number | None = None
    ended: Number | None = None
    grammatical: Number | None = None
    sample: str | None = None


class RewardModelFound(Shown):
    """How good the learned reward is."""

    accuracy: Number | None
    correlation: float
    step: int


class SeedRow(Shown):
    """What a seed's methods have in common."""

    seed: int
    pairs: int
    verdicts_right: float
    reward: Number
    frontier: list[tuple[float, float]]
    reward_model: RewardModelFound | None = None


class ExperimentEvidence(Shown):
    """All of it."""

    recipe: dict[str, object]
    versions: dict[str, str]
    criteria: list[Criterion]
    findings: list[Remark]
    ends: list[End]
    seeds: list[SeedRow] = Field(min_length=1)
    points: list[Measurement]
    winrates: ShownRates | None = None


def read_experiment(folder: Path) -> ExperimentEvidence:
    """The evidence of an experiment.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = folder / "evidence.json"
    try:
        return ExperimentEvidence.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no evidence of `prefsmith eval frontier`"
        fix = "name the folder of an experiment that came to its end"
        raise ConfigError("report.evidence", f"cannot be read: {reason}", where=str(path), fix=fix) from error


def write_experiment(folder: Path) -> Path:
    """Draw report.html from evidence.json.

    Raises:
        ConfigError: the evidence cannot be read, or the page cannot be written.
    """
    path = folder / "report.html"
    write_page(path, experiment_page(read_experiment(folder), folder.name))
    return path


def experiment_page(found: ExperimentEvidence, name: str) -> str:
    """The page as HTML; the same evidence gives the same text."""
    families = _families(found)
    return (
        templates()
        .get_template("experiment.html")
        .render(
            name=name,
            found=found,
            title_of=title_of,
            passed=[each for each in found.criteria if each.passed],
            failed=[each for each in found.criteria if each.passed is False],
            figure=_figure("frontier", families, found, None),
            figure_caption=FIGURE,
            near=_figure("frontier-near", families, found, NEAR) if _goes_far(found) else None,
            findings=[Finding("experiment", each.severity, each.what, fix=each.fix) for each in found.findings],
            settings=list(_flat(found.recipe)),
            chart=None if found.winrates is None else temperature_plot(found.winrates),
            grid=rate_grid,
            details=detail_table,
            numbers_of=numbers_of,
            signed=_signed,
            z=_z,
        )
    )


def experiment_excerpt(found: ExperimentEvidence, name: str) -> Excerpt:
    """What the page of a run says of it.

    Args:
        found: the evidence.
        name: unique in the page, for the drawing.
    """
    passed = [each.name for each in found.criteria if each.passed]
    failed = [each.name for each in found.criteria if each.passed is False]
    said = [f"{len(found.ends)} arms over {len(found.seeds)} seeds: {len(passed)} criteria hold, {len(failed)} fail."]
    header = ("method", "true reward", "KL, nats", "best there", "efficiency")
    return Excerpt(
        title="Methods against the best possible",
        results=tuple(said + [each.what for each in found.findings]),
        drawings=(Drawing(_figure(f"{name}-frontier", _families(found), found, None), FIGURE),),
        grids=(Grid("Where every method ended", header, tuple(_end_row(each) for each in found.ends)),),
    )


def _end_row(each: End) -> tuple[Cell, ...]:
    reward, kl = each.reward, each.kl
    return (
        (title_of(each.method, each.settings), f"step {each.step}" if each.step else ""),
        (_signed(reward.value), ends(reward.value, reward.low, reward.high)),
        (measured(kl.value), ends(kl.value, kl.low, kl.high) if kl.low < kl.high else ""),
        (_signed(each.best),),
        ("" if each.efficiency is None or kl.value <= 0 else f"{each.efficiency:.2f}",),
    )


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}".replace("-", "\u2212")


def _z(each: Measurement) -> str:
    """How many standard errors the two estimates of the KL are apart."""
    error = each.kl_errors.get("gap", 0.0)
    return "" if each.kl_gap is None or error == 0 else f"{abs(each.kl_gap.value) / error:.1f}"


def _goes_far(found: ExperimentEvidence) -> bool:
    return any(end.kl.value > FAR for end in found.ends)


def _families(found: ExperimentEvidence) -> list[Family]:
    """Arms that differ in their numbers alone, each with where it ended and what it passed through."""
    grouped: dict[str, list[End]] = {}
    for end in found.ends:
        words = {key: value for key, value in end.settings.items() if isinstance(value, str)}
        grouped.setdefault(title_of(end.method, words), []).append(end)
    passed: dict[str, list[Measurement]] = {}
    for each in found.points:
        passed.setdefault(each.arm, []).append(each)
    families = []
    for title, of in grouped.items():
        drawn = [
            Drawn(end.kl.value, end.reward.value, (end.kl.low, end.kl.high), (end.reward.low, end.reward.high))
            for end in of
        ]
        on_the_way = [
            (each.kl.value, each.reward.value) for end in of for each in passed.get(end.arm, []) if each.step < end.step
        ]
        families.append(Family(title, _numbers(of), tuple(drawn), tuple(on_the_way)))
    return families


def _numbers(ends: Sequence[End]) -> str:
    """The settings that a family tries: `beta 0.1, 0.3, 1, 3`."""
    tried: dict[str, list[str]] = {}
    for end in ends:
        for key, value in end.settings.items():
            if isinstance(value, float) and f"{value:g}" not in tried.setdefault(key, []):
                tried[key].append(f"{value:g}")
    return "; ".join(f"{key} {', '.join(values)}" for key, values in tried.items())


def _figure(name: str, families: Sequence[Family], found: ExperimentEvidence, most_kl: float | None) -> Markup:
    curves = [seed.frontier for seed in found.seeds]
    count = len(curves)
    # The tilted references have one beta in every seed, so that their means are again such a curve.
    best = [
        (sum(point[0] for point in row) / count, sum(point[1] for point in row) / count)
        for row in zip(*curves, strict=True)
    ]
    return methods_plot(name, "Reward against KL", families, best, most_kl=most_kl)


def _flat(values: object, path: str = "") -> list[tuple[str, str]]:
    """Settings by their dotted names."""
    if isinstance(values, dict):
        return [row for key, value in values.items() for row in _flat(value, f"{path}.{key}".strip("."))]
    if isinstance(values, list) and any(isinstance(each, dict) for each in values):
        return [row for index, value in enumerate(values) for row in _flat(value, f"{path}.{index}")]
    return [] if values is None else [(path, ", ".join(map(str, values)) if isinstance(values, list) else str(values))]
