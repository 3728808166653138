"""What `prefsmith audit` writes into evidence.json, checked before it is shown."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from prefsmith.audit.severity import Severity


class Shown(BaseModel):
    """A part of the evidence: frozen, every number finite; what the page does not show may be there too."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Example(Shown):
    """A row that shows a finding."""

    where: str
    text: str


class Found(Shown):
    """A finding."""

    kind: str
    code: str
    severity: Severity
    title: str
    count: int
    of: int
    share: float
    unit: str = "pairs"
    effect: str = ""
    cure: str = ""
    examples: tuple[Example, ...] = ()
    numbers: dict[str, Any] = Field(default_factory=dict)

    @property
    def amount(self) -> str:
        """How many of how many."""
        return f"{self.count:,} of {self.of:,} {self.unit} ({self.share:.1%})" if self.of else f"{self.count:,}"


class File(Shown):
    """A file that was read."""

    name: str
    part: str = "train"
    rows: int = 0
    recognised: str = ""
    refused: dict[str, int] = Field(default_factory=dict)
    notes: dict[str, int] = Field(default_factory=dict)
    digest: dict[str, str] = Field(default_factory=dict)


class AuditEvidence(Shown):
    """All of it."""

    kind: Literal["audit"]
    version: str = ""
    seed: int | None = None
    files: tuple[File, ...] = ()
    findings: tuple[Found, ...] = ()

    def of(self, code: str) -> Found | None:
        """The finding of a code."""
        return next((each for each in self.findings if each.code == code), None)
