"""`prefsmith label aggregate`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from prefsmith.cli.terminal import cut, say
from prefsmith.wording import counted

HELP = """Make one label of the votes on each pair of answers, and write rows that train.

For example:

    prefsmith label aggregate votes.jsonl --out labels.jsonl
    prefsmith label aggregate votes.jsonl --texts answers.jsonl --method dawid-skene --out labels.jsonl
    prefsmith train --model MODEL --data labels.jsonl --out runs/labels

A row of votes holds a prompt, two answers, and what was said of them: votes of people, judges by name, or a human \
label. Where it only names its answers, --texts has a row with id and text for each.

The chosen answer of a written row is the more likely one, prob says how likely, and the votes stand beside it. \
Printed are how reliable each annotator is, how many labels go in circles, and the share of hard labels that are \
wrong, with the settings of robust_dpo for it.

Methods: share, smoothed-share, majority, one-coin, smoothed-dawid-skene, glad, crowd-bradley-terry; with \
pip install 'prefsmith[labels]' also dawid-skene, bradley-terry.

Exit status: 0 done, 1 a bug of ours, 2 wrong usage, 3 wrong data."""

Method = Literal[
    "share",
    "smoothed-share",
    "majority",
    "one-coin",
    "dawid-skene",
    "smoothed-dawid-skene",
    "glad",
    "bradley-terry",
    "crowd-bradley-terry",
]
NAME = 28
MOST = 6
"""Annotators that are shown; --json has all."""


def aggregate(
    votes: Annotated[Path, Parameter(help="File of votes.")],
    /,
    *,
    method: Annotated[Method, Parameter(help="What is made of them.")] = "share",
    out: Annotated[Path | None, Parameter(help="File to write, .jsonl. Default: none is written.")] = None,
    texts: Annotated[Path | None, Parameter(help="File of texts, where votes only name answers.")] = None,
    annotators: Annotated[Literal["all", "people", "judges"], Parameter(help="Whose votes count.")] = "all",
    ties: Annotated[Literal["half", "drop"], Parameter(help="What becomes of votes that say tie.")] = "half",
    hard: Annotated[bool, Parameter(negative=(), help="Write no probability, and no ties.")] = False,
    weights: Annotated[Literal["equal", "votes"], Parameter(help="Of the comparisons.")] = "equal",
    skip_bad: Annotated[bool, Parameter(negative=(), help="Count bad rows and missing texts, and go on.")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print all numbers.")] = False,
    dry_run: Annotated[bool, Parameter(negative=(), help="Write nothing.")] = False,
) -> None:
    """Make one label of the votes on each pair of answers, and write rows that train."""
    from prefsmith.methods.labels import Wanted, aggregate_votes  # inside: --help answers at once

    wanted = Wanted(method, annotators, ties, hard, weights, skip_bad)
    made = aggregate_votes(votes, out, wanted, texts=texts, dry_run=dry_run)
    if as_json:
        say(json.dumps(made.evidence, indent=1, allow_nan=False))
        return
    for line in lines(made.evidence):
        say(line)
    if made.out is not None:
        say(f"the labels are in {made.out}")
    else:
        say("nothing is written: --dry-run" if dry_run else "nothing is written: name a file with --out")


def lines(evidence: Mapping[str, Any]) -> Iterator[str]:
    """The numbers in words."""
    votes, labels, pairs = evidence["votes"], evidence["labels"], evidence["pairs"]
    yield f"{evidence['file']}: {counted(pairs['read'], 'pair')}, {_counted(votes)}"
    yield f"  {evidence['method']}: {evidence['says']}; a tie is {evidence['a_tie_is']}"
    if not evidence["converged"]:
        better = "" if evidence["method"] != "dawid-skene" else "; --method smoothed-dawid-skene goes on to the end"
        yield f"  warning: stopped after {evidence['rounds']:,} rounds, before the numbers stood still{better}"
    share = f"{100 * labels['mean_of_the_likelier']:.1f} %"
    yield f"  labels: {_counted(labels)}; the likelier side has {share} on average"
    triples = evidence["triples"]
    if total := triples["cyclic"] + triples["transitive"]:
        unseen = f"; {triples['unseen']:,} answers too many to look through" if triples["unseen"] else ""
        yield f"  in circles: {triples['cyclic']:,} of {total:,} triples of labels{unseen}"
    if evidence["reliability"]:
        yield from _annotators(evidence["reliability"])
    if flip := evidence["flip_rate"]:
        yield from _flips(flip, hard=evidence["hard"])
    for note in evidence["notes"]:
        yield f"  note: {note['what']}: {note['count']:,}"
    yield f"  written: {pairs['written']:,}"
    for why, count in pairs["left_out"].items():
        yield f"  left out: {why}: {count:,}"


def _counted(numbers: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in numbers.items() if isinstance(count, int))


def _annotators(reliability: Mapping[str, Any]) -> Iterator[str]:
    known = [each for each in reliability["annotators"] if each["value"] is not None]
    unknown = len(reliability["annotators"]) - len(known)
    chance = reliability["chance"]
    better = sum(each["low"] > chance for each in known)
    below = [each for each in known if each["high"] < chance]
    yield f"  annotators: {reliability['is']}"
    yield (
        f"    better than chance {better:,}, below chance {len(below):,}, not told from chance "
        f"{len(known) - better - len(below):,}, nothing to tell by {unknown:,}"
    )
    most = sorted(known, key=lambda each: -each["votes"])[:MOST]
    yield from _table("most votes", most)
    yield from _table("below chance", sorted(below, key=lambda each: -each["votes"])[:MOST])


def _table(title: str, annotators: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not annotators:
        return
    yield f"    {title:<{NAME}}   votes  reliability"
    for each in annotators:
        short = cut(each["annotator"], NAME)
        padded = short + " " * (NAME - len(short))
        yield f"    {padded} {each['votes']:>7,}  {each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]"


def _flips(flip: Mapping[str, Any], *, hard: bool) -> Iterator[str]:
    share = f"{100 * flip['value']:.1f} % [{100 * flip['low']:.1f}, {100 * flip['high']:.1f}]"
    yield f"  hard labels that are wrong, by {flip['by']}: {share} of {flip['n']:,}"
    if flip["settings"]:
        how = "train these" if hard else "train hard labels (--hard)"
        yield f"    to allow for it, {how} with {flip['settings']}"
