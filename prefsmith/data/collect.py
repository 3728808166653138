"""The rows of a run, file by file: each group is put on its side and counted as it is read, and kept on the disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prefsmith.config import DataConfig
from prefsmith.data.audited import AuditFile
from prefsmith.data.cache import Columns, Draft
from prefsmith.data.containers import Container, open_container
from prefsmith.data.excerpt import excerpt_names
from prefsmith.data.groups import Reading, stream_groups
from prefsmith.data.hub import Side as SideName
from prefsmith.data.made import made_of
from prefsmith.data.rejects import Rejects
from prefsmith.data.rowstore import FirstPlaces, RowStore
from prefsmith.data.schema import Schema
from prefsmith.data.sides import Gathered, Side, Sides
from prefsmith.data.sparing import sparing
from prefsmith.data.split import is_held_out, shared_prompts
from prefsmith.data.suitable import refuse_unsuitable
from prefsmith.data.views import Wanted
from prefsmith.errors import DataError
from prefsmith.records import Group

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A container as it was before it was read.

    Args:
        container: that holds the rows.
        stamp: tells whether somebody writes to it.
        digest: of what is in it.
    """

    container: Container
    stamp: object
    digest: Mapping[str, str]

    @classmethod
    def open(cls, name: str, side: SideName) -> "Source":
        """Look at a file, a folder or a dataset of the hub.

        Raises:
            DataError: nothing is there, or it is of a kind that is not read.
        """
        container = open_container(name, side)
        return cls(container, container.stamp(), container.digest())

    def require_unchanged(self) -> None:
        """Make sure that what was read is what has the digest.

        Raises:
            DataError: somebody wrote to it in the meantime.
        """
        if self.container.stamp() != self.stamp:
            what, fix = "the file changed while it was read", "start again when it is written to its end"
            raise DataError("data.changed", what, where=self.container.name, fix=fix)


class Collection:
    """Reads the rows of both sides.

    Args:
        config: which files, and what to do with them.
        wanted: the labels that each loss term takes.
        rejects: collects the rows that are refused.
        say: is given a line at a time of what was recognised, refused and counted.
        audit: what an audit proposes for the rows.

    Attributes:
        record: what data.json says.
        sides: what was read, also where the losses cannot learn from it as a whole.
        without_labels: of each side, the rows that a loss refuses.
        sayable: whether a file could say all of it again.
    """

    def __init__(
        self,
        config: DataConfig,
        wanted: Sequence[Wanted],
        rejects: Rejects,
        say: Say,
        audit: AuditFile | None = None,
    ) -> None:
        self.config, self.wanted, self.rejects, self.say, self.audit = config, wanted, rejects, say, audit
        self.record: dict[str, object] = {}
        self.sides: Sides | None = None
        self.without_labels: dict[str, int] = {}
        self.sayable = True

    def read(self, groups: Sequence[Group] | None, sources: Mapping[SideName, Source], draft: Draft) -> Columns:
        """Read everything.

        Args:
            groups: rows to train on that are in memory, in the place of a file.
            sources: the files, as far as they were looked at.
            draft: where groups are kept.

        Returns:
            Where groups begin in their file, digests of their prompts, and which groups are rows of a side.

        Raises:
            ConfigError: there is one prompt where a loss compares across prompts.
            DataError: a file or a row cannot be used, or a loss cannot learn from what there is.
        """
        trained = Gathered(list(groups) if groups is not None else RowStore(draft.spool("train")))
        train, held_out = self._side(trained), self._side(trained)
        files = {"train": trained}
        if groups is None:
            self._read_file(sources["train"], "train", trained, train, held_out)
        else:
            self.record["train"] = {"path": "in memory", "groups": len(groups)}
            for place, group in enumerate(groups):
                self._put(trained, place, group, train, held_out)
        if self.config.eval is not None:
            files["eval"] = other = Gathered(RowStore(draft.spool("eval")))
            held_out = self._side(other)
            source = sources.get("eval") or Source.open(self.config.eval, "eval")
            self._read_file(source, "eval", other, held_out, held_out)
            self._tell_leaked(train, held_out)
        for name, side in (("train", train), ("eval", held_out)):
            side.tell(self.rejects)
            self.without_labels[name] = side.refused
        self.sides = Sides(train.rows(), held_out.rows())
        self._tell_made(train, held_out)
        columns = {"train_rows": train.members(), "eval_rows": held_out.members()}
        for name, each in files.items():
            if isinstance(each.groups, RowStore):
                columns |= {f"{name}_starts": each.groups.starts(), f"{name}_prompts": each.prompts()}
                self.sayable &= each.groups.whole
        return columns

    def _side(self, gathered: Gathered) -> Side:
        return Side(gathered, self.wanted, self.config.pairs, skip=self.config.skip_bad)

    def _put(self, gathered: Gathered, place: int, group: Group, train: Side, held_out: Side) -> None:
        digest = gathered.add_prompt(group)
        apart = self.config.eval is None and is_held_out(digest, self.config.eval_fraction)
        (held_out if apart else train).add(place, group)

    def _read_file(self, source: Source, name: SideName, gathered: Gathered, train: Side, held_out: Side) -> None:
        config, store, before = self.config, gathered.groups, len(self.rejects.rows)
        reading, treatment = Reading(source.container), None
        if self.audit is not None:
            treatment = self.audit.treatment(source.container.name, source.digest, required=name == "train")
        rows = stream_groups(
            reading,
            FirstPlaces(store),
            self.rejects,
            format=config.format,
            columns=config.columns,
            limit=config.limit,
            treatment=treatment,
        )
        with sparing():
            for group in rows:
                self._put(gathered, len(store), group, train, held_out)
                store.append(group)
        source.require_unchanged()
        assert reading.schema is not None  # there is at least one group
        path = str(config.train if name == "train" else config.eval)
        self._refuse_examples(path, reading.schema)
        refused = len(self.rejects.rows) - before
        chosen = f" ({choice})" if (choice := source.container.describe()) else ""
        self.say(f"{path}{chosen}: {reading.rows:,} rows; {reading.schema.describe()}")
        if refused:
            self.say(f"  {refused} rows cannot be used and go to rejected.jsonl")
        for what, n in reading.notes.items():
            self.say(f"  {n} {what}")
        for line in treatment.describe() if treatment is not None else ():
            self.say(line)
        self.record[name] = {
            "path": path,
            **source.digest,
            "rows": reading.rows,
            "groups": len(store),
            "rejected": refused,
            "recognised": reading.schema.describe(),
            **({"notes": dict(reading.notes)} if reading.notes else {}),
            **({"audit": treatment.record()} if treatment is not None else {}),
        }

    def _tell_leaked(self, train: Side, held_out: Side) -> None:
        prompts = held_out.prompts()
        if leaked := shared_prompts(train.prompts(), prompts):
            self.say(f"warning: {leaked} of {len(prompts)} held-out rows have a prompt that is trained on")
            self.record["eval_prompts_in_train"] = leaked

    def _tell_made(self, train: Side, held_out: Side) -> None:
        self.record["made"] = made = made_of(train.census.tallies, self.wanted, self.config.pairs)
        for each in made:
            self.say(f"  made of it: {each}")
        self.say(f"  {train.census.rows:,} rows to train on, {held_out.census.rows:,} held out")
        where = self.config.train or "rows in memory"
        refuse_unsuitable(train.census, self.wanted, where, held_out=held_out.census)

    def _refuse_examples(self, path: str, schema: Schema) -> None:
        """Examples without labels would all be taken for good answers by a loss that tells good from bad."""
        reads_labels = (each for each in self.wanted if each.kind == "unpaired" and not each.scores)
        wanted = next((each for each in reads_labels if not each.desirable_only), None)
        if wanted is None or schema.format != "completion":
            return
        unread = f"; not read: {excerpt_names(schema.unused)}" if schema.unused else ""
        what = f"{wanted.loss} learns from good and bad answers, and the rows have no label{unread}"
        fix = "name the column that says it, data.columns.label=<your column>; for good answers alone, loss.name=sft"
        raise DataError("data.label", what, where=path, fix=fix)
