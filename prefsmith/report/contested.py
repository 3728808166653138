"""What `eval winrate` writes into evidence.json, checked before it is shown."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from prefsmith.report.evidence import Part


class Rate(Part):
    """A share of n prompts, with Wilson's interval."""

    value: float
    low: float
    high: float
    n: float


class Drawn(Part):
    """A number with its interval from drawing prompts; open where nothing shows how far it scatters."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int


class Signs(Part):
    """Prompts on which one side was better, and worse."""

    better: int
    worse: int
    p: float


class EqualLength(Part):
    """The rate if answers were as long as the baseline's, and what it was read from."""

    rate: Drawn
    strength: float
    length: float
    difficulty: float | None
    scale: float
    longer: float
    shorter_share: float
    longer_share: float
    warnings: tuple[str, ...]


class StandingPart(Part):
    """A method at a temperature."""

    method: str
    temperature: float | None
    pairs: int
    identical: int
    prompts: int
    wins: int
    losses: int
    ties: int
    invalid: int
    unjudged: int
    inconsistent: int
    asked_twice: int
    rate: Rate | None
    by_prompt: Drawn | None
    if_lost: float | None
    if_won: float | None
    shown_first: Drawn | None
    against_half: Signs
    warnings: tuple[str, ...]
    equal_length: EqualLength | None
    needed: int | None


class BetweenPart(Part):
    """Two methods on the same prompts."""

    first: str
    second: str
    temperature: float | None
    prompts: int
    difference: Drawn
    test: Signs
    needed: int | None


class AnswersPart(Part):
    """What a side answered."""

    side: str
    temperature: float | None
    n: int
    characters: float
    tokens: float | None
    cut: int
    shortened: int


class WinRateEvidence(Part):
    """All of it."""

    kind: Literal["winrate"]
    version: str
    settings: Mapping[str, Any]
    baseline: str
    prompts: int
    left_out: int
    judge: Mapping[str, Any]
    standings: tuple[StandingPart, ...] = Field(min_length=1)
    between: tuple[BetweenPart, ...]
    answers: tuple[AnswersPart, ...]
    warnings: tuple[str, ...]
