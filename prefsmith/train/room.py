"""Memory that runs out: told apart from faults, with the micro-batch that it ran out on, and what would fit."""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from prefsmith.data.encoded import EncodedGroup
from prefsmith.errors import TrainingError
from prefsmith.model.exhausted import is_exhausted


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory, be it of a GPU or of the machine, or for a micro-batch."""
    return isinstance(error, OutOfRoom) or is_exhausted(error)


class OutOfRoom(Exception):
    """Memory ran out on a micro-batch.

    Args:
        groups: of the micro-batch.
    """

    def __init__(self, groups: Sequence[EncodedGroup]) -> None:
        super().__init__("memory ran out")
        self.groups = list(groups)

    @property
    def tokens(self) -> int:
        """Of the micro-batch, as a budget counts them."""
        return sum(group.tokens for group in self.groups)


@contextmanager
def room_for(groups: Sequence[EncodedGroup]) -> Iterator[None]:
    """What is computed while the context is open is for these groups.

    Raises:
        OutOfRoom: memory ran out. It holds what the computation held, until it is let go.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfRoom(groups) from error


def budget_that_fits(
    groups: Sequence[EncodedGroup], attempt: Callable[[Sequence[EncodedGroup], int], object]
) -> int | None:
    """The first budget that does, of halves of what did not; None where a group alone is too much.

    Args:
        groups: of the micro-batch that did not fit.
        attempt: computes them by a budget, and is done with it when it returns.
    """
    least = max(group.tokens for group in groups)
    budget = sum(group.tokens for group in groups)
    while budget > least:
        budget = max(least, budget // 2)
        let_go()
        try:
            with room_for(groups):
                attempt(groups, budget)
        except OutOfRoom:
            continue
        return budget
    return None


def out_of_memory(when: str, groups: Sequence[EncodedGroup], fits: int | None) -> TrainingError:
    """What the run ends with.

    Args:
        when: it ran out, in words.
        groups: of the micro-batch.
        fits: a budget that was tried on them and did; None where there is none.
    """
    tokens, rows = sum(group.tokens for group in groups), [group.group.source for group in groups]
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return TrainingError(
        "train.memory",
        f"memory ran out {when}, on a micro-batch of {tokens} tokens; every checkpoint is whole",
        where=f"rows {', '.join(rows[:5])}{more}",
        fix=f"go on with --resume train.token_budget={fits}: these rows were tried with it, and it fits"
        if fits is not None
        else "a row alone is too much: train.activation_checkpointing=true, and --resume; or a lower data.max_length, "
        "adapter.kind=lora",
    )


def out_of_memory_among(when: str, groups: Sequence[EncodedGroup]) -> TrainingError:
    """The same where weights are in parts, so that one process alone cannot try what would fit."""
    tokens, rows = sum(group.tokens for group in groups), [group.group.source for group in groups]
    longest = max(group.tokens for group in groups)
    return TrainingError(
        "train.memory",
        f"memory ran out {when}, on a micro-batch of {tokens} tokens; every checkpoint is whole",
        where=f"rows {', '.join(rows[:5])}",
        fix=f"go on with --resume train.token_budget={max(longest, tokens // 2)}, half of it (not tried)"
        if tokens > longest
        else "a row alone is too much: train.activation_checkpointing=true, and --resume; or a lower data.max_length",
    )


def out_of_memory_elsewhere(error: BaseException) -> TrainingError:
    """The same where it was no micro-batch that memory ran out on: loading, comparing, sampling, moving weights."""
    what = f"memory ran out: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
    fix = "a lower train.token_budget or data.max_length, adapter.kind=lora, or a machine with more; then --resume"
    return TrainingError("train.memory", what, fix=fix)


def let_go() -> None:
    """Give back to the system what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:  # glibc's, which keeps what was freed for its own later use
        trim(0)
