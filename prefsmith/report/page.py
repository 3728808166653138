"""The page of a run: everything on one screen that a reader needs first, and everything else below it."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from prefsmith.errors import ConfigError
from prefsmith.files import write_durably
from prefsmith.report.curves import curves
from prefsmith.report.evidence import Evidence
from prefsmith.report.frontier import frontier_plot
from prefsmith.report.run import RecordedRun
from prefsmith.report.shown import shown_samples
from prefsmith.report.summary import interval, last_step, main_numbers, results, run_findings, run_kl
from prefsmith.report.tables import (
    data_table,
    machine_table,
    model_table,
    outline,
    repeat_command,
    report_command,
    resume_command,
    settings_table,
    treated_rows,
)
from prefsmith.report.visible import clipped, on_one_line, visible
from prefsmith.train.findings import written

if TYPE_CHECKING:
    from jinja2 import Environment

    from prefsmith.report.gathered import Gathered

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser may do with the page: show it, and its own style; run, load and send nothing."""
MARK = '<meta name="generator" content="prefsmith">'
"""By this a page of ours is told from a file that somebody else wrote."""
ROW = 300
"""Characters of a refused row that are shown."""


def page(run: RecordedRun, measured_by_eval: Sequence[tuple["Gathered", str]] = ()) -> str:
    """The page as HTML; the same files give the same text.

    Args:
        run: what was read.
        measured_by_eval: evidence in the run's folder, each with the way to its own page.
    """
    evidence = run.evidence or Evidence()
    settings = settings_table(run)
    frontier = evidence.frontier
    return (
        templates()
        .get_template("page.html")
        .render(
            run=run,
            state=state_words(run),
            outline=outline(run),
            results=results(run),
            resume=resume_command(run),
            numbers=main_numbers(run),
            findings=run_findings(run),
            evidence=evidence,
            gathered=measured_by_eval,
            frontier_svg=frontier and frontier_plot("frontier", "Reward against KL", [(0, "", frontier)]),
            curves=curves(run),
            kl=run_kl(run),
            samples=shown_samples(run),
            model=model_table(run),
            data=data_table(run),
            settings=settings,
            changed=[(each.key, each.value) for each in settings if each.changed],
            machine=machine_table(run),
            treated=treated_rows(run),
            repeat=repeat_command(run),
            redraw=report_command(run),
        )
    )


def write_page(path: Path, text: str) -> None:
    """Write a page where none, or an older one of ours, stands.

    Raises:
        ConfigError: something else stands there, or it cannot be written.
    """
    try:
        if path.is_dir() or (path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace")[:4000]):
            what, fix = "something that is no report stands there", "name another file with --out"
            raise ConfigError("report.exists", what, where=str(path), fix=fix)
        write_durably(path, text.encode())
    except OSError as error:
        what = f"the report cannot be written: {error.strerror}"
        raise ConfigError("report.write", what, where=str(path), fix="name a file with --out that can be") from error


@cache
def templates() -> "Environment":
    """The templates of this folder. Whatever they print is escaped, and control characters in it are visible."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else visible(str(value)),
    )
    filters: dict[str, Any] = {
        "line": lambda value: on_one_line(str(value)),
        "number": measured,
        "count": lambda value: f"{value:,.0f}",
        "interval": interval,
        "raw_row": lambda value: on_one_line(clipped(json.dumps(value, ensure_ascii=False), ROW)) if value else "",
    }
    made.filters.update(filters)
    made.globals.update(ends=ends, policy=POLICY, version=version("prefsmith"))
    return made


def state_words(run: RecordedRun) -> str:
    """The state, as the page says it."""
    if run.state == "finished":
        return "Finished"
    if run.state == "going on":
        return "Still going on"
    return "Failed" if run.state == "failed" else f"Stopped after step {last_step(run):,}"


def measured(value: float | None, like: float | None = None) -> str:
    """A number with as many digits as say something, or as many as the number that it belongs to."""
    if value is None:
        return ""
    size = abs(like or value)
    if size == 0:
        return "0"
    form = ".3g" if size < 0.005 else ".3f" if size < 1 else ".2f" if size < 100 else ",.0f"
    return written(value, form)


def ends(value: float, low: float | None, high: float | None) -> str:
    """The interval of a value in brackets; empty where there is none."""
    return "" if low is None or high is None else f"[{measured(low, value)}, {measured(high, value)}]"
