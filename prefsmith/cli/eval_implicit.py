"""`prefsmith eval implicit`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefsmith.cli.terminal import say
from prefsmith.errors import ConfigError

if TYPE_CHECKING:
    from prefsmith.methods.implicit import Found

HELP = """Measure the implicit reward of a trained model on pairs, beside rules that need no training.

For example:

    prefsmith eval implicit runs/first --data held-out.jsonl
    prefsmith eval implicit MODEL --reference BASE --beta 0.1 --data held-out.jsonl --data more.jsonl
    prefsmith eval implicit runs/first --data benchmark.jsonl --columns tags=subset

The implicit reward of an answer is beta log(policy / reference). How often it prefers the answer that the label \
prefers is told with its interval, beside "longer", "shorter" and the reference alone, on the same pairs and with a \
paired test; then its margin, whether its probabilities are calibrated, and what it has to do with length. Files are \
preference files of any form, or benchmarks of pairs: a, b, and human or gold.

The folder --out gets evidence.json with every number, report.html, and rejected.jsonl where rows cannot be used. \
The same models, files and seed give the same evidence. The page of a run shows it too."""


def implicit(
    model: Annotated[str, Parameter(help="Folder of a model, an adapter or a run, or a hub id.")],
    *,
    data: Annotated[list[str] | None, Parameter(negative=(), help="File of pairs; may be given again.")] = None,
    reference: Annotated[str | None, Parameter(help="What it is compared with. Default: what it began from.")] = None,
    beta: Annotated[float | None, Parameter(help="Turns nats into reward. Default: the run's.")] = None,
    columns: Annotated[list[str] | None, Parameter(negative=(), help="OURS=YOURS; may be given again.")] = None,
    limit: Annotated[int | None, Parameter(help="Most rows of each file.")] = None,
    token_budget: Annotated[int, Parameter(help="Most tokens that are scored together.")] = 8192,
    template: Annotated[str, Parameter(help="auto, plain, or a Jinja file.")] = "auto",
    device: Annotated[str, Parameter(help="auto, cpu, cuda, mps.")] = "auto",
    trust_remote_code: Annotated[bool, Parameter(negative=(), help="Run the models' own code.")] = False,
    seed: Annotated[int, Parameter(help="Of the draws behind the intervals.")] = 0,
    out: Annotated[Path | None, Parameter(help="Folder. Default: the first free eval/implicit-<name>.")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print evidence.json instead.")] = False,
) -> None:
    """Measure the implicit reward of a trained model on pairs."""
    mapped = _map(columns or [])
    from prefsmith.methods import implicit as method  # inside: --help and wrong options answer without torch

    asked = method.Asked(
        model=model,
        data=tuple(data or ()),
        reference=reference,
        beta=beta,
        columns=mapped,
        limit=limit,
        token_budget=token_budget,
        template=template,
        device=device,
        trust_remote_code=trust_remote_code,
        seed=seed,
    )
    found = method.implicit(asked, out, say=(lambda line: None) if as_json else say)
    if as_json:
        print(json.dumps(found.evidence, indent=1))
        return
    for line in _lines(found):
        say(line)


def _map(given: list[str]) -> dict[str, str]:
    """Our names of columns and theirs."""
    pairs = [each.partition("=") for each in given]
    for text, (ours, found, theirs) in zip(given, pairs, strict=True):
        if not (ours and found and theirs):
            what = f"--columns is {text}, and not our name of a column, =, and yours"
            raise ConfigError("eval.value", what, where="--columns", fix="for example --columns tags=subset")
    return {ours: theirs for ours, _, theirs in pairs}


def _lines(found: "Found") -> Iterator[str]:
    """The main table, what has to be known about it, and where the rest is."""
    from prefsmith.report.implicit import facts_of

    facts = facts_of(found.evidence)
    yield facts.about
    yield ""
    yield from _table(facts.rules)
    yield ""
    yield from _table(facts.numbers)
    for sentence in facts.warnings:
        yield f"warning: {sentence}"
    yield f"the page is {found.page}"
    yield from found.joined


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows as lines, each column as wide as its widest cell."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
