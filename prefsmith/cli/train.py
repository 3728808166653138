"""`prefsmith train`."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import Parameter

from prefsmith.catalogue import settings_help
from prefsmith.cli.live import display
from prefsmith.settings import parse_settings

HELP = f"""Train a policy on a preference file, and write everything about it to a folder.

For example:

    prefsmith train --model MODEL --data pairs.jsonl --out runs/first
    prefsmith train run.yaml train.epochs=2 --loss.beta 0.2
    prefsmith train --out runs/first --resume

Settings come from a YAML file, from a.b=v or --a.b v, and from the shortcuts --model, --data and --out. --resume goes \
on behind the newest whole checkpoint of the folder, to the bit as if the run had never stopped.

Exit status: 0 done, 1 a bug of ours, 2 a wrong setting, 3 wrong data, 4 the run stopped itself, 130 or 143 a signal.

{settings_help()}"""


def train(
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="A YAML file, then settings.")],
    resume: Annotated[bool, Parameter(negative=(), help="Go on behind the newest checkpoint.")] = False,
) -> None:
    """Train a policy on a preference file."""
    config = parse_settings(settings, resume=resume)
    with display() as shown:
        with _libraries_stay():
            from prefsmith.run import fit  # inside: --help and wrong settings answer without torch
        fit(config, resume=resume, say=shown.say, watch=shown.watch)


@contextmanager
def _libraries_stay() -> Iterator[None]:
    """What is imported first makes a million objects that never go: nothing looks for garbage among them."""
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
