"""`prefsmith report`."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prefsmith.cli.terminal import say

HELP = """Draw the report of a run again, or compare several runs on one page.

For example:

    prefsmith report runs/first
    prefsmith report runs/first runs/second --out comparison.html

A run may be finished, still going on, stopped or failed: the page shows what is in its folder so far. \
One run is drawn into its own report.html, several into comparison.html in the folder that they have in common, unless \
--out names another file. Nothing else is written.

Exit status: 0 done, 1 a bug of ours, 2 no such run, or a file that cannot be written."""


def report(
    *runs: Annotated[Path, Parameter(help="Folders of runs.")],
    out: Annotated[Path | None, Parameter(help="File to write the page to.")] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), help="Print what the page says, for programs.")
    ] = False,
) -> None:
    """Draw the report of a run again, or compare several runs on one page."""
    from prefsmith.report import draw  # inside: --help answers at once

    drawn = draw(runs, out)
    say(json.dumps(drawn.facts(), indent=1) if as_json else f"wrote {drawn.path}")
