"""From findings to audit.yaml: which rows to leave out or to weigh anew, file by file."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import yaml

from prefsmith.audit.audited import Audited, AuditedFile
from prefsmith.audit.finding import Finding, Proposal
from prefsmith.data.audited import AuditYaml, Entry, FileEntry, in_ranges, key_of

MOST_LEFT_OUT = 0.5
"""Share of a part's rows above which leaving them out is no proposal: then the file is to be mended, or is meant so."""

_DOES_NOT = "audit.yaml does not propose it, since more than half of the rows would go"

HEAD = """\
# What an audit proposes. Training applies it: data.audit=<this file>.
# Each entry multiplies the weight of its rows; 0 leaves them out. Delete or change what you do not want.
# Rows are named by where they stand, so a file that was changed since is refused.
"""


def proposed(findings: Sequence[Finding], data: Audited) -> AuditYaml:
    """What is proposed for the training and held-out files."""
    return AuditYaml(
        kind="audit",
        files=[
            FileEntry(name=file.name, digest=dict(file.digest), entries=list(_entries(findings, number, file)))
            for number, file in enumerate(data.files)
            if file.part != "other"
        ],
    )


def within_reason(findings: Sequence[Finding], data: Audited) -> list[Finding]:
    """The findings, without proposals that would leave out most of the rows to train on or to evaluate on.

    The cures of such findings say so.
    """
    return [
        replace(each, proposal=None, cure=f"{each.cure}; {_DOES_NOT}")
        if each.proposal is not None and _is_too_much(each.proposal, data)
        else each
        for each in findings
    ]


def _is_too_much(proposal: Proposal, data: Audited) -> bool:
    for part in ("train", "eval"):
        own = data.part(part)
        rows = sum(file.rows for file in data.files if file.part == part)
        left_out = int(own[proposal.rows[proposal.weights == 0]].sum())
        left_out += sum(data.files[number].part == part for number, _ in proposal.refused)
        if left_out > MOST_LEFT_OUT * rows:
            return True
    return False


def as_yaml(audit: AuditYaml) -> str:
    """The text of audit.yaml."""
    values = audit.model_dump(exclude_defaults=True) | {"version": audit.version}
    return HEAD + yaml.safe_dump(values, sort_keys=False, width=120, allow_unicode=True)


def _entries(findings: Sequence[Finding], number: int, file: AuditedFile) -> Iterator[Entry]:
    for finding in findings:
        proposal = finding.proposal
        if proposal is None:
            continue
        own = (proposal.rows >= file.first) & (proposal.rows < file.end)
        rows, weights = proposal.rows[own], proposal.weights[own]
        keys = [key_of(place) for of, place in proposal.refused if of == number]
        if keys:
            yield _entry(finding, 0.0, keys)
        for weight in np.unique(weights):
            places = (file.groups[int(row) - file.first].source for row in rows[weights == weight])
            yield _entry(finding, float(weight), [key_of(place) for place in places])


def _entry(finding: Finding, weight: float, keys: Sequence[str]) -> Entry:
    """Places as ranges of lines or of rows, where they are such."""
    lines = [int(key) for key in keys if key.isdecimal()]
    rows = [int(key[4:]) for key in keys if key.startswith("row ")]
    return Entry(
        code=finding.code,
        what=finding.title,
        weight=weight,
        lines=in_ranges(sorted(set(lines))),
        rows=in_ranges(sorted(set(rows))),
        places=sorted({key for key in keys if not key.isdecimal() and not key.startswith("row ")}),
    )
