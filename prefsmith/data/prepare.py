"""From the files of a run to encoded rows: read, split, view, encode; every row is used, refused or counted.

What a loss cannot use is refused when the rows are read, so that nobody waits for a model to hear of it. What was made
of the same files with the same settings before is taken from the cache, with all that was said of it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from prefsmith.config import DataConfig
from prefsmith.data.audited import AuditFile
from prefsmith.data.cache import Cache, Draft, Entry, Made
from prefsmith.data.chunks import words_of
from prefsmith.data.collect import Collection, Source
from prefsmith.data.encode import Encoder, Uncut
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.encoded_rows import EncodedRows
from prefsmith.data.encoding import EncodedSide, Hands, encode_side
from prefsmith.data.hub import Side as SideName
from prefsmith.data.keys import facts_of_ids, facts_of_rows
from prefsmith.data.rejects import Rejects
from prefsmith.data.rowstore import LabelledRows, RowStore
from prefsmith.data.sides import EncodedSides, Sides
from prefsmith.data.spool import lines_of
from prefsmith.data.suitable import refuse_weightless
from prefsmith.data.views import Wanted
from prefsmith.errors import ConfigError, DataError, PrefsmithError
from prefsmith.files import cache_root
from prefsmith.records import Group

Say = Callable[[str], None]
First = Callable[[Callable[[], Entry]], Entry | None]
SIDES = ("train", "eval")


def by_itself(work: Callable[[], Entry]) -> Entry | None:
    """A run of one process waits for nobody."""
    return work()


class Preparation:
    """Reads and encodes the rows of a run.

    Args:
        config: which files, and what to do with them.
        wanted: the labels that each loss term takes.
        say: is given a line at a time of what was recognised, refused and counted.
        first: for a run of several processes: does the work in one of them for all that share a cache, while the others
            wait, and gives them None. Where there is a cache every process asks it once to read and once to encode.

    Attributes:
        record: what data.json says.
        rejects: the rows that were refused, with their reasons.
        sides: what was read, also where the losses cannot learn from it as a whole.
    """

    def __init__(self, config: DataConfig, wanted: Sequence[Wanted], say: Say, *, first: First = by_itself) -> None:
        self.config, self.wanted, self.first = config, wanted, first
        self.rejects = Rejects(skip=config.skip_bad)
        self.record: dict[str, object] = {}
        self.sides: Sides | None = None
        self._tell, self._said = say, list[str]()
        self._without_labels: dict[str, int] = {}  # rows of a side that a loss refuses
        self._facts: dict[str, object] | None = None  # what the rows are made of, where it can be told

    def say(self, line: str) -> None:
        """Tell a line, and note it for whoever takes from the cache what is made now."""
        self._said.append(line)
        self._tell(line)

    def read(self, groups: Sequence[Group] | None) -> Sides:
        """Training and held-out groups, from the files or from groups in memory.

        Raises:
            ConfigError: there is nothing to train on, or one prompt where a loss compares across prompts.
            DataError: a file or a row cannot be used, or a loss cannot learn from what there is.
        """
        sources: dict[SideName, Source] = {}
        audit = AuditFile.read(self.config.audit) if self.config.audit is not None else None
        if groups is not None and audit is not None:
            what, fix = "an audit names rows of files, and these rows are in memory", "leave data.audit out"
            raise ConfigError("data.audit", what, where="data.audit", fix=fix)
        if groups is None:
            if not self.config.train:
                fix = "name a preference file with --data"
                raise ConfigError("data.none", "there is nothing to train on", where="data.train", fix=fix)
            sources = self._open(audit)

        def make(draft: Draft) -> Made:
            collection = Collection(self.config, self.wanted, self.rejects, self.say, audit)
            try:
                columns = collection.read(groups, sources, draft)
            finally:
                self.record |= collection.record
                self.sides, self._without_labels = collection.sides, collection.without_labels
            record = {"record": collection.record, "said": self._said, "without_labels": self._without_labels}
            self.rejects.copy_to(draft.spool("rejected"))
            return Made(record, columns, whole=collection.sayable)

        entry = self._through(self._cache("rows"), self._facts, make)
        if entry.folder is not None:
            self._repeat(entry)
            self._without_labels = dict(entry.record["without_labels"])
            self.sides = self._sides_of(entry)
            self._tell(f"  read before: taken from {entry.folder}")
        assert self.sides is not None  # read, or taken from the cache
        return self.sides

    def encode(self, encoder: Encoder, sides: Sides, measure: Callable[[Uncut], None] | None = None) -> EncodedSides:
        """Ids of every group; what cannot be used is refused as it is when read.

        Args:
            encoder: of the run.
            sides: what `read` gave.
            measure: is given the lengths of every training group before it is cut or dropped; nothing is then taken
                from the cache.

        Raises:
            DataError: a row cannot be used, or none is left to train on.
        """

        def make(draft: Draft) -> Made:
            return self._encode(encoder, sides, measure, draft)

        facts = None if self._facts is None or measure is not None else facts_of_ids(self._facts, encoder)
        entry = self._through(self._cache("ids"), facts, make)
        if entry.folder is not None:
            self._repeat(entry)
            self._tell(f"  encoded before: taken from {entry.folder}")
        return EncodedSides(_encoded(entry, "train", sides.train), _encoded(entry, "eval", sides.held_out))

    def _encode(self, encoder: Encoder, sides: Sides, measure: Callable[[Uncut], None] | None, draft: Draft) -> Made:
        before, said = len(self.rejects.rows), len(self._said)
        encoded: dict[str, EncodedSide] = {}
        for name, rows in zip(SIDES, (sides.train, sides.held_out), strict=True):
            watch = measure if name == "train" else None
            hands = Hands(self.config.workers, watch, self.say)
            side = encoded[name] = encode_side(encoder, rows, draft.spool(name), self.rejects, hands)
            self.record[f"{name}_encoded"] = side.record(encoder, self._without_labels[name])
            for what, n in sorted(side.counts.kinds.items()):
                self.say(f"  {name}: {n:,} of {len(rows):,} rows {what}")
        train, where = encoded["train"], self.config.train or "rows in memory"
        if not len(train.builder):
            counts = ", ".join(f"{n} {what}" for what, n in train.counts.kinds.items())
            counts = counts or f"{len(self.rejects.rows)} refused"
            fix = "raise data.max_length, lower data.eval_fraction, or leave data.skip_bad out to see the first bad row"
            what = f"no row is left to train on ({len(sides.train)} were there; {counts})"
            raise DataError("data.no_rows", what, where=where, fix=fix)
        refuse_weightless(train.tallies, self.wanted, where)
        self.rejects.copy_to(draft.spool("rejected"), start=before)
        columns = {f"{name}_{each}": n for name, side in encoded.items() for each, n in side.builder.columns().items()}
        record = {
            "record": {f"{name}_encoded": self.record[f"{name}_encoded"] for name in SIDES},
            "said": self._said[said:],
            "digests": {name: side.builder.digest() for name, side in encoded.items()},
        }
        return Made(record, columns)

    def _cache(self, kind: str) -> Cache:
        place = self.config.cache
        root = None if place == "none" else cache_root() if place == "auto" else Path(place).expanduser()
        return Cache(root, kind, self._tell)

    def _through(self, cache: Cache, facts: Mapping[str, object] | None, make: Callable[[Draft], Made]) -> Entry:
        """What was made before, or is made now and kept."""
        if facts is None or cache.folder is None:
            draft = Draft(None)
            return draft.as_entry(make(draft))
        work = partial(cache.find_or_make, facts, make)
        return self.first(work) or work()

    def _repeat(self, entry: Entry) -> None:
        """Say and record what was said and recorded when the entry was made."""
        self.record |= entry.record["record"]
        for line in entry.record["said"]:
            self.say(line)
        for line in lines_of(entry.files["rejected"]):
            self.rejects.repeat(line)

    def _open(self, audit: AuditFile | None) -> dict[SideName, Source]:
        """The files of the run, and what rows of them are made of."""
        sources: dict[SideName, Source] = {"train": Source.open(self.config.train, "train")}
        if self.config.eval is not None:
            try:
                sources["eval"] = Source.open(self.config.eval, "eval")
            except PrefsmithError:
                return sources  # said when its turn comes; nothing is looked up
        files = {side: {"name": each.container.name, **each.digest} for side, each in sources.items()}
        proposed = {} if audit is None else {"audit": audit.digest}
        self._facts = facts_of_rows(self.config, files, self.wanted) | proposed
        return sources

    def _sides_of(self, entry: Entry) -> Sides:
        """The rows as an entry has them."""
        rows: list[LabelledRows] = []
        for side, file in (("train", "train"), ("eval", "eval" if self.config.eval is not None else "train")):
            store = RowStore(entry.files[file], entry.columns[f"{file}_starts"])
            members, prompts = entry.columns[f"{side}_rows"], entry.columns[f"{file}_prompts"]
            rows.append(LabelledRows(store, prompts, members, self.wanted, self.config.pairs))
        return Sides(*rows)


def _encoded(entry: Entry, side: str, rows: LabelledRows) -> EncodedRows:
    columns = {name.removeprefix(f"{side}_"): each for name, each in entry.columns.items() if name.startswith(side)}
    return EncodedRows(rows, columns, entry.files[side], entry.record["digests"][side])


def encoded_digest(groups: Sequence[EncodedGroup]) -> str:
    """sha256 of everything that training reads of the rows, in their order."""
    if isinstance(groups, EncodedRows):
        return groups.digest
    total = hashlib.sha256()
    for group in groups:
        total.update(words_of(group))
    return total.hexdigest()
