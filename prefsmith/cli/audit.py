"""`prefsmith audit`."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefsmith.audit.severity import SEVERITIES
from prefsmith.cli.check import status
from prefsmith.cli.terminal import complain, cut, say
from prefsmith.errors import ConfigError
from prefsmith.settings import parse_settings
from prefsmith.wording import counted

if TYPE_CHECKING:
    from prefsmith.audit.finding import Finding
    from prefsmith.methods.audit import Audit

HELP = """Look for what is wrong with preference data, before it costs a training run.

For example:

    prefsmith audit pairs.jsonl
    prefsmith audit pairs.jsonl --eval held_out.jsonl --other benchmark.jsonl --html
    prefsmith audit pairs.jsonl data.columns.chosen=better data.columns.rejected=worse
    prefsmith train --model MODEL --data pairs.jsonl data.audit=audit/pairs/audit.yaml

Files are read as training reads them, files of votes as `prefsmith eval agreement` does. Bad rows are counted and \
passed. What is found is printed with the worst first: an error would make training wrong or stop it, a warning costs \
quality, a note is worth knowing. Each says how many rows, where, what it does to training, and what to do.

--out FOLDER holds audit.yaml, with rows to leave out or to weigh anew, which training takes as data.audit, and \
evidence.json with every number. --html adds report.html. --model tells how a sample looks to a model: its tokens, \
what is cut, and what it would rather say.

Exit status: 0 done, whatever was found; with --strict 3 where there is an error; 1 a bug of ours, 2 a wrong option, \
setting or folder, 3 a file that cannot be read."""

WIDTH = 100


def audit(
    *words: Annotated[str, Parameter(help="Files to train on, and settings such as data.limit=1000.")],
    held_out: Annotated[str | None, Parameter(name="--eval", help="Held-out rows.")] = None,
    other: Annotated[list[str] | None, Parameter(name="--other", negative=(), help="File not to train on.")] = None,
    texts: Annotated[str | None, Parameter(help="Texts of answers that votes only name.")] = None,
    model: Annotated[str, Parameter(help="Model that the data are to fit; scores a sample.")] = "",
    model_rows: Annotated[int, Parameter(help="Most rows that the model scores.")] = 500,
    out: Annotated[Path | None, Parameter(help="Folder. Default: audit/NAME, of the first file.")] = None,
    html: Annotated[bool, Parameter(negative=(), help="Write report.html too.")] = False,
    strict: Annotated[bool, Parameter(negative=(), help="Exit status 3 where an error is found.")] = False,
    seed: Annotated[int, Parameter(help="Of samples and intervals.")] = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print evidence.json.")] = False,
) -> int:
    """Look for what is wrong with preference data."""
    files = [word for word in words if not _is_setting(word)]
    config = parse_settings([word for word in words if _is_setting(word)]).data
    from prefsmith.methods.audit import Asked, audit_files  # inside: --help answers at once

    asked = Asked(files, held_out, tuple(other or ()), texts, config, seed, model, model_rows)
    with status() as tell:

        def told(line: str) -> None:
            (complain if line.startswith("warning") else tell)(line)

        found = audit_files(asked, out, html=html, say=told)
    for line in [json.dumps(found.evidence, indent=1)] if as_json else lines(found):
        say(line)
    return 3 if strict and found.counts["error"] else 0


def lines(found: "Audit") -> Iterator[str]:
    """What was read, what was found, and where the rest is."""
    files = found.evidence["files"]
    assert isinstance(files, list)
    for file in files:
        refused = sum(file["refused"].values())
        passed = f", {refused:,} of them cannot be used" if refused else ""
        if file["usable"] != file["rows"] - refused:  # votes on a pair may stand in several rows, or several in one
            passed += f", {counted(file['usable'], 'pair' if 'judgements' in file['recognised'] else 'prompt')}"
        yield f"{file['name']} ({_PARTS[file['part']]}): {counted(file['rows'], 'row')}{passed}; {file['recognised']}"
    for finding in found.findings:
        if finding.severity != "note":
            yield ""
            yield from _of_finding(finding)
    notes = [finding for finding in found.findings if finding.severity == "note"]
    yield from ["", "worth knowing:", *(f"  {line}" for note in notes for line in _of_note(note))] if notes else []
    counts = found.counts
    yield ""
    yield ", ".join(counted(counts[severity], severity) for severity in SEVERITIES)
    yield f"what to leave out or to weigh anew: data.audit={found.folder / 'audit.yaml'}"
    yield f"the page is {found.page}" if found.page is not None else f"all numbers are in {found.folder}/evidence.json"


_PARTS = {"train": "to train on", "eval": "held out", "other": "not to train on"}


def _of_finding(finding: "Finding") -> Iterator[str]:
    yield f"{finding.severity}: {finding.title} [{finding.code}]"
    yield f"  {_counted(finding)}"
    for example in finding.examples:
        yield f"    {example.where}  {cut(example.text, max(40, WIDTH - len(example.where)))}"
    for word, text in (("effect", finding.effect), ("cure", finding.advice)):
        if text:
            yield from textwrap.wrap(f"{word}: {text}", WIDTH, initial_indent="  ", subsequent_indent="    ")


def _of_note(finding: "Finding") -> list[str]:
    """A note in a line or two; evidence.json and the page have the rest of it."""
    return textwrap.wrap(
        f"{finding.title}: {_counted(finding)} [{finding.code}]", WIDTH, subsequent_indent="  ", break_on_hyphens=False
    )


def _counted(finding: "Finding") -> str:
    if not finding.count:
        return f"none of {finding.of:,} {finding.unit}"
    share = f"{finding.share:.1%}" if finding.share >= 0.001 else "under 0.1%"
    return f"{finding.count:,} of {finding.of:,} {finding.unit} ({share})"


def _is_setting(word: str) -> bool:
    """Settings are those of `data`; a file may have an equals sign in its name."""
    if word.startswith(("data.", "--data.")) and "=" in word:
        return True
    if word.startswith("-"):
        raise ConfigError("cli.usage", f"there is no option {word}", fix="prefsmith audit --help lists them")
    return False
