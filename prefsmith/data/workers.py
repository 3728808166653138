"""Processes that encode: worth their start where much is to do, and the tokenizer uses one core or cores are many."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prefsmith.data.chunks import Chunk, encode_chunk
from prefsmith.data.codec import group_of_line
from prefsmith.data.encode import Encoder
from prefsmith.data.processes import Pool
from prefsmith.data.ranking import Pairs
from prefsmith.data.views import Wanted, label


@dataclass(frozen=True, slots=True)
class Task:
    """Rows for a worker.

    Args:
        first: place of the first.
        lines: the groups, as they are stored.
    """

    first: int
    lines: Sequence[bytes]


@dataclass(frozen=True)
class Encoding:
    """What a worker does with rows.

    Args:
        encoder: of the run.
        wanted: the labels that each loss term takes.
        pairs: which completions of a ranked list are compared.
    """

    encoder: Encoder
    wanted: tuple[Wanted, ...]
    pairs: Pairs

    def __call__(self, task: Task) -> Chunk:
        """Encode them."""
        rows = [label(group_of_line(each), self.wanted, self.pairs) for each in task.lines]
        return encode_chunk(self.encoder, rows, task.first, len(self.wanted))


class Workers(Pool):
    """Processes with the same encoder; a context, which leaves none behind.

    Args:
        number: how many.
        encoder: of the run.
        wanted: the labels that each loss term takes.
        pairs: which completions of a ranked list are compared.
    """

    def __init__(self, number: int, encoder: Encoder, wanted: Sequence[Wanted], pairs: Pairs) -> None:
        super().__init__(number, Encoding(encoder, tuple(wanted), pairs), "the tokenizer")

    def chunks(self, tasks: Iterable[Task]) -> Iterator[Chunk]:
        """What became of the rows, in the order of the tasks.

        Raises:
            WorkersLost: a worker died; everything before was yielded.
        """
        return self.results(tasks)


def worth_it(seconds: float, cores: int, *, parallel: bool) -> bool:
    """Whether workers gain more than they cost.

    Args:
        seconds: that this process alone would still take.
        cores: that there are.
        parallel: whether the tokenizer uses all cores by itself; most of the rest then runs on one.
    """
    return cores > 1 and seconds > 40 if not parallel else cores >= 4 and seconds > 60
