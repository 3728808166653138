"""`prefsmith label next`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from prefsmith.cli.columns import columns_map
from prefsmith.cli.terminal import cut, say

if TYPE_CHECKING:
    from prefsmith.methods.active import Chosen

HELP = """Choose the pairs of a pool that are worth a label most, and write them as rows to fill in.

For example:

    prefsmith label next pool.jsonl --budget 20 --model MODEL --out ask-1.jsonl
    prefsmith label next pool.jsonl --budget 20 --model MODEL --labelled ask-1.jsonl --out ask-2.jsonl
    prefsmith label next pool.jsonl --budget 20 --method disagreement --member runs/a --member runs/b --out ask.jsonl

The pool is a file of two answers to a prompt, or of lists of answers; labels in it are not looked at. A row of the \
new file has response_a and response_b, in an order that is drawn, and votes: [] to fill in, for example with \
{"annotator": "ann", "vote": "a"}. Named with --labelled, filled in or not, its pairs are not chosen again, and what \
is filled in is learned from.

Methods: d-optimal (the labels that together leave least unknown), entropy, disagreement, confidently-wrong (where \
the model is surest), random. The first four tell pairs apart by a model's last layer (--model), a column of numbers \
(--features), or words and length. With --member the three in the middle ask the implicit rewards of trained models.

Exit status: 0 done, 1 a bug of ours, 2 wrong usage or a file that is there already, 3 wrong data, 4 a model whose \
numbers are not finite."""

NAME = 40
MOST = 10
"""Chosen pairs that are shown; the file and --json have all."""
_UNITS = {"d-optimal": "nats", "entropy": "nats", "disagreement": "nats", "confidently-wrong": "log-odds"}


def next_(
    pool: Annotated[str, Parameter(help="File of pairs, or of lists of answers.")],
    /,
    *,
    budget: Annotated[int, Parameter(help="How many pairs.")],
    out: Annotated[Path | None, Parameter(help="File to write, .jsonl. Default: none is written.")] = None,
    labelled: Annotated[
        list[str] | None, Parameter(negative=(), help="File that was asked for before; may be given again.")
    ] = None,
    method: Annotated[
        Literal["d-optimal", "entropy", "disagreement", "confidently-wrong", "random"],
        Parameter(help="The rule of choice."),
    ] = "d-optimal",
    model: Annotated[str | None, Parameter(help="Model whose last layer tells pairs apart.")] = None,
    member: Annotated[list[str] | None, Parameter(negative=(), help="Trained model; may be given again.")] = None,
    features: Annotated[str | None, Parameter(help="Column with a list of numbers for each pair.")] = None,
    columns: Annotated[list[str] | None, Parameter(negative=(), help="OURS=YOURS; may be given again.")] = None,
    limit: Annotated[int | None, Parameter(help="Most rows of the pool.")] = None,
    seed: Annotated[int, Parameter(help="Of ties, and of which answer is shown first.")] = 0,
    template: Annotated[str, Parameter(help="auto, plain, or a Jinja file.")] = "auto",
    device: Annotated[str, Parameter(help="auto, cpu, cuda, mps.")] = "auto",
    token_budget: Annotated[int, Parameter(help="Most tokens that are run together.")] = 8192,
    skip_bad: Annotated[bool, Parameter(negative=(), help="Count rows that cannot be used and go on.")] = False,
    trust_remote_code: Annotated[bool, Parameter(negative=(), help="Run the models' own code.")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="For programs.")] = False,
) -> None:
    """Choose the pairs of a pool that are worth a label most."""
    mapped = columns_map(columns or [])
    from prefsmith.methods.active import Asked, label_next  # inside: --help answers at once

    asked = Asked(
        pool=pool,
        budget=budget,
        method=method,
        labelled=tuple(labelled or ()),
        model=model,
        members=tuple(member or ()),
        features=features,
        columns=mapped,
        limit=limit,
        seed=seed,
        template=template,
        device=device,
        token_budget=token_budget,
        skip_bad=skip_bad,
        trust_remote_code=trust_remote_code,
    )
    chosen = label_next(asked, out)
    for line in [json.dumps(chosen.as_dict(), indent=1)] if as_json else lines(chosen, method):
        say(line)


def lines(chosen: "Chosen", method: str) -> Iterator[str]:
    """What there was, what was known, and what was chosen."""
    yield f"{chosen.pool:,} different {chosen.described}"
    for what, count in (("pairs that are there again", chosen.repeated), *chosen.refused.items()):
        if count:
            yield f"  left out: {what} {count:,}"
    known = f"{chosen.labels:,} labelled, {chosen.waiting:,} asked for and without a label"
    yield f"known: {known}" + (f", {chosen.elsewhere:,} labels of other pairs" if chosen.elsewhere else "")
    if chosen.answers.refused:
        yield f"  refused: {chosen.answers.refused:,} of {chosen.answers.rows:,} labelled rows"
    yield f"told apart by {chosen.features}"
    for kind, count in chosen.counts.items():
        yield f"  {kind} {count:,}"
    few = f", since no more of the {chosen.budget:,} wanted are left" if len(chosen.ids) < chosen.budget else ""
    yield f"chosen by {method}: {len(chosen.ids):,}{few}"
    for name, worth in list(zip(chosen.ids, chosen.worth, strict=True))[:MOST]:
        unit = f"  {worth:.3g} {_UNITS[method]}" if method in _UNITS else ""
        yield f"  {cut(name, NAME)}{unit}"
    if len(chosen.ids) > MOST:
        yield f"  and {len(chosen.ids) - MOST:,} more"
    yield f"the file is {chosen.out}" if chosen.out is not None else "no file is written: there is no --out"
