"""`prefsmith eval agreement`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefsmith.cli.terminal import cut, say
from prefsmith.wording import counted

if TYPE_CHECKING:
    from prefsmith.evaluate.agreement import Agreement
    from prefsmith.evaluate.agreement.figure import Figure
    from prefsmith.evaluate.agreement.judges import Judge

HELP = """Measure how far judges agree with people, and people with each other.

For example:

    prefsmith eval agreement votes.jsonl
    prefsmith eval agreement pandalm.jsonl.gz llmbar.jsonl.gz --out eval/judges

A row holds a prompt, two answers, and what was said of them: votes of people, judges by name, or a human label. The \
form of the rows is recognised from the first one; what is none of ours is answered with the forms that are read.

Prints people's agreement, and for each judge: agreement with most people with and without ties, Cohen's kappa, how \
often the place of an answer decides, how often the longer answer wins. The page has all of it by category and by \
method, Fleiss' kappa, Krippendorff's alpha and every count. In brackets are 95 % intervals, for which whole prompts \
are drawn where prompts repeat.

Exit status: 0 done, 1 a bug of ours, 2 wrong usage or a folder that holds something else, 3 wrong data."""

NAME = 28
"""Cells of the column of names."""


def agreement(
    *files: Annotated[Path, Parameter(help="Files of judgements; each has its own section.")],
    out: Annotated[Path | None, Parameter(help="Folder to write to. Default: eval/agreement-NAME.")] = None,
    seed: Annotated[int, Parameter(help="Of the draws behind the intervals.")] = 0,
    skip_bad: Annotated[bool, Parameter(negative=(), help="Count bad rows and go on.")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print evidence.json.")] = False,
) -> None:
    """Measure how far judges agree with people, and people with each other."""
    from prefsmith.methods.agreement import compare_annotators  # inside: --help answers at once

    compared = compare_annotators(files, out, seed=seed, skip_bad=skip_bad)
    if as_json:
        say(json.dumps(compared.evidence, indent=1))
        return
    for each in compared.agreements:
        for line in lines(each):
            say(line)
    for line in (f"the page is {compared.page}", *compared.joined):
        say(line)


def lines(agreement: "Agreement") -> Iterator[str]:
    """The main table of a file, and what it cannot say."""
    whole = agreement.whole
    persons = "1 person" if whole.people.annotators == 1 else f"{whole.people.annotators:,} people"
    pairs = f"{counted(whole.pairs, 'pair')} of answers to {counted(whole.prompts, 'prompt')}"
    voted = f"{pairs}, {persons}, {counted(len(whole.judges), 'judge')}"
    yield f"{agreement.name}: {voted}"
    if whole.people.annotators:
        yield from _people(agreement)
    if whole.judges and whole.people.annotators:
        yield from _table(whole.judges)
    elif whole.judges:
        yield from _judges_alone(agreement)
    for note in agreement.notes:
        yield f"  note: {note['what']}: {note['count']:,}"
    if agreement.refused:
        codes = ", ".join(f"{code} {count:,}" for code, count in agreement.refused.items())
        yield f"  note: {sum(agreement.refused.values()):,} of {agreement.rows:,} rows refused: {codes}"
    for warning in agreement.warnings:
        yield f"  warning: {warning}"
    yield ""


def _people(agreement: "Agreement") -> Iterator[str]:
    people = agreement.whole.people
    said = people.majority
    yield (
        f"  most people: first {said['first']:,}, second {said['second']:,}, tie {said['tie']:,}, "
        f"no majority {said['none']:,}"
    )
    if people.agreement.n:
        plain = _share(people.without_ties)
        yield f"  two people agree on {_share(people.agreement)} of what both judged, without ties {plain}"
        chance = [f"Krippendorff's alpha {_number(people.alpha)}"]
        chance += [f"Fleiss' kappa {_number(people.fleiss)}"] if people.fleiss.value is not None else []
        yield f"  beyond chance: {', '.join(chance)}"
    if agreement.whole.length.rate.n:
        longer = agreement.whole.length
        counts = f"as long {longer.equal:,}, length unknown {longer.unknown:,}"
        yield f"  the longer answer wins {_share(longer.rate)}, {counts}"


def _table(judges: "Sequence[Judge]") -> Iterator[str]:
    placed = any(judge.position is not None for judge in judges)
    head = f"  {'judge':<{NAME}} {'votes':>6} {'invalid':>7}  {'agrees with people':<20}  {'without ties':<20}  kappa "
    yield head + ("  first place  same both ways" if placed else "")
    for judge in judges:
        line = (
            f"  {_padded(judge.name)} {sum(judge.votes.values()):>6,} {judge.votes['invalid']:>7,}  "
            f"{_share(judge.majority):<20}  {_share(judge.majority_without_ties):<20}  {_bare(judge.kappa, '.3f'):<6}"
        )
        if placed and judge.position is not None:
            rate, same = judge.position.rate, judge.position.consistent
            line += f"  {_bare(rate, '.1%'):>11}  {_bare(same, '.1%'):>14}"
        yield line.rstrip()


def _judges_alone(agreement: "Agreement") -> Iterator[str]:
    """Judges without people: what they said, and how far they agree with each other."""
    for judge in agreement.whole.judges:
        votes = ", ".join(f"{name} {count:,}" for name, count in judge.votes.items())
        yield f"  {_padded(judge.name)} {sum(judge.votes.values()):>6,} votes: {votes}"
    for each in agreement.between_judges:
        two = f"{cut(each.first, NAME)} and {cut(each.second, NAME)}"
        yield f"  {two} agree on {_share(each.agreement)} of {each.agreement.n:,}, kappa {_bare(each.kappa, '.3f')}"


def _padded(name: str) -> str:
    short = cut(name, NAME)
    return short + " " * (NAME - len(short))


def _share(figure: "Figure") -> str:
    if figure.value is None:
        return "-"
    ends = "" if figure.low is None or figure.high is None else f" [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
    return f"{100 * figure.value:.1f} %{ends}"


def _number(figure: "Figure") -> str:
    if figure.value is None:
        return f"- ({figure.why})"
    ends = "" if figure.low is None or figure.high is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
    return f"{figure.value:.3f}{ends}"


def _bare(figure: "Figure", form: str) -> str:
    return "-" if figure.value is None else f"{figure.value:{form}}"
