"""The files of an audit, read with the readers of training: bad rows are counted and passed, places are kept."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from prefsmith.audit.audited import AuditedFile, Part
from prefsmith.audit.decided import PROGRAM, in_order, voices
from prefsmith.data.collect import Source
from prefsmith.data.containers import Container
from prefsmith.data.groups import Reading, stream_groups
from prefsmith.data.prompts import read_prompts
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.rowstore import FirstPlaces, RowStore
from prefsmith.data.spool import Spool
from prefsmith.data.votes.forms import recognise
from prefsmith.data.votes.judgements import JudgedPair, Role
from prefsmith.data.votes.read import read_judgements
from prefsmith.data.votes.texts import Texts
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Completion, Group, Vote

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
        self._rows, self._notes, self._recognised = 0, Counter[str](), ""
        self._codes: Counter[str] | None = None
        self._places: dict[str, tuple[str, ...]] = {}
        self._voted = False

    def groups(self) -> Iterator[Group]:
        """The usable rows in order; each is in `store` when the next one is asked for.

        Raises:
            DataError: the file is damaged, or its first row is of no form that is read.
            ConfigError: `columns` names something we do not know.
        """
        reading = Reading(self.source.container)
        if self._is_judged(reading.container, "votes"):  # training has one label of them, an audit looks at each
            yield from self._judged()
            return
        try:
            for group in self._streamed(reading):
                self.store.append(group)
                yield group
        except DataError as error:
            if error.code in UNREADABLE and reading.schema is None and self._is_judged(reading.container):
                yield from self._judged()
                return
            if error.code in UNREADABLE and reading.schema is None and self.part == "other":
                yield from self._prompts()
                return
            if error.code != "data.no_rows" or not reading.rows:
                raise  # a file of which every row is refused is a finding
        self.source.require_unchanged()
        self._rows, self._notes = reading.rows, reading.notes
        self._recognised = reading.schema.describe() if reading.schema is not None else "no usable row"

    def _streamed(self, reading: Reading) -> Iterator[Group]:
        how = self.how
        seen = FirstPlaces(self.store)
        return stream_groups(reading, seen, self.rejects, format=how.format, columns=how.columns, limit=how.limit)

    def _is_judged(self, container: Container, column: str | None = None) -> bool:
        """Whether the first row holds votes in a form that is read, and this column."""
        first: Row | None = next(iter(container.rows(Rejects(skip=True))), None)
        if first is None or (column is not None and not isinstance(first.values.get(column), list)):
            return False
        try:
            return bool(recognise(first))
        except DataError:
            return False

    def _judged(self) -> Iterator[Group]:
        judgements = read_judgements(self.name, skip_bad=True)
        texts = self.how.texts
        for pair in judgements.pairs[: self.how.limit]:
            if pair.names is not None:
                pair = _named(pair, pair.names) if texts is None else texts.of(pair)
            group = _labelled(pair, judgements.roles)
            self.store.append(group)
            yield group
        self._rows, self._voted = judgements.rows, True
        self._recognised = f"judgements ({judgements.form})"
        self.source.require_unchanged()
        self._codes = Counter(judgements.refused)
        self._notes = Counter({note.what: note.count for note in judgements.notes})
        self._places = {note.what: note.places for note in judgements.notes}

    def _prompts(self) -> Iterator[Group]:
        """What is only measured on may have prompts and no answers."""
        for group in read_prompts(self.name, limit=self.how.limit):
            self.store.append(group)
            yield group
        self.source.require_unchanged()
        self._rows, self._recognised = len(self.store), "different prompts, without answers"

    def result(self) -> AuditedFile:
        """What was read."""
        return AuditedFile(
            name=self.name,
            part=self.part,
            first=self.first,
            groups=self.store,
            rows=self._rows,
            refused=self.rejects.rows,
            codes=self.rejects.counts() if self._codes is None else self._codes,
            notes=dict(self._notes),
            places=self._places,
            recognised=self._recognised,
            digest=self.source.digest,
            voted=self._voted,
        )


def _named(pair: JudgedPair, names: tuple[str, str]) -> JudgedPair:
    """A pair whose answers are not in the file: empty texts that are told apart by their names."""
    completions = tuple(Completion(text="", media=(name,)) for name in names)
    return replace(pair, group=replace(pair.group, completions=completions))


def _labelled(pair: JudgedPair, roles: Mapping[str, Role]) -> Group:
    """A judged pair with the share of its votes as label; annotators that are programs are marked as such."""
    group = pair.group
    votes = tuple(
        replace(vote, annotator=PROGRAM + vote.annotator) if roles.get(vote.annotator) == "judge" else vote
        for vote in group.votes
    )
    share = share_of(voices(votes))
    return replace(group, votes=votes, comparisons=() if share is None else (Comparison(0, 1, prob=share),))


def share_of(votes: Sequence[Vote]) -> float | None:
    """The share of usable votes for completion 0 against 1, a tie being half a vote for each; None without any."""
    counts = Counter(in_order(vote) for vote in votes)
    usable = counts["left"] + counts["right"] + counts["tie"]
    return (counts["left"] + counts["tie"] / 2) / usable if usable else None
