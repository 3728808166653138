"""Rows as ids, some hundred at a time: columns of numbers, which are kept and sent for less than the groups."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from prefsmith.data.counts import EncodingCounts
from prefsmith.data.encode import Encoder, Uncut
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.tally import Tally
from prefsmith.data.views import Labelled
from prefsmith.errors import DataError

AT_ONCE = 256
"""Rows of a chunk: enough that a tokenizer is called seldom, and its threads have work."""


def _numbers() -> array:
    return array("i")


@dataclass(slots=True)
class Chunk:
    """What became of rows that stand behind each other.

    Args:
        terms: how many losses read labels.
        rows: places of the rows that are encoded.
        prompts: of each, the ids that its completions share.
        whole_prompts: of each, the same before anything was cut.
        completions: of each, how many it has.
        labels: of each, how many every loss reads.
        lengths: of each completion, its ids.
        unscored: of each completion, how many of its first ids still belong to the prompt.
        ids: of all, in uint32: of each row its prompt, then its completions.
        words: what the digest of the rows is made of.
        counts: what was done.
        refused: places of rows that cannot be used, and why.
        uncut: lengths before anything was cut.
    """

    terms: int
    rows: array = field(default_factory=lambda: array("q"))
    prompts: array = field(default_factory=_numbers)
    whole_prompts: array = field(default_factory=_numbers)
    completions: array = field(default_factory=_numbers)
    labels: array = field(default_factory=_numbers)
    lengths: array = field(default_factory=_numbers)
    unscored: array = field(default_factory=_numbers)
    ids: bytes = b""
    words: bytes = b""
    tallies: list[Tally] = field(default_factory=list)
    counts: EncodingCounts = field(default_factory=EncodingCounts)
    refused: list[tuple[int, DataError]] = field(default_factory=list)
    uncut: list[Uncut] = field(default_factory=list)

    def add(self, place: int, group: EncodedGroup) -> None:
        """Take in the numbers of a row; its ids and words are joined by whoever has all rows."""
        self.rows.append(place)
        self.prompts.append(len(group.prompt))
        self.whole_prompts.append(group.whole_prompt)
        self.completions.append(len(group.completions))
        self.labels.extend(map(len, group.views))
        self.lengths.extend(len(each.ids) for each in group.completions)
        self.unscored.extend(each.unscored for each in group.completions)
        for tally, view in zip(self.tallies, group.views, strict=True):
            tally.rows += 1
            tally.add_labels(view)


def words_of(group: EncodedGroup) -> bytes:
    """Everything that training reads of a row."""
    return repr((group.prompt, group.completions, group.views, group.compared)).encode()


def encode_chunk(
    encoder: Encoder, rows: Sequence[Labelled], first: int, terms: int, *, measured: bool = False
) -> Chunk:
    """Encode some rows.

    Args:
        encoder: of the run.
        rows: one behind the other.
        first: place of the first.
        terms: how many losses read labels.
        measured: whether lengths before anything is cut are wanted.
    """
    chunk = Chunk(terms, tallies=[Tally() for _ in range(terms)])
    ids, words = array("I"), list[bytes]()
    labelled = {place: row for place, row in enumerate(rows) if any(len(view) for view in row.views)}
    outcomes = dict(zip(labelled, encoder.encode_all(list(labelled.values())), strict=True))
    for place, row in enumerate(rows):
        outcome = outcomes.get(place)
        if outcome is None:
            chunk.counts.add("without a label for this loss", row.group.source)
            continue
        if measured and outcome.uncut is not None:
            chunk.uncut.append(outcome.uncut)
        if outcome.error is not None:
            chunk.refused.append((first + place, outcome.error))
            continue
        chunk.counts.count(outcome.encoded, outcome.kinds, row.group.source)
        if (group := outcome.encoded) is not None:
            chunk.add(first + place, group)
            ids.extend(group.prompt)
            for completion in group.completions:
                ids.extend(completion.ids)
            words.append(words_of(group))
    chunk.ids, chunk.words = ids.tobytes(), b"".join(words)
    return chunk
