"""All checks over all files in one pass: rows are read here, looked at in worker processes, and concluded on here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Literal

from prefsmith.audit.audited import Audited, AuditedFile, Part
from prefsmith.audit.check import Check
from prefsmith.audit.finding import Finding
from prefsmith.audit.reading import FileReader, HowToRead
from prefsmith.audit.severity import SEVERITIES
from prefsmith.data.codec import group_of_line
from prefsmith.data.processes import Pool, WorkersLost, cores
from prefsmith.data.sparing import sparing
from prefsmith.records import Group

AT_ONCE = 2048
"""Rows of a block: enough that sending one costs little, and few enough that all in work take some megabytes."""
ALONE = 4
"""Blocks up to which no worker is worth its start."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What an audit found.

    Args:
        data: what was looked at.
        findings: the worst first.
    """

    data: Audited
    findings: tuple[Finding, ...]


def audit(
    files: Sequence[tuple[str, Part]],
    checks: Sequence[Check],
    *,
    how: HowToRead | None = None,
    workers: int | Literal["auto"] = "auto",
    say: Say = lambda line: None,
) -> Result:
    """Read files and find what is wrong in them.

    Args:
        files: names and parts, in the order in which rows are numbered.
        checks: what is looked for.
        how: what the rows are.
        workers: processes beside this one; `auto` starts one per core where there are many rows.
        say: is told what is done now.

    Raises:
        DataError: a file cannot be read, or its first row is of no form that is read.
        ConfigError: `how` names a column that we do not know.
    """
    reading = _Reading(files, how or HowToRead(), say)
    looked: list[list[Any]] = []
    with sparing():
        for results in _looked_at(reading, tuple(checks), workers, say):
            looked.append(results)
    data = Audited(tuple(reading.files), (*(block.first for block in reading.blocks), reading.read))
    findings: list[Finding] = []
    for place, check in enumerate(checks):
        say(f"concluding: {check.kind}")
        findings += check.findings([results[place] for results in looked], data)
        for results in looked:
            results[place] = None  # what one check remembered is not needed by the next
    findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    return Result(data, tuple(findings))


@dataclass(frozen=True)
class Looking:
    """What a worker does with a block.

    Args:
        checks: each looks at every row.
    """

    checks: tuple[Check, ...]

    def __call__(self, lines: Sequence[bytes | Group]) -> list[Any]:
        """What each check remembers of the rows."""
        groups = [group_of_line(each) if isinstance(each, bytes) else each for each in lines]
        return [check.look(groups) for check in self.checks]


@dataclass(slots=True)
class _Block:
    """Rows that are looked at together.

    Args:
        reader: of their file.
        first: number of the first row over all files.
        start: place of the first row in its file.
        rows: how many.
    """

    reader: FileReader
    first: int
    start: int
    rows: int = 0

    def lines(self) -> list[bytes | Group]:
        """The rows as they are sent: their lines, or themselves where a line cannot say them."""
        store = self.reader.store
        return [store.line(place) or store[place] for place in range(self.start, self.start + self.rows)]


@dataclass(slots=True)
class _Reading:
    """Reads the files one after the other, block by block."""

    names: Sequence[tuple[str, Part]]
    how: HowToRead
    say: Say
    files: list[AuditedFile] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)
    read: int = 0

    def __iter__(self) -> Iterator[_Block]:
        for name, part in self.names:
            reader = FileReader(name, part, self.read, self.how)
            groups, start = reader.groups(), 0
            while count := sum(1 for _ in islice(groups, AT_ONCE)):
                block = _Block(reader, self.read, start, count)
                self.blocks.append(block)
                start, self.read = start + count, self.read + count
                self.say(f"reading {name}: {start:,} rows")
                yield block
            self.files.append(reader.result())


def _looked_at(reading: _Reading, checks: tuple[Check, ...], workers: int | str, say: Say) -> Iterator[list[Any]]:
    """What the checks remember of each block, in order, whoever looks."""
    look, blocks = Looking(checks), iter(reading)
    number = cores() if workers == "auto" else int(workers)
    alone = list(islice(blocks, ALONE + 1)) if workers == "auto" else []
    if number and (not alone or len(alone) > ALONE):
        done = 0
        try:
            with Pool(number, look, "a check") as pool:
                # `chain` does not close `blocks` when it ends, as a generator would: the rest is read from it.
                for results in pool.results(block.lines() for block in chain(alone, blocks)):
                    yield results
                    done += 1
            return
        except WorkersLost as error:
            say(f"warning: {error}; this process goes on alone")
            alone = reading.blocks[done:]
    for block in chain(alone, blocks):
        yield look(block.lines())
