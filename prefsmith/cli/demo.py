"""`prefsmith demo`."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prefsmith.cli.live import display

EVERY = 100  # steps between lines where there is no live line

HELP = """See a model get better, offline and on a CPU, in about a minute.

For example:

    prefsmith demo
    prefsmith demo --seed 1 --out runs/demo-seed-1

A small language model learns short reviews from scratch. It writes answers, a judge that errs compares them, and DPO \
trains on the verdicts. Since the true reward is known, the result is measured: reward and KL on fresh samples, beside \
the best reward that any policy could have at that KL. Ends with a report, and with what to type for your own data.
"""


def demo(
    *,
    out: Annotated[Path | None, Parameter(help="Folder for everything. Default: the first free runs/demo.")] = None,
    seed: Annotated[int, Parameter(help="The same seed gives the same numbers.")] = 0,
) -> None:
    """See a model get better."""
    with display() as shown:
        from prefsmith.methods.demo import demo as run  # inside: --help answers without torch
        from prefsmith.methods.demo import summary
        from prefsmith.train.monitor import line_of

        def say(line: str) -> None:
            shown.finish()
            shown.say(line)

        def watch(row: Mapping[str, object], steps: int) -> None:
            step = row["step"]
            if shown.screen.live:
                shown.watch(row, steps)
            elif step == steps or (isinstance(step, int) and step % EVERY == 0):
                shown.say(f"     {line_of(row, steps)}")

        found = run(out, seed=seed, say=say, watch=watch)
        for line in ("", *summary(found), "", *_next(found.folder)):
            say(line)


def _next(folder: Path) -> Iterator[str]:
    """Where the report is, and what to type."""
    program = os.path.relpath(sys.argv[0]) if Path(sys.argv[0]).name == "prefsmith" else "prefsmith"
    yield f"The report: {folder / 'report.html'} (open it in a browser)"
    yield "Next, with a model's folder or hub id as MODEL and your own preferences as pairs.jsonl:"
    yield f"  {program} check --model MODEL --data pairs.jsonl"
    yield f"  {program} train --model MODEL --data pairs.jsonl --out runs/first"
