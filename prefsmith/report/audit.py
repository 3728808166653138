"""The page of `prefsmith audit`: what was found, the worst first, and the numbers behind it as drawings and tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pydantic import ValidationError

from prefsmith.audit.severity import SEVERITIES
from prefsmith.errors import ConfigError
from prefsmith.report.audit_parts import PARTS
from prefsmith.report.audited import AuditEvidence, Found
from prefsmith.report.bars import stacked_bars
from prefsmith.report.page import templates, write_page
from prefsmith.wording import counted

KINDS = ("broken", "contradictory", "repeated", "biased", "unreliable", "uncovered", "fit")
WORDS = {"error": "would make training wrong, or stop it", "warning": "costs quality", "note": "worth knowing"}


@dataclass(frozen=True, slots=True)
class Overview:
    """Findings by kind and severity."""

    drawing: Markup | None
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def write_audit_page(folder: Path) -> Path:
    """Draw report.html from the evidence.json of a folder.

    Raises:
        ConfigError: there is no such evidence, or the page cannot be written.
    """
    source = folder / "evidence.json"
    try:
        evidence = AuditEvidence.model_validate_json(source.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no evidence of `prefsmith audit`"
        fix = "write it again with `prefsmith audit`"
        raise ConfigError("report.evidence", f"cannot be read: {reason}", where=str(source), fix=fix) from error
    path = folder / "report.html"
    write_page(path, _page(evidence))
    return path


def audit_page(evidence: Mapping[str, Any]) -> str:
    """The page as HTML; the same evidence gives the same text."""
    return _page(AuditEvidence.model_validate(evidence))


def _page(evidence: AuditEvidence) -> str:
    parts = [part for make in PARTS if (part := make(evidence)) is not None]
    return (
        templates()
        .get_template("audit.html")
        .render(
            version=evidence.version,
            evidence=evidence,
            name=", ".join(file.name for file in evidence.files) or "no file",
            result=result(evidence),
            overview=_overview(evidence),
            parts=parts,
            words=WORDS,
            files=_files(evidence),
        )
    )


def result(evidence: AuditEvidence) -> str:
    """What was found, in a sentence."""
    counts = {each: sum(found.severity == each for found in evidence.findings) for each in SEVERITIES}
    rows = sum(file.rows for file in evidence.files)
    named = [counted(counts[each], each) for each in SEVERITIES]
    return f"{', '.join(named[:2])} and {named[2]} about {rows:,} rows."


def _overview(evidence: AuditEvidence) -> Overview:
    kinds = [*KINDS, *sorted({found.kind for found in evidence.findings} - set(KINDS))]
    counts = [(kind, [_count(evidence.findings, kind, each) for each in SEVERITIES]) for kind in kinds]
    counts = [(kind, of) for kind, of in counts if sum(of)]
    rows = [(kind, *(str(each) for each in of)) for kind, of in counts]
    drawing = stacked_bars("overview", "Findings by kind", "findings", counts, [f"{each}s" for each in SEVERITIES]
                           ) if counts else None  # fmt: skip
    return Overview(drawing, ("kind", *(f"{each}s" for each in SEVERITIES)), rows)


def _count(findings: tuple[Found, ...], kind: str, severity: str) -> int:
    return sum(found.kind == kind and found.severity == severity for found in findings)


def _files(evidence: AuditEvidence) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for file in evidence.files:
        rows.append((f"{file.part} file", f"{file.name}: {file.rows:,} rows; {file.recognised}"))
        rows += [("refused", f"{count:,} {code}") for code, count in file.refused.items()]
        rows += [("noted", f"{count:,} {what}") for what, count in file.notes.items()]
        rows += [(name, value) for name, value in file.digest.items()]
    return rows if evidence.seed is None else [*rows, ("seed", str(evidence.seed))]
