"""`prefsmith convert`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from prefsmith.cli.columns import columns_map
from prefsmith.cli.terminal import say
from prefsmith.errors import ConfigError
from prefsmith.wording import counted

if TYPE_CHECKING:
    from prefsmith.methods.convert import Converted

HELP = """Write a preference file in another program's format.

For example:

    prefsmith convert pairs.jsonl --to llamafactory --out factory/pairs.json
    prefsmith convert dpo_en_demo.json --to trl-conversational --out pairs.jsonl
    prefsmith convert pairs.jsonl --to trl --dry-run

The formats: trl (text where all rows are text, else conversational), trl-conversational, llamafactory (Alpaca's \
columns), llamafactory-sharegpt, prefsmith. Pairs, ratings for KTO and examples are read from each of them, and lists \
of ranked answers become pairs. For LLaMA-Factory the entry of dataset_info.json is written beside the file, and one \
that stands beside FILE is read.

What the format cannot hold is counted by its name: rows that are left out, and what rows are written without. So is \
what it holds and its program does not read. With --dry-run only this is done.

Exit status: 0 done, 1 a bug of ours, 2 wrong usage or a file that is there already, 3 wrong data."""


def convert(
    file: Annotated[str, Parameter(help="A preference file of any kind that is read.")],
    /,
    *,
    to: Annotated[str, Parameter(help="The format.")],
    out: Annotated[Path | None, Parameter(help="The new file, .json or .jsonl.")] = None,
    pairs: Annotated[
        Literal["all", "best_worst", "adjacent"], Parameter(help="Which answers of a list become pairs.")
    ] = "all",
    format: Annotated[str, Parameter(help="What the rows are, where they could be several things.")] = "auto",
    columns: Annotated[list[str] | None, Parameter(negative=(), help="OURS=YOURS; may be given again.")] = None,
    limit: Annotated[int | None, Parameter(help="Most rows that are read.")] = None,
    skip_bad: Annotated[bool, Parameter(negative=(), help="Count rows that cannot be read and go on.")] = False,
    dry_run: Annotated[bool, Parameter(negative=(), help="Read and count, and write nothing.")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="For programs.")] = False,
) -> None:
    """Write a preference file in another program's format."""
    if out is None and not dry_run:
        what, fix = "where is the new file to be?", "--out FILE, or --dry-run"
        raise ConfigError("convert.out", what, fix=fix)
    mapped = columns_map(columns or [])
    from prefsmith.methods import convert as method  # inside: --help answers at once

    asked = method.Asked(file, to, format, mapped, pairs, limit, skip_bad)
    converted = method.convert(asked, None if dry_run else out)
    for line in [json.dumps(converted.as_dict(), indent=1)] if as_json else lines(converted):
        say(line)


def lines(converted: "Converted") -> Iterator[str]:
    """What was read and written, and every count."""
    account, program = converted.account, converted.target
    yield f"read {counted(account.read, 'row')}: {converted.schema}"
    for note, count in account.notes.items():
        yield f"  {count:,} {note}"
    yield from _counts("refused", account.refused)
    unless = "" if converted.out else ", were it not for --dry-run"
    yield f"written {counted(account.written, 'row')} for {program}{unless}"
    yield from _counts("written anew", account.changed)
    yield from _counts(f"left out, since {program}'s rows cannot hold them", account.left_out)
    yield from _counts("lost from rows that are written", account.lost)
    yield from _counts(f"kept in the rows, though {program} does not read it", account.unread)
    if converted.entry is not None:
        yield f"dataset_info.json: {json.dumps(converted.entry, ensure_ascii=False)}"
    if converted.out is not None:
        yield f"the file is {converted.out}"


def _counts(what: str, counts: Mapping[str, int]) -> Iterator[str]:
    if counts:
        yield f"  {what}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}"
