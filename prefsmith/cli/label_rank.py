"""`prefsmith label rank`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from prefsmith.cli.terminal import cut, say

HELP = """Rank systems by votes on their answers, or the answers to each prompt.

For example:

    prefsmith label rank votes.jsonl
    prefsmith label rank rankings.csv.gz --by borda --against official.txt

Systems are ranked where rows say who wrote the answers (model_a and model_b; WMT's system1Id and system2Id); \
--of answers ranks the answers to each prompt. Printed are the scores with 95 % intervals, for which whole prompts are \
drawn, an item that beats every other (Condorcet), how many triples go in circles, and Kemeny's order, which \
contradicts the fewest votes, with every other that is as good.

bradley-terry: strengths in nats, by choix (pip install 'prefsmith[labels]'). borda: the mean share of votes against \
each other item. copeland: the share of items that it beats.

Exit status: 0 done, 1 a bug of ours, 2 wrong usage, 3 wrong data."""

NAME = 40
MOST = 8
"""Contests that are shown; --json has all."""


def rank(
    votes: Annotated[Path, Parameter(help="File of votes.")],
    /,
    *,
    of: Annotated[Literal["systems", "answers"], Parameter(help="What is ranked.")] = "systems",
    by: Annotated[
        Literal["bradley-terry", "borda", "copeland"], Parameter(help="What is ranked by.")
    ] = "bradley-terry",
    ties: Annotated[Literal["half", "drop"], Parameter(help="What becomes of votes that say tie.")] = "half",
    against: Annotated[Path | None, Parameter(help="Table of names and scores to compare the order with.")] = None,
    seed: Annotated[int, Parameter(help="Of the draws behind the intervals.")] = 0,
    skip_bad: Annotated[bool, Parameter(negative=(), help="Count bad rows and go on.")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print all numbers.")] = False,
) -> None:
    """Rank systems by votes on their answers, or the answers to each prompt."""
    from prefsmith.methods.labels.rank import Ranking, rank_votes  # inside: --help answers at once

    found = rank_votes(votes, Ranking(of, by, ties, seed, skip_bad), against=against)
    if as_json:
        say(json.dumps(found, indent=1, allow_nan=False))
        return
    for line in lines(found):
        say(line)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The rankings in words."""
    contests, pairs = found["contests"], found["pairs"]
    not_named = f", {pairs['not_named']:,} of them without names" if pairs["not_named"] else ""
    refused = f", {sum(found['refused'].values()):,} rows refused" if found["refused"] else ""
    yield f"{found['file']}: {pairs['read']:,} pairs{not_named}{refused}; {found['of']} by {found['order']}"
    for contest in contests[:MOST]:
        yield from _contest(contest, found["draws"])
    if len(contests) > MOST:
        yield f"{len(contests) - MOST:,} more: --json has them"
    if len(contests) > 1 and found["of"] == "systems":
        yield "warning: no vote connects these groups of systems: scores say nothing across them"
    if found["against"]:
        other = found["against"]
        tau = "not defined" if other["kendall_tau"] is None else f"{other['kendall_tau']:.3f}"
        yield f"Kendall's tau with {other['file']}: {tau} over {other['systems']} systems"
        if other["only_there"] or other["only_here"]:
            yield f"  only there {other['only_there']:,}, only here {other['only_here']:,}"


def _contest(contest: Mapping[str, Any], draws: int) -> Iterator[str]:
    items = contest["items"]
    yield f"  {contest['votes']:,} votes on {contest['prompts']:,} prompts"
    for each in items:
        short = cut(each["name"], NAME)
        padded = short + " " * (NAME - len(short))
        interval = "" if each["low"] is None else f" [{each['low']:.3f}, {each['high']:.3f}]"
        score = "-" if each["score"] is None else f"{each['score']:.3f}"
        few = f" ({each['draws']:,} of {draws:,} draws compare it)" if 0 < each["draws"] < draws else ""
        yield f"    {padded} {score}{interval}{few}"
    winner = contest["condorcet_winner"]
    yield f"    beats every other: {'nobody' if winner is None else cut(winner, NAME)}"
    triples = contest["triples"]
    if total := triples["cyclic"] + triples["transitive"]:
        yield f"    in circles: {triples['cyclic']:,} of {total:,} triples"
    if kemeny := contest["kemeny"]:
        orders = "one order" if kemeny["count"] == 1 else f"{kemeny['count']:,} orders"
        yield f"    Kemeny: {orders} against {kemeny['against']:,.1f} votes"
        if kemeny["orders"][0] != [each["name"] for each in items] or kemeny["count"] > 1:
            yield from (f"      {', '.join(cut(name, NAME) for name in order)}" for order in kemeny["orders"][:3])
