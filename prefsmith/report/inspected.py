"""What `eval implicit` writes into evidence.json, checked before it is shown."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Shown(BaseModel):
    """A part of the evidence, as far as pages show it: every number finite."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True)


class Number(Shown):
    """A number with its 95 % interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


class Share(Number):
    """A share of n pairs."""

    n: int


class Compared(Number):
    """One rule's share less another's, and the p of the sign test."""

    p: float


class RuleFound(Shown):
    """How often a rule is right."""

    name: str
    accuracy: Share
    policy_less_rule: Compared | None = None


class ByChance(Shown):
    """The calibration error of probabilities that are right."""

    mean: float | None
    high: float | None


class CalibrationError(Number):
    """The calibration error, and what chance alone makes of it."""

    by_chance: ByChance


class BinFound(Shown):
    """Pairs of like sureness."""

    low: float
    high: float
    sureness: float
    right: Share


class CalibrationFound(Shown):
    """How far the implicit probabilities can be taken at their word."""

    bins: list[BinFound] = Field(min_length=1)
    ece: CalibrationError
    overconfidence: Number
    brier: Number
    log_loss: Number


class LongerPreferred(Shown):
    """How often the longer answer is preferred."""

    labels: Share
    policy: Share


class Sides(Shown):
    """In how many pairs the preferred answer is longer, shorter, or as long."""

    longer: int
    shorter: int
    equal: int


class LengthFound(Shown):
    """What the reward has to do with length."""

    pearson: Number
    spearman: Number
    within: Number
    longer_is_preferred: LongerPreferred
    preferred_side: Mapping[str, Sides]


class PartFound(Shown):
    """The main numbers of some of the pairs."""

    kind: str
    name: str
    pairs: int
    prompts: int
    few: bool
    accuracy: Mapping[str, Share]
    margin: Number


class ModelFound(Shown):
    """A model that was asked; `folder_sha256` is of its files, where it has a folder."""

    path: str
    origin: str
    sha256: str
    folder_sha256: str | None = None


class BetaFound(Shown):
    """What turned nats into reward, and who said so."""

    value: float
    whence: str = Field(alias="from")


class FileFound(Shown):
    """A file of pairs."""

    path: str
    rows: int
    recognised: str
    notes: Mapping[str, int]
    sha256: str | None = None


class Inspected(Shown):
    """All of it."""

    model: ModelFound
    reference: ModelFound
    beta: BetaFound
    seed: int
    draws: int
    pairs: int
    prompts: int
    data: list[FileFound]
    refused: Mapping[str, int]
    encoding: Mapping[str, int]
    rules: list[RuleFound] = Field(min_length=2)
    margin: Number
    reward_margin: Number
    calibration: CalibrationFound
    length: LengthFound
    parts: list[PartFound]
    warnings: tuple[str, ...]


def inspected(evidence: Mapping[str, Any]) -> Inspected:
    """The evidence as values.

    Raises:
        ValidationError: it is none of `eval implicit`.
    """
    return Inspected.model_validate(evidence)
