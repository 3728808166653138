"""`prefsmith check`."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefsmith.catalogue import settings_help
from prefsmith.cli.terminal import Outlet, say
from prefsmith.errors import ConfigError
from prefsmith.settings import parse_settings

if TYPE_CHECKING:
    from prefsmith.preflight.parts import Tell

HELP = f"""Look at a run before it starts: what the file holds, what the model reads of it, how long it takes.

For example:

    prefsmith check --model MODEL --data pairs.jsonl
    prefsmith check run.yaml loss.beta=0.3
    prefsmith check run.yaml --json

It takes the settings of `prefsmith train`, puts the same parts together, and stops where training would begin: \
nothing is trained and nothing is written. Bad rows are read past and counted. What would stop training is listed \
with its mend, what lies outside customary ranges with what to type instead.

Exit status: 0 training would begin, otherwise that with which it would end: 2 a wrong setting, 3 wrong data, \
4 it would stop itself.

{settings_help()}"""


def check(
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="A YAML file, then settings.")],
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="One JSON object, for programs.")] = False,
) -> int:
    """Look at a run before it starts."""
    if "--resume" in settings:
        what = "check looks at a run before it starts, so there is nothing to resume"
        raise ConfigError("config.argument", what, where="--resume", fix="leave it out")
    config = parse_settings(settings)
    from prefsmith.preflight.survey import preflight  # inside: --help and wrong settings answer without torch

    with status() as tell:
        facts = preflight(config, tell=tell)
    command = ["prefsmith", "train", *settings]
    if as_json:
        say(json.dumps({**facts.to_json(), "command": shlex.join(command)}, indent=1))
    else:
        from prefsmith.cli.preflight_text import sheet_of
        from prefsmith.cli.sheet import Marks

        outlet = Outlet(sys.stdout)
        width = shutil.get_terminal_size().columns
        sheet_of(facts, command, width=width, marks=Marks.for_encoding(outlet.encoding)).print(outlet)
    return facts.exit_status


@contextmanager
def status() -> "Iterator[Tell]":
    """A line on the terminal that says what is done now, and goes away; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda words: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda words: status.update(words)
