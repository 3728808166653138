"""The facts of a report for programs: what `prefsmith report --json` prints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from prefsmith.report.gathered import Gathered
from prefsmith.report.run import RecordedRun
from prefsmith.report.summary import last_step, results, run_findings, run_kl
from prefsmith.report.tables import repeat_command, resume_command, settings_table, treated_rows


def facts(
    run: RecordedRun, written: Path | None = None, measured_by_eval: Sequence[Gathered] = ()
) -> dict[str, object]:
    """Everything that the page says, without its drawings and its samples, as values of JSON.

    Args:
        run: what was read.
        written: where its page is, if it was written.
        measured_by_eval: evidence in the run's folder.
    """
    kl = run_kl(run)
    return {
        "run": str(run.folder),
        "report": None if written is None else str(written),
        "state": run.state,
        "steps": last_step(run),
        "result": results(run),
        "findings": [asdict(each) for each in run_findings(run)],
        "evaluation": plain(run.evaluations[-1]) if run.evaluations else None,
        "last_step": plain(run.train[-1]) if run.train else None,
        "kl": None if kl is None else asdict(kl),
        "evidence": None if run.evidence is None else run.evidence.model_dump(mode="json", exclude={"samples"}),
        "evaluations": [each.as_dict() for each in measured_by_eval],
        "samples": len(run.samples),
        "model": plain(run.model),
        "data": plain(run.data),
        "treated": [asdict(each) for each in treated_rows(run)],
        "refused": {"rows": run.refused.count, "codes": dict(run.refused.codes)},
        "settings": {each.key: run.settings[each.key] for each in settings_table(run)},
        "changed": [each.key for each in settings_table(run) if each.changed],
        "environment": plain(run.environment),
        "outcome": plain(run.outcome),
        "missing": list(run.gaps),
        "repeat": repeat_command(run) or None,
        "resume": resume_command(run) or None,
    }


def plain(value: object) -> object:
    """The value with null in the place of numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
