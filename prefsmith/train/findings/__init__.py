"""Findings of a run in plain words: pure functions of the rows that it has written, without torch."""

from prefsmith.train.findings.doctor import Doctor
from prefsmith.train.findings.estimate import Estimate, mean_interval
from prefsmith.train.findings.finding import Finding, Row, Severity, number, numbers, percent, written
from prefsmith.train.findings.held_out import held_out_accuracy
from prefsmith.train.findings.overview import MIN_STEPS, findings
from prefsmith.train.findings.rows import done_to_rows, held_out_rows, refused_rows, tokens_per_completion
from prefsmith.train.findings.samples import Drift, Sample, drift, kl_estimate, matched, sample_of

__all__ = [
    "MIN_STEPS",
    "Doctor",
    "Drift",
    "Estimate",
    "Finding",
    "Row",
    "Sample",
    "Severity",
    "done_to_rows",
    "drift",
    "findings",
    "held_out_accuracy",
    "held_out_rows",
    "kl_estimate",
    "matched",
    "mean_interval",
    "number",
    "numbers",
    "percent",
    "refused_rows",
    "sample_of",
    "tokens_per_completion",
    "written",
]
