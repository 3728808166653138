"""`prefsmith sweep`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from prefsmith.cli.terminal import say
from prefsmith.errors import ConfigError
from prefsmith.methods.sweep.wanted import Wanted, read_subject

HELP = """Search for settings: many runs, and which of them nothing else beats.

For example:

    prefsmith sweep run.yaml --trials 16
    prefsmith sweep run.yaml loss.beta=0.1 --trials 16 --range optim.learning_rate=1e-6:1e-4:log
    prefsmith sweep run.yaml --trials 32 --objectives accuracy --prune evaluate.every=20
    prefsmith sweep run.yaml --trials 64 --out sweep/first --resume
    prefsmith sweep recipes/sentiment.yaml --trials 8 --method dpo

Without --range beta, learning rate and pairs a step are searched, as far as the command line does not fix them. Every \
trial is a run in a folder of its own. Objectives are one or two of accuracy, loss, length and kl; settings are \
proposed by Optuna (pip install 'prefsmith[tune]'), whose trials stand in study.db. A search that was stopped goes on \
with --resume, in the middle of a run if need be; more --trials may be asked for.

A recipe of a controlled experiment (prefsmith eval frontier) is searched likewise: one of its methods, over the \
recipe's own values of beta, tau or alpha; objectives are reward, which is known there, and kl.

The folder gets sweep.json, report.html and best.yaml, which prefsmith train (or eval frontier) takes."""


def sweep(
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="A YAML file, then settings.")],
    trials: Annotated[int, Parameter(help="Runs in all.")],
    ranges: Annotated[list[str] | None, Parameter(name="--range", negative=(), help="KEY=LOW:HIGH[:log|STEP].")] = None,
    objectives: Annotated[
        str | None,
        Parameter(help="One or two of accuracy, loss, length, kl. Default: accuracy,length; of a recipe reward,kl."),
    ] = None,
    method: Annotated[str | None, Parameter(help="Of a recipe: what is searched. Default: its first.")] = None,
    prune: Annotated[bool, Parameter(negative=(), help="Stop runs that do worse than half of the others.")] = False,
    seed: Annotated[int, Parameter(help="Of the settings that are tried.")] = 0,
    out: Annotated[Path | None, Parameter(help="Folder. Default: the first free sweep/<loss>.")] = None,
    resume: Annotated[bool, Parameter(negative=(), help="Go on with the search in the folder.")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print sweep.json at the end.")] = False,
) -> None:
    """Search for settings."""
    if resume and out is None:
        what, fix = "a search is gone on with in its folder, and none is named", "add --out with the folder"
        raise ConfigError("sweep.exists", what, where="--resume", fix=fix)
    config = read_subject(settings)
    from prefsmith.methods.sweep.opening import open_search  # inside: --help and wrong settings answer without torch
    from prefsmith.methods.sweep.search import search
    from prefsmith.report.sweep import result_of, table_of

    fixed = [each.lstrip("-").partition("=")[0] for each in settings]
    wanted = Wanted(trials, tuple(ranges or ()), objectives, method, prune, seed)
    asked, folder = open_search(config, wanted, fixed, out)
    tell = (lambda line: None) if as_json else say
    for each in asked.ranges:
        tell(f"  {each.key}: {each.low:g} to {each.high:g}{', by its logarithm' if each.log else ''}")
    found = search(asked, folder, resume=resume, say=tell)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for line in ("", *_table(table_of(found)), "", result_of(found)):
        say(line)
    say(f"the page is {folder / 'report.html'}, the best settings are in {folder / 'best.yaml'}")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
