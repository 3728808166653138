"""What an audit proposes for the rows of a file, read from audit.yaml and applied as the rows are read.

Rows are named by where they stand, and the file by its digest: in a file that was changed a line is another row.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from prefsmith.config import Section
from prefsmith.data.excerpt import excerpt, excerpt_names
from prefsmith.data.rejects import Rejects
from prefsmith.errors import ConfigError, DataError
from prefsmith.files import file_digest
from prefsmith.records import Group
from prefsmith.settings import build_as, read_yaml

MOST_ROWS = 10**8
"""Rows that an entry may name."""


class Entry(Section):
    """Some rows of a file, and how much they count.

    Ranges stand as `3-7`, with commas between them.
    """

    code: str
    """Of the finding that they are from."""
    what: str = ""
    """What was found, in words; not read."""
    weight: float = Field(ge=0)
    """Their weight is multiplied by it; 0 leaves them out."""
    lines: str = ""
    """Numbers of lines."""
    rows: str = ""
    """Numbers of rows, in files that have no lines."""
    places: list[str] = Field(default_factory=list)
    """Places of another form."""

    @model_validator(mode="after")
    def _ranges_can_be_read(self) -> "Entry":
        if sum(end - start + 1 for start, end in (*ranges(self.lines), *ranges(self.rows))) > MOST_ROWS:
            raise ValueError(f"the ranges name more than {MOST_ROWS:,} rows")
        return self

    def named(self) -> Iterator[str]:
        """What stands behind the name of the file in the places of its rows."""
        for form, text in (("{}", self.lines), ("row {}", self.rows)):
            for start, end in ranges(text):
                yield from map(form.format, range(start, end + 1))
        yield from self.places


class FileEntry(Section):
    """What is proposed for one file."""

    name: str
    """As the audit was given it."""
    digest: dict[str, str]
    """Of what was in it."""
    entries: list[Entry] = Field(default_factory=list)
    """What is proposed."""


class AuditYaml(Section):
    """All of audit.yaml."""

    kind: Literal["audit"]
    """That it is one."""
    version: Literal[1] = 1
    """Version of this schema."""
    files: list[FileEntry]
    """Each file by itself."""


def ranges(text: str) -> list[tuple[int, int]]:
    """First and last of every range.

    Raises:
        ValueError: a part is no number and no range of numbers that rise.
    """
    found = []
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else True)) or int(last or first) < int(first):
            raise ValueError(f"{excerpt(part)!r} is no number and no range such as 3-7")
        found.append((int(first), int(last or first)))
    return found


def in_ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as ranges."""
    parts: list[str] = []
    start = previous = None
    for number in [*numbers, None]:
        if previous is not None and number is not None and number <= previous + 1:
            previous = number
            continue
        if start is not None:
            parts.append(str(start) if start == previous else f"{start}-{previous}")
        start = previous = number
    return ", ".join(parts)


@dataclass(slots=True)
class Treatment:
    """What is done to the rows of a file, and was done so far.

    Args:
        path: of audit.yaml.
        rows: by place, the weight of each row that is named, and the codes of its entries.
        left_out: rows that were, by code; one with several codes counts for each.
        weighed: likewise rows whose weight was changed.
        total: rows that were left out, and rows whose weight was changed.
    """

    path: str
    rows: Mapping[str, tuple[float, tuple[str, ...]]]
    left_out: Counter[str] = field(default_factory=Counter)
    weighed: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)

    def leaves_out(self, source: str) -> bool:
        """Whether a row is left out; if so it is counted."""
        weight, codes = self.rows.get(key_of(source), (1.0, ()))
        if weight == 0:
            self.left_out.update(codes)
            self.total["left out"] += 1
        return weight == 0

    def weigh(self, group: Group) -> Group:
        """The group with its new weight."""
        weight, codes = self.rows.get(key_of(group.source), (1.0, ()))
        if weight == 1:
            return group
        self.weighed.update(codes)
        self.total["weighed anew"] += 1
        return replace(
            group,
            comparisons=tuple(replace(each, weight=each.weight * weight) for each in group.comparisons),
            ratings=tuple(replace(each, weight=each.weight * weight) for each in group.ratings),
            weight=group.weight * weight,
        )

    def sparing(self, rejects: Rejects) -> Rejects:
        """Takes rows that cannot be read, and hands on those that are not left out anyway."""
        return _Spared(self, rejects)

    def record(self) -> dict[str, object]:
        """What data.json says."""
        return {
            "path": self.path,
            "left_out": self.total["left out"],
            "weighed": self.total["weighed anew"],
            "left_out_by": dict(self.left_out),
            "weighed_by": dict(self.weighed),
        }

    def describe(self) -> Iterator[str]:
        """What was done, in lines."""
        for what, codes in (("left out", self.left_out), ("weighed anew", self.weighed)):
            if self.total[what]:
                why = ", ".join(f"{code} {count:,}" for code, count in codes.items())
                yield f"  {self.total[what]:,} rows {what}, as {self.path} says ({why})"


class _Spared(Rejects):
    """Refuses what another does, but for rows that are left out."""

    def __init__(self, treatment: Treatment, inner: Rejects) -> None:
        super().__init__(skip=inner.skip)
        self.treatment, self.inner = treatment, inner

    def refuse(self, error: DataError, row: object) -> None:
        if not self.treatment.leaves_out(error.where):
            self.inner.refuse(error, row)


@dataclass(frozen=True, slots=True)
class AuditFile:
    """An audit.yaml.

    Args:
        path: where it lies.
        digest: sha256 of it.
        files: what it proposes.
    """

    path: str
    digest: str
    files: tuple[FileEntry, ...]

    @classmethod
    def read(cls, path: str) -> "AuditFile":
        """Read it.

        Raises:
            ConfigError: it cannot be read, or is no audit.yaml.
        """
        place = Path(path).expanduser()
        settings = read_yaml(place)
        if settings.values.get("kind") != "audit":
            what, fix = "this is no audit.yaml", "name the file that `prefsmith audit --out FOLDER` wrote"
            raise ConfigError("data.audit", what, where=path, fix=fix)
        return cls(path, file_digest(place), tuple(build_as(AuditYaml, settings).files))

    def treatment(self, name: str, digest: Mapping[str, str], *, required: bool) -> Treatment | None:
        """What is proposed for a file.

        Args:
            name: of the file.
            digest: of what is in it now.
            required: whether the audit has to know it; otherwise one that it does not know is read as it is.

        Raises:
            DataError: the file was changed since, or is another one.
        """
        found = [each for each in self.files if each.digest == dict(digest)]
        if not found:
            known = [each for each in self.files if Path(each.name).name == Path(name).name]
            if known:
                what = f"the file is not what {self.path} is about: it was changed after its audit"
                fix = "audit it again; its lines are other rows now"
                raise DataError("data.audit_file", what, where=name, fix=fix)
            if required:
                names = excerpt_names(each.name for each in self.files)
                what = f"{self.path} knows nothing of this file; it is about {names}"
                raise DataError("data.audit_file", what, where=name, fix="audit this file, or leave data.audit out")
            return None
        rows: dict[str, tuple[float, tuple[str, ...]]] = {}
        combinations: dict[tuple[float, tuple[str, ...]], tuple[float, tuple[str, ...]]] = {}
        for entry in found[0].entries:
            for key in entry.named():
                weight, codes = rows.get(key, (1.0, ()))
                new = (weight * entry.weight, codes if entry.code in codes else (*codes, entry.code))
                rows[key] = combinations.setdefault(new, new)  # very many rows share few
        return Treatment(self.path, rows)


def key_of(source: str) -> str:
    """What stands behind the name of the file in the place of a row."""
    return source.rpartition(":")[2]
