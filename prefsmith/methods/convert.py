"""A preference file in another program's format: `prefsmith convert`.

The file is read twice: once to see what its rows need, so that every row of the new file has the same columns, and
once to write it.
"""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from prefsmith.data.collect import Source
from prefsmith.data.parse import parse_row
from prefsmith.data.ranking import Pairs
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.schema import DESCRIBING, Schema, recognise
from prefsmith.data.targets.account import Account
from prefsmith.data.targets.alpaca import Alpaca
from prefsmith.data.targets.dataset_info import columns_beside, with_entry, write_info
from prefsmith.data.targets.item import Item, items_of
from prefsmith.data.targets.ours import Ours
from prefsmith.data.targets.sharegpt import ShareGpt
from prefsmith.data.targets.target import Target, with_foreign
from prefsmith.data.targets.trl import Trl
from prefsmith.errors import ConfigError, DataError, nearest
from prefsmith.files import json_row, sync_folder

TARGETS: Mapping[str, Callable[[], Target]] = {
    "trl": lambda: Trl(turns=False),
    "trl-conversational": lambda: Trl(turns=True),
    "llamafactory": Alpaca,
    "llamafactory-sharegpt": ShareGpt,
    "prefsmith": Ours,
}
SUFFIXES = (".json", ".jsonl")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be converted, and how.

    Args:
        file: what `read_groups` takes.
        target: a key of `TARGETS`.
        format: of the rows, or `auto`.
        columns: our name of a column -> the file's.
        pairs: which answers of a list are compared, where the target has no lists.
        limit: most rows that are read.
        skip_bad: count rows that cannot be read and go on.
    """

    file: str
    target: str
    format: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    pairs: Pairs = "all"
    limit: int | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            what, fix = f"--limit is {self.limit}, and must be at least 1", "--limit 1 or more, or none for all rows"
            raise ConfigError("convert.value", what, where="--limit", fix=fix)


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it.

    Args:
        target: whose format was written.
        out: the new file; None where nothing was to be written.
        schema: what the file's rows are, in words.
        account: what became of them.
        entry: what LLaMA-Factory has to be told of the file, and stands in dataset_info.json.
    """

    target: str
    out: Path | None
    schema: str
    account: Account
    entry: Mapping[str, object] | None

    def as_dict(self) -> dict[str, object]:
        """For programs."""
        out = None if self.out is None else str(self.out)
        return {"target": self.target, "out": out, "rows": self.schema, **self.account.as_dict(), "entry": self.entry}


def convert(asked: Asked, out: Path | None = None) -> Converted:
    """Write a file anew.

    Args:
        asked: the file, and the format.
        out: the new file, .json or .jsonl; nothing is there yet. None reads, counts, and writes nothing.

    Raises:
        ConfigError: the format is not known, or the new file cannot be written where it is wanted.
        DataError: the file cannot be read or changes meanwhile, a row cannot be read and is not skipped, or the format
            can hold none of the rows.
    """
    if asked.target not in TARGETS:
        what = f"the format {asked.target!r} is not known"
        raise ConfigError("convert.target", what, where="--to", fix=nearest(asked.target, TARGETS))
    if out is not None:
        _refuse_place(out)
    asked = _as_described(asked)
    target = TARGETS[asked.target]()
    source = _Items(asked, Source.open(asked.file, "train"), target)
    for items, _ in source.rows(Account()):
        for item in items:
            target.look(item)
    name = "data.json" if out is None else out.name
    entry, info = target.entry(name), None
    if entry is not None and out is not None:
        info = with_entry(out.parent, out.name.rsplit(".", 1)[0], entry)
    account = Account()
    rows = _counted(source.rows(account), target, account)
    if out is None:
        for _ in rows:
            pass
    else:
        _write(rows, out, account, asked, info)
    _refuse_nothing(account, target, asked)
    return Converted(target.program, out, source.described(), account, entry)


class _Items:
    """The rows of a file as items, made anew each time that they are asked for."""

    def __init__(self, asked: Asked, source: Source, target: Target) -> None:
        self.asked, self.source, self.target = asked, source, target
        self.schema: Schema | None = None

    def rows(self, account: Account) -> Iterator[tuple[list[Item], Account]]:
        """Yield the items of each row and what became of it, in order; the account counts what is read."""
        rejects, seen = Rejects(skip=self.asked.skip_bad), dict[str, str]()
        for row in islice(self.source.container.rows(rejects), self.asked.limit):
            schema = self.schema = self.schema or recognise(row, self.asked.format, self.asked.columns)
            notes = Counter[str]()
            try:
                group = parse_row(row, schema, notes)
                _first_of_its_id(group.id, row, seen)
            except DataError as error:
                rejects.refuse(error, row.values)
                continue
            account.read += 1
            account.notes += notes
            of_row, foreign = Account(), _foreign(row, schema)
            _count_unread_keys(row, schema, of_row)
            items = items_of(group, schema, of_row, pairs=self.asked.pairs, lists=self.target.lists)
            yield [replace(item, foreign=foreign) for item in items], of_row
        self.source.require_unchanged()  # it is read twice
        account.refused = rejects.counts()
        account.read += len(rejects.rows)
        if not account.read:
            fix = "is it the right file, and was it written to its end?"
            raise DataError("data.no_rows", "the file has no rows", where=self.asked.file, fix=fix)

    def described(self) -> str:
        """What the rows are, in words."""
        return "" if self.schema is None else self.schema.describe()


def _as_described(asked: Asked) -> Asked:
    """With the columns that a dataset_info.json beside the file names, where nothing else is said."""
    if asked.columns or asked.format != "auto":
        return asked
    return replace(asked, columns=columns_beside(Path(asked.file).expanduser()))


def _counted(
    rows: Iterator[tuple[list[Item], Account]], target: Target, account: Account
) -> Iterator[dict[str, object]]:
    """The rows of the new file; each is counted with what became of it."""
    for items, of_row in rows:
        before = account.written
        for item in items:
            own = Account()
            cells = target.cells(item, own)
            if cells is not None:
                account.written += 1
                yield with_foreign(cells, item, target, own)
            account.add(own, written=cells is not None)
        account.add(of_row, written=account.written > before)


def _foreign(row: Row, schema: Schema) -> dict[str, object]:
    read = {*schema.columns.values(), *DESCRIBING}
    return {name: value for name, value in row.values.items() if name not in read}


def _count_unread_keys(row: Row, schema: Schema, account: Account) -> None:
    """What the objects of a list say beside answer and number stands in no format."""
    listing = schema.listing
    if listing is None or listing.text is None:
        return
    entries = row.values.get(listing.column)
    known = {listing.text, *((listing.numbers,) if listing.inside else ())}
    listed = [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    for key in sorted({key for each in listed for key in each if key not in known}):
        account.lost[f"{listing.column}[].{key}"] += 1


def _first_of_its_id(name: str, row: Row, seen: dict[str, str]) -> None:
    if name != row.source and (before := seen.setdefault(name, row.source)) != row.source:
        what = f"the id {name!r} is also that of {before}"
        raise DataError("data.id", what, where=row.source, fix="ids name rows, so each stands once; or drop the column")


def _refuse_place(out: Path) -> None:
    if out.suffix not in SUFFIXES:
        what, fix = "rows are written as JSON", f"give it the ending {' or '.join(SUFFIXES)}"
        raise ConfigError("convert.out", what, where=str(out), fix=fix)
    if out.exists() or out.is_symlink():
        raise ConfigError("convert.out", "there is something already", where=str(out), fix="choose another --out")


def _refuse_nothing(account: Account, target: Target, asked: Asked) -> None:
    if account.written:
        return
    reasons = Counter(account.refused) + account.left_out
    said = "; ".join(f"{reason} ({count:,})" for reason, count in reasons.items())
    what = f"{target.program}'s format can hold none of {account.read:,} rows: {said}"
    raise DataError("convert.nothing", what, where=asked.file, fix="another format with --to may hold them")


def _write(
    rows: Iterator[dict[str, object]], out: Path, account: Account, asked: Asked, info: Mapping[str, object] | None
) -> None:
    """The new file in one move, and what LLaMA-Factory is told of it."""
    beside = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
    array = out.suffix == ".json"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as file:
            for number, row in enumerate(rows):
                file.write((b"[\n" if not number else b",\n") if array else b"")
                file.write(json_row(row) + (b"" if array else b"\n"))
            file.write(b"\n]\n" if array else b"")
            file.flush()
            os.fsync(file.fileno())
        if account.written:
            beside.replace(out)
            sync_folder(out.parent)
            if info is not None:
                write_info(out.parent, info)
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise ConfigError("convert.out", what, where=str(out), fix="name another place with --out") from error
    finally:
        with suppress(OSError):  # of a folder that is none, too
            beside.unlink()
