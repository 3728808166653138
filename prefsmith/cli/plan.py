"""`prefsmith plan`."""

import json
import shlex
import shutil
import sys
from typing import Annotated

from cyclopts import Parameter

from prefsmith.catalogue import settings_help
from prefsmith.cli.check import status
from prefsmith.cli.quantities import lengths_of, memory_of, rate_of
from prefsmith.cli.terminal import Outlet, say
from prefsmith.errors import ConfigError
from prefsmith.settings import parse_settings

HELP = f"""Forecast a run on other machines: memory of a GPU by part, time, what to change if it does not fit.

For example:

    prefsmith plan recipes/8b-lora.yaml --gpus 1 --memory 80GB
    prefsmith plan recipes/70b-lora.yaml --gpus 64 --memory 80GB --rate 400TFLOPS
    prefsmith plan --model FOLDER --gpus 8 train.parallel=fsdp --tokens 300,200 --pairs 60000

It takes the settings of `prefsmith train`. Of the model its config.json is enough: nothing is loaded, trained or \
written. The run's own code is followed on two shallow models without numbers, and drawn out to the real depth.

Exit status: 0 it fits, or no memory is stated; 4 it does not fit; 2 a wrong setting or option, 3 wrong data.

{settings_help()}"""


def plan(
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="A YAML file, then settings.")],
    gpus: Annotated[int, Parameter(help="GPUs in all, each with a process of its own.")],
    nodes: Annotated[int, Parameter(help="Machines that they are on.")] = 1,
    memory: Annotated[str | None, Parameter(help="Of a GPU: 80GB, 79.1GiB. Default: tell what is needed.")] = None,
    rate: Annotated[
        str | None, Parameter(help="Of a GPU: 400TFLOPS; or `here`, a product timed on this machine.")
    ] = None,
    tokens: Annotated[
        str | None, Parameter(help="Of a prompt and of an answer, where the rows are not here: 512,256.")
    ] = None,
    pairs: Annotated[int | None, Parameter(help="Training rows, where they are not here.")] = None,
    full_depth: Annotated[
        bool, Parameter(negative=(), help="Follow the model as deep as it is: minutes, to compare.")
    ] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="One JSON object, for programs.")] = False,
) -> int:
    """Forecast a run on machines that are elsewhere."""
    if "--resume" in settings:
        what = "a plan is of a run before it starts, so there is nothing to resume"
        raise ConfigError("config.argument", what, where="--resume", fix="leave it out")
    if pairs is not None and pairs < 1:
        raise ConfigError("plan.lengths", f"{pairs} rows train nothing", where="--pairs", fix="at least 1")
    bytes_of_a_gpu = None if memory is None else memory_of(memory)
    operations = None if rate is None else rate_of(rate)
    lengths = None if tokens is None else lengths_of(tokens)
    config = parse_settings(settings)
    from prefsmith.preflight.plan import Asked  # inside: --help and wrong settings answer without torch
    from prefsmith.preflight.plan import plan as make_plan
    from prefsmith.preflight.workload import Lengths

    asked = Asked(
        gpus=gpus,
        nodes=nodes,
        memory=bytes_of_a_gpu,
        rate=operations,
        lengths=None if lengths is None else Lengths(*lengths),
        rows=pairs,
        full_depth=full_depth,
    )
    with status() as tell:
        found = make_plan(config, asked, tell=tell)
    if as_json:
        say(json.dumps({**found.to_json(), "command": shlex.join(["prefsmith", "plan", *settings])}, indent=1))
    else:
        from prefsmith.cli.plan_text import sheet_of
        from prefsmith.cli.sheet import Marks

        outlet = Outlet(sys.stdout)
        width = shutil.get_terminal_size().columns
        sheet_of(found, width=width, marks=Marks.for_encoding(outlet.encoding)).print(outlet)
    return found.exit_status
