"""How bad a finding is. Apart from findings, whose arrays a page has no need of."""

from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first: training would be wrong or stops; it costs quality; worth knowing."""
