"""What a program that knows more than the run may add to its report: evidence.json, checked before it is shown.

    {"frontier": {"reward": "what the reward is",
                  "points": [{"name": "before", "reward": 0.1, "reward_low": 0.0, "reward_high": 0.2,
                              "kl": 0.0, "kl_low": 0.0, "kl_high": 0.0, "n": 512}, ...],
                  "best": [[kl, reward], ...]},
     "measures": [{"name": "...", "before": {"value": 0.1, "low": 0.0, "high": 0.2, "n": 512}, "after": {...},
                   "unit": "nats", "note": "..."}],
     "findings": [{"severity": "good", "what": "...", "fix": "..."}],
     "samples": [{"prompt": "...", "before": "...", "after": "..."}]}

Every part may be left out.
"""

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A part of the evidence: frozen, every key known, every number finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Value(Part):
    """A number with its 95 % interval and what it was measured on."""

    value: float
    low: float | None = None
    high: float | None = None
    n: float | None = None


class Measure(Part):
    """A number before and after training."""

    name: str
    before: Value
    after: Value
    unit: str = ""
    note: str = ""


class Point(Part):
    """Mean reward of a policy's samples, and their KL to the reference in nats."""

    name: str
    reward: float
    kl: float
    reward_low: float | None = None
    reward_high: float | None = None
    kl_low: float | None = None
    kl_high: float | None = None
    n: float | None = None


class Frontier(Part):
    """Reward against KL, and the best reward that any policy could have at a KL."""

    reward: str
    points: list[Point] = Field(min_length=1)
    best: list[tuple[float, float]] = Field(default_factory=list)

    def best_at(self, kl: float) -> float | None:
        """The best reward at a KL, between the points of the curve; None outside of it."""
        curve = sorted(self.best)
        for (left, low), (right, high) in pairwise(curve):
            if left <= kl <= right:
                return low + (high - low) * ((kl - left) / (right - left) if right > left else 1.0)
        return None


class Remark(Part):
    """A finding that only the program can know."""

    severity: Literal["good", "note", "warning"]
    what: str
    fix: str = ""


class SidePair(Part):
    """A sample before and after training."""

    prompt: str
    before: str
    after: str


class Evidence(Part):
    """All of it."""

    frontier: Frontier | None = None
    measures: list[Measure] = Field(default_factory=list)
    findings: list[Remark] = Field(default_factory=list)
    samples: list[SidePair] = Field(default_factory=list)
