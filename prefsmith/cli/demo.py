"""`prefsmith demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prefsmith.cli.live import display

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

        found = run(out, seed=seed, say=shown.say, watch=shown.watch)
        for line in summary(found):
            shown.say(line)
