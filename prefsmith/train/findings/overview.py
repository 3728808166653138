"""Everything that stands out in a run."""

from collections.abc import Mapping, Sequence

from prefsmith.config import RunConfig
from prefsmith.train.findings.distance import kl_finding, off_policy
from prefsmith.train.findings.finding import Finding, Row, Severity
from prefsmith.train.findings.held_out import held_out_findings, nothing_held_out, overfit
from prefsmith.train.findings.rows import held_out_rows, row_findings
from prefsmith.train.findings.samples import Sample, sample_findings
from prefsmith.train.findings.training import (
    chosen_finding,
    gradient_findings,
    loss_finding,
    outside_domain,
    saturated,
)

MIN_STEPS = 10
"""Steps below which no trend is judged: a third of them is fewer than four values."""
ORDER: tuple[Severity, ...] = ("warning", "note", "good")


def findings(
    metrics: Sequence[Row],
    samples: Sequence[Sample] = (),
    *,
    data: Mapping[str, object] | None = None,
    config: RunConfig | None = None,
    tokens_per_completion: float | None = None,
) -> list[Finding]:
    """What stands out in a run so far, warnings first.

    Args:
        metrics: rows of metrics.jsonl; the run may be going on.
        samples: before and after training, as far as there are any.
        data: what data.json says.
        config: the run's settings; causes are then named more closely.
        tokens_per_completion: mean length, which turns nats an answer into nats per token.
    """
    train = [row for row in metrics if row.get("split") != "eval"]
    evaluations = [row for row in metrics if row.get("split") == "eval"]
    found = row_findings(data or {})
    if len(train) < MIN_STEPS:
        found.append(_too_short(len(train)))
    else:
        found += [
            finding
            for finding in (
                loss_finding(train, evaluations, config),
                chosen_finding(train, evaluations, tokens_per_completion),
                saturated(train),
                overfit(train, evaluations),
                outside_domain(train, evaluations),
                kl_finding(evaluations, samples, None if config is None else config.evaluate.kl_budget),
                off_policy(train, samples, config),
            )
            if finding is not None
        ]
        found += gradient_findings(train, config)
        found += held_out_findings(evaluations)
        found += sample_findings(samples)
    if not evaluations and not held_out_rows(data or {}):
        found.append(nothing_held_out())
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


def _too_short(steps: int) -> Finding:
    return Finding(
        "too_short",
        "note",
        "The run is too short to judge.",
        f"{steps} {'step' if steps == 1 else 'steps'}; from {MIN_STEPS} on, trends are looked at.",
    )
