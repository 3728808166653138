"""The files of an audit, read with the readers of training: bad rows are counted and passed, places are kept."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from prefsmith.audit.audited import AuditedFile, Part
from prefsmith.audit.finding import Example
from prefsmith.audit.judged import Beside, labelled, noted, without_texts
from prefsmith.data import schema
from prefsmith.data.collect import Source
from prefsmith.data.groups import Reading, stream_groups
from prefsmith.data.prompts import stream_prompts
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.rowstore import FirstPlaces, RowStore
from prefsmith.data.spool import Spool
from prefsmith.data.votes.forms import recognise
from prefsmith.data.votes.read import read_judgements
from prefsmith.data.votes.texts import Texts
from prefsmith.errors import DataError
from prefsmith.records import Group

UNREADABLE = ("data.column", "data.winner")
"""What is said of a first row that the readers of training do not know; it may be one of judgements."""


@dataclass(frozen=True, slots=True)
class HowToRead:
    """Settings of `data` that say what rows are.

    Args:
        format: as in `data.format`.
        columns: as in `data.columns`.
        limit: most rows that are read of a file.
        texts: of answers that files of votes only name.
    """

    format: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    texts: Texts | None = None


class FileReader:
    """Reads one file; `groups` yields its usable rows, and afterwards `result` says what came of it.

    Args:
        name: of the file.
        part: what its rows are for.
        first: number of its first row over all files.
        how: what its rows are.

    Raises:
        DataError: nothing is there, or it is of a kind that is not read.
    """

    def __init__(self, name: str, part: Part, first: int, how: HowToRead) -> None:
        self.name, self.first, self.how = name, first, how
        self.part: Part = part
        self.source = Source.open(name, "eval" if part == "eval" else "train")
        self.rejects = Rejects(skip=True)
        self.store = RowStore(Spool())
        self._rows, self._notes, self._recognised = 0, Counter[str](), "no usable row"
        self._places: Mapping[str, Sequence[Example]] = {}
        self._voted = False

    def groups(self) -> Iterator[Group]:
        """The usable rows in order; each is in `store` when the next one is asked for.

        Raises:
            DataError: the file is damaged, or its first row is of no form that is read.
            ConfigError: `columns` names something we do not know.
        """
        first = next(iter(self.source.container.rows(Rejects(skip=True))), Row(self.name, {}))
        judged = _is_judged(first)
        with_votes = judged and isinstance(first.values.get("votes"), list)
        if with_votes and not self._is_labelled(first):  # training has one label of them, an audit looks at each
            try:
                yield from self._kept(self._judged())
                return
            except DataError as error:
                if error.code != "votes.none":
                    raise
        reading = Reading(self.source.container)
        beside = Beside.read(self.name, self.how.limit) if with_votes else Beside()
        try:
            yield from self._kept(self._streamed(reading, beside))
        except DataError as error:
            unknown = error.code in UNREADABLE and reading.schema is None
            if unknown and (judged or self.part == "other"):
                yield from self._kept(self._judged() if judged else self._prompts())
                return
            if error.code != "data.no_rows" or not reading.rows:
                raise  # a file of which every row is refused is a finding
            self.source.require_unchanged()
            self._rows = reading.rows
            self._recognised = reading.schema.describe() if reading.schema is not None else self._recognised

    def _kept(self, groups: Iterator[Group]) -> Iterator[Group]:
        """Groups that are in `store`, and of which the refused rows are new."""
        self.rejects = Rejects(skip=True)
        for group in groups:
            self.store.append(group)
            yield group
        self.source.require_unchanged()

    def _streamed(self, reading: Reading, beside: Beside) -> Iterator[Group]:
        """Rows as training reads them, with the votes beside their labels."""
        how = self.how
        seen = FirstPlaces(self.store)
        groups = stream_groups(reading, seen, self.rejects, format=how.format, columns=how.columns, limit=how.limit)
        yield from map(beside.add, groups)
        self._rows = reading.rows
        notes, self._places = beside.noted(self._rows)
        self._notes = reading.notes + notes
        judgements, found = beside.judgements, reading.schema
        self._recognised = f"judgements ({judgements.form})" if judgements else found.describe() if found else ""

    def _is_labelled(self, first: Row) -> bool:
        """Whether training takes something else as label than the votes of a row."""
        if self.how.format != "auto" or self.how.columns:
            return True
        try:
            found = schema.recognise(first, "auto", {})
        except DataError:
            return False
        if found.sides is None:
            return found.format in schema.PAIRS
        return not found.sides.voted and first.values[found.sides.column] is not None

    def _judged(self) -> Iterator[Group]:
        """Pairs with their votes, of a file that is read as a whole."""
        try:
            judgements = read_judgements(self.name, limit=self.how.limit, rejects=self.rejects)
        except DataError as error:
            if error.code != "data.no_rows" or not self.rejects.rows:
                raise
            self._rows = len(self.rejects.rows)
            return
        texts = self.how.texts
        for pair in judgements.pairs:
            pair = texts.of(pair) if texts is not None and pair.names is not None else without_texts(pair)
            yield labelled(pair, judgements.roles)
        self._rows, self._voted = judgements.rows, True
        self._recognised = f"judgements ({judgements.form})"
        self._notes, self._places = noted(judgements)

    def _prompts(self) -> Iterator[Group]:
        """What is only measured on may have prompts and no answers."""
        used = 0

        def counted() -> Iterator[Row]:
            nonlocal used
            for row in islice(self.source.container.rows(self.rejects), self.how.limit):
                before = len(self.rejects.rows)
                yield row
                used += len(self.rejects.rows) == before

        yield from stream_prompts(counted(), self.rejects)
        self._rows, self._recognised = used + len(self.rejects.rows), "different prompts, without answers"

    def result(self) -> AuditedFile:
        """What was read."""
        return AuditedFile(
            name=self.name,
            part=self.part,
            first=self.first,
            groups=self.store,
            rows=self._rows,
            refused=self.rejects.rows,
            codes=self.rejects.counts(),
            notes=dict(self._notes),
            places=self._places,
            recognised=self._recognised,
            digest=self.source.digest,
            voted=self._voted,
        )


def _is_judged(row: Row) -> bool:
    """Whether a row holds votes in a form that is read."""
    try:
        return bool(recognise(row))
    except DataError:
        return False
