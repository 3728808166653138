"""From the files of a run to encoded rows: read, split, view, encode; every row is used, refused or counted.

What a loss cannot use is refused when the rows are read, so that nobody waits for a model to hear of it.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from prefsmith.config import DataConfig
from prefsmith.data.encode import Encoder, EncodingCounts
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.excerpt import excerpt_names
from prefsmith.data.groups import Reading, read_groups
from prefsmith.data.hub import Side
from prefsmith.data.made import made_of
from prefsmith.data.rejects import Rejects
from prefsmith.data.schema import Schema
from prefsmith.data.split import shared_prompts, split
from prefsmith.data.suitable import refuse_unsuitable, refuse_weightless
from prefsmith.data.views import Labelled, Wanted, label
from prefsmith.errors import ConfigError, DataError
from prefsmith.records import Group

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sides:
    """Groups to train on and groups that are held out, with their labels."""

    train: list[Labelled]
    held_out: list[Labelled]


@dataclass(frozen=True, slots=True)
class EncodedSides:
    """The same as token ids."""

    train: list[EncodedGroup]
    held_out: list[EncodedGroup]


class Preparation:
    """Reads and encodes the rows of a run.

    Args:
        config: which files, and what to do with them.
        wanted: the labels that each loss term takes.
        say: is given a line at a time of what was recognised, refused and counted.

    Attributes:
        record: what data.json says.
        rejects: the rows that were refused, with their reasons.
        sides: what was read, also where the losses cannot learn from it as a whole.
    """

    def __init__(self, config: DataConfig, wanted: Sequence[Wanted], say: Say) -> None:
        self.config, self.wanted, self.say = config, wanted, say
        self.rejects = Rejects(skip=config.skip_bad)
        self.record: dict[str, object] = {}
        self.sides: Sides | None = None
        self._without_labels: dict[str, int] = {}  # rows of a side that a loss refuses

    def read(self, groups: Sequence[Group] | None) -> Sides:
        """Training and held-out groups, from the files or from groups in memory.

        Raises:
            ConfigError: there is nothing to train on, or one prompt where a loss compares across prompts.
            DataError: a file or a row cannot be used, or a loss cannot learn from what there is.
        """
        everything = self._train_groups(groups)
        if self.config.eval is None:
            train, held_out = split(everything, self.config.eval_fraction)
        else:
            train, held_out = everything, self._read_file(self.config.eval, "eval").groups
            if leaked := shared_prompts(train, held_out):
                self.say(f"warning: {leaked} of {len(held_out)} held-out rows have a prompt that is trained on")
                self.record["eval_prompts_in_train"] = leaked
        self.sides = sides = Sides(self._label(train, "train"), self._label(held_out, "eval"))
        self.record["made"] = made = made_of(sides.train, self.wanted, self.config.pairs)
        for each in made:
            self.say(f"  made of it: {each}")
        self.say(f"  {len(sides.train):,} rows to train on, {len(sides.held_out):,} held out")
        refuse_unsuitable(sides.train, self.wanted, self._where(), held_out=sides.held_out)
        return sides

    def encode(self, encoder: Encoder, sides: Sides) -> EncodedSides:
        """Ids of every group; what cannot be used is refused as it is when read.

        Raises:
            DataError: a row cannot be used, or none is left to train on.
        """
        train = self._encode(encoder, sides.train, "train")
        held_out = self._encode(encoder, sides.held_out, "eval")
        if not train:
            counts = ", ".join(f"{n} {what}" for what, n in encoder.counts.kinds.items())
            counts = counts or f"{len(self.rejects.rows)} refused"
            fix = "raise data.max_length, lower data.eval_fraction, or leave data.skip_bad out to see the first bad row"
            what = f"no row is left to train on ({len(sides.train)} were there; {counts})"
            raise DataError("data.no_rows", what, where=self._where(), fix=fix)
        refuse_weightless([group.views for group in train], self.wanted, self._where())
        return EncodedSides(train, held_out)

    def _where(self) -> str:
        return self.config.train or "rows in memory"

    def _label(self, groups: Sequence[Group], side: str) -> list[Labelled]:
        """The groups that every loss can read; the others are refused."""
        labelled: list[Labelled] = []
        for group in groups:
            try:
                labelled.append(label(group, self.wanted, self.config.pairs))
            except DataError as error:
                self.rejects.refuse(error, asdict(group))
        self._without_labels[side] = len(groups) - len(labelled)
        return labelled

    def _train_groups(self, groups: Sequence[Group] | None) -> list[Group]:
        if groups is not None:
            self.record["train"] = {"path": "in memory", "groups": len(groups)}
            return list(groups)
        if not self.config.train:
            fix = "name a preference file with --data"
            raise ConfigError("data.none", "there is nothing to train on", where="data.train", fix=fix)
        return self._read_file(self.config.train, "train").groups

    def _read_file(self, path: str, side: Side) -> Reading:
        config, before = self.config, len(self.rejects.rows)
        reading = read_groups(
            path, format=config.format, columns=config.columns, limit=config.limit, rejects=self.rejects, side=side
        )
        assert reading.schema is not None  # there is at least one group
        self._refuse_examples(path, reading.schema)
        refused = len(self.rejects.rows) - before
        chosen = f" ({choice})" if (choice := reading.container.describe()) else ""
        self.say(f"{path}{chosen}: {reading.rows:,} rows; {reading.schema.describe()}")
        if refused:
            self.say(f"  {refused} rows cannot be used and go to rejected.jsonl")
        for what, n in reading.notes.items():
            self.say(f"  {n} {what}")
        self.record[side] = {
            "path": path,
            **reading.container.digest(),
            "rows": reading.rows,
            "groups": len(reading.groups),
            "rejected": refused,
            "recognised": reading.schema.describe(),
            **({"notes": dict(reading.notes)} if reading.notes else {}),
        }
        return reading

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

    def _encode(self, encoder: Encoder, rows: Sequence[Labelled], side: str) -> list[EncodedGroup]:
        encoder.counts = EncodingCounts()
        encoded: list[EncodedGroup] = []
        refused = len(self.rejects.rows)
        for row in rows:
            try:
                if not any(len(view) for view in row.views):
                    encoder.counts.add("without a label for this loss", row.group.source)
                elif (each := encoder.encode(row.group, row.views, row.compared)) is not None:
                    encoded.append(each)
            except DataError as error:
                self.rejects.refuse(error, asdict(row.group))
        self.record[f"{side}_encoded"] = {
            **encoder.counts.as_dict(),
            "places": encoder.counts.places,
            "rejected": self._without_labels[side] + len(self.rejects.rows) - refused,
            "max_length": encoder.max_length,
        }
        for what, n in sorted(encoder.counts.kinds.items()):
            self.say(f"  {side}: {n:,} of {len(rows):,} rows {what}")
        return encoded


def encoded_digest(groups: Sequence[EncodedGroup]) -> str:
    """sha256 of everything that training reads of the rows, in their order."""
    total = hashlib.sha256()
    for group in groups:
        total.update(repr((group.prompt, group.completions, group.views, group.compared)).encode())
    return total.hexdigest()
