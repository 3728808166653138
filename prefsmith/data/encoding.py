"""All rows of a side to ids: in this process, or in several where that is worth their start."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Literal

from prefsmith.data.chunks import AT_ONCE, Chunk, encode_chunk
from prefsmith.data.counts import EncodingCounts
from prefsmith.data.encode import Encoder, Uncut
from prefsmith.data.encoded_rows import Builder
from prefsmith.data.processes import WorkersLost, cores
from prefsmith.data.rejects import Rejects
from prefsmith.data.rowstore import LabelledRows
from prefsmith.data.sparing import sparing
from prefsmith.data.spool import Spool
from prefsmith.data.tally import Tally
from prefsmith.data.workers import Task, Workers, worth_it

TRIED = 4.0
"""Seconds after which what is left can be told."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Hands:
    """Who encodes.

    Args:
        workers: processes beside this one; `auto` starts one per core where that is worth it.
        measure: is given the lengths of every row before anything is cut; this process then does it alone.
        say: is told what becomes of workers.
    """

    workers: int | Literal["auto"]
    measure: Callable[[Uncut], None] | None
    say: Say


@dataclass(frozen=True, slots=True)
class EncodedSide:
    """What became of the rows of a side.

    Args:
        builder: has those that are encoded.
        counts: what was done.
        tallies: for each loss term, the labels that are left.
        refused: how many rows cannot be used.
    """

    builder: Builder
    counts: EncodingCounts
    tallies: list[Tally]
    refused: int

    def record(self, encoder: Encoder, without_labels: int) -> dict[str, object]:
        """What data.json says.

        Args:
            encoder: of the run.
            without_labels: rows that were refused before.
        """
        return {
            **self.counts.as_dict(),
            "places": self.counts.places,
            "rejected": without_labels + self.refused,
            "max_length": encoder.max_length,
        }


def encode_side(encoder: Encoder, rows: LabelledRows, ids: Spool, rejects: Rejects, hands: Hands) -> EncodedSide:
    """Encode all rows.

    Args:
        encoder: of the run.
        rows: of the side.
        ids: where ids go.
        rejects: collects the rows that are refused.
        hands: who does it.

    Raises:
        DataError: a row cannot be used.
    """
    builder, counts, refused = Builder(ids), EncodingCounts(), 0
    tallies = [Tally() for _ in rows.wanted]
    with sparing(), closing(_chunks(encoder, rows, hands)) as chunks:
        for chunk in chunks:
            for place, error in chunk.refused:
                rejects.refuse(error, asdict(rows[place].group))
            refused += len(chunk.refused)
            builder.add(chunk)
            counts.join(chunk.counts)
            for tally, more in zip(tallies, chunk.tallies, strict=True):
                tally.join(more)
            for uncut in chunk.uncut:
                assert hands.measure is not None  # otherwise there is none
                hands.measure(uncut)
    return EncodedSide(builder, counts, tallies, refused)


def _chunks(encoder: Encoder, rows: LabelledRows, hands: Hands) -> Generator[Chunk]:
    """What becomes of the rows, in their order, whoever encodes them."""
    done, started = 0, time.perf_counter()
    while done < len(rows):
        number = _workers_for(len(rows) - done, done, time.perf_counter() - started, encoder, hands)
        if number and rows.lines(0, 0) is not None:
            try:
                for chunk in _by_workers(encoder, rows, done, number):
                    yield chunk
                    done = min(len(rows), done + AT_ONCE)
            except WorkersLost as error:
                hands.say(f"warning: {error}; this process goes on alone")
                hands = replace(hands, workers=0)
            continue
        last, measured = min(len(rows), done + AT_ONCE), hands.measure is not None
        yield encode_chunk(encoder, rows[done:last], done, len(rows.wanted), measured=measured)
        done = last


def _workers_for(left: int, done: int, seconds: float, encoder: Encoder, hands: Hands) -> int:
    """How many workers are to do the rest."""
    if hands.measure is not None or hands.workers == 0:
        return 0
    if hands.workers != "auto":
        return min(hands.workers, -(-left // AT_ONCE))
    if not done or seconds < TRIED:
        return 0
    number = cores()
    return number if worth_it(seconds / done * left, number, parallel=encoder.writer.texts.parallel) else 0


def _by_workers(encoder: Encoder, rows: LabelledRows, done: int, number: int) -> Iterator[Chunk]:
    starts = range(done, len(rows), AT_ONCE)
    with Workers(number, encoder, rows.wanted, rows.pairs) as workers:
        yield from workers.chunks(
            Task(start, rows.lines(start, min(len(rows), start + AT_ONCE)) or []) for start in starts
        )
