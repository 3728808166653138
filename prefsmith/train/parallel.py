"""The processes of a run: who they are, what they tell each other, and how they stop together.

Every process reads the same rows and goes through the same steps. A step's groups are divided over them by tokens, the
scores are put together again, so that everyone sees the whole step, and gradients are summed. Nothing is averaged: the
denominators are those of the whole step (`train/reduction.py`).
"""

import itertools
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import shares
from prefsmith.errors import ConfigError, Interrupted, PrefsmithError, TrainingError

T = TypeVar("T")

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: one of them may write a checkpoint or an export meanwhile."""
BUCKET_BYTES = 64 * 2**20
"""Gradients are summed so many bytes at a time; a larger one goes alone and is not copied."""
LAST_WORDS = 1.0
"""Seconds that a process waits for the report of another that has gone."""
_REPORT = "stopped"
_joins = itertools.count()


@dataclass(frozen=True, slots=True)
class Turn:
    """A micro-batch of this process.

    Args:
        members: indices of its groups.
        counts: False for one that is run only because the other processes have one more.
    """

    members: list[int]
    counts: bool = True


class Ranks:
    """The processes of a run as one of them sees them. Without arguments there is one.

    Args:
        index: which of them this is, from 0.
        count: how many there are.
        in_step: whether no process may run a model without the others, as where each has a part of every weight.
        store: where a process leaves word of why it stopped.
    """

    def __init__(self, index: int = 0, count: int = 1, *, in_step: bool = False, store: Store | None = None) -> None:
        self.index, self.count, self.in_step, self.store = index, count, in_step and count > 1, store

    @property
    def alone(self) -> bool:
        """Whether there is one process."""
        return self.count == 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.index == 0

    def describe(self) -> str:
        """How many there are, and what each has."""
        return f"{self.count} processes, each with {'a part of every weight' if self.in_step else 'a whole copy'}"

    def turns(self, groups: Sequence[EncodedGroup], token_budget: int) -> list[Turn]:
        """This process's micro-batches of these groups; every process has as many where they run in step."""
        own = shares(groups, token_budget, self.count)[self.index]
        if not self.in_step:
            return [Turn(members) for members in own if members]
        smallest = min(range(len(groups)), key=lambda index: groups[index].tokens, default=None)
        return [Turn(members or [smallest], bool(members)) for members in own if smallest is not None]

    def gather(self, own: T) -> list[T]:
        """What every process has, by process."""
        if self.alone:
            return [own]
        found: list[T | None] = [None] * self.count
        dist.all_gather_object(found, own)
        return found  # pyright: ignore[reportReturnType]  # every place is filled

    def from_first(self, work: Callable[[], T]) -> T:
        """Done by the first process; all have its result, or its error."""
        if self.alone:
            return work()
        told: list[tuple[T | None, PrefsmithError | None]] = [(None, None)]
        if self.is_first:
            try:
                told = [(work(), None)]
            except PrefsmithError as error:
                told = [(None, error)]
        dist.broadcast_object_list(told, src=0)
        value, error = told[0]
        if error is not None:
            raise error
        return value  # pyright: ignore[reportReturnType]

    def one_per_machine(self, work: Callable[[], T]) -> T | None:
        """Done by one process of every machine, which has the result, while the others wait; an error is everyone's."""
        if self.alone:
            return work()
        result: T | None = None
        error: PrefsmithError | None = None
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            try:
                result = work()
            except PrefsmithError as raised:
                error = raised
        if (raised := next((each for each in self.gather(error) if each is not None), None)) is not None:
            raise raised
        return result

    def total(self, own: float) -> float:
        """The sum of a number over processes that each have a part of it; of one that all have, the number."""
        if not self.in_step:
            return own
        return float(sum(self.gather(own)))

    def add_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Each weight's gradient becomes the sum over processes. Where weights are in parts, that was done already.

        A weight that has none in any process keeps none, so that the optimiser leaves it alone as it would with one.
        """
        if self.alone or self.in_step:
            return
        every = list(weights)
        reached = set().union(*self.gather({n for n, each in enumerate(every) if each.grad is not None}))
        weights = [every[n] for n in sorted(reached)]
        for bucket in _buckets(weights):
            if len(bucket) == 1 and bucket[0].is_contiguous():
                dist.all_reduce(bucket[0])
                continue
            flat = torch.cat([each.flatten() for each in bucket])
            dist.all_reduce(flat)
            for each, total in zip(bucket, flat.split([each.numel() for each in bucket]), strict=True):
                each.copy_(total.view_as(each))

    def require_same(self, facts: dict[str, object], where: str) -> None:
        """Refuse processes that do not train the same model on the same rows.

        Raises:
            ConfigError: a fact differs; it is named.
        """
        everyone = self.gather(facts)
        for key, value in everyone[0].items():
            other = next((rank for rank, theirs in enumerate(everyone) if theirs.get(key) != value), None)
            if other is not None:
                what = f"process {other} has another {key} than process 0"
                fix = "every machine needs the same files, the same settings and the same versions"
                raise ConfigError("run.ranks", what, where=where, fix=fix)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Whatever stops one process stops all, and each says why.

        Raises:
            TrainingError: another process has stopped or died.
        """
        try:
            yield
        except Interrupted:
            raise  # agreed upon
        except Exception as error:
            if self.alone:
                raise
            known = isinstance(error, PrefsmithError)
            if not known and (report := self._report()) is not None and report[0] != self.index:
                raise self._stopped(*report) from error
            if not known and isinstance(error, RuntimeError) and _is_about_others(error):
                raise _died(error) from error
            self._leave_word(error)
            raise

    def _leave_word(self, error: Exception) -> None:
        """The first to stop says why; others that stop for the same reason need not say it again."""
        if self.store is None:
            return
        words = str(error).strip() or type(error).__name__
        with suppress(RuntimeError):  # the store is gone with its machine: the error is said here
            found = self.store.compare_set(_REPORT, "", f"{self.index} {words}").decode()
            if isinstance(error, PrefsmithError):
                error.said_elsewhere = not found.startswith(f"{self.index} ") and found.partition(" ")[2] == words

    def _report(self) -> tuple[int, str] | None:
        """Which process stopped, and why; None if none left word, or what keeps it is gone."""
        if self.store is None:
            return None
        until = time.monotonic() + LAST_WORDS
        with suppress(RuntimeError):
            while time.monotonic() < until:
                if self.store.check([_REPORT]):
                    index, _, why = self.store.get(_REPORT).decode().partition(" ")
                    return int(index), why
                time.sleep(0.05)
        return None

    def _stopped(self, index: int, why: str) -> TrainingError:
        first = why.splitlines()[0]
        return TrainingError("train.rank", f"process {index} stopped, and the others with it: {first}")


ALONE = Ranks()


def _died(error: Exception) -> TrainingError:
    words = re.sub(r"\[\S+\.cc:\d+\] ", "", str(error).strip().splitlines()[0]).split(". ")[0]
    what = f"another process of the run has died ({words})"
    fix = "look at its last lines; every checkpoint is whole: go on with --resume, with as many processes as there are"
    return TrainingError("train.rank", what, fix=fix)


def _is_about_others(error: RuntimeError) -> bool:
    signs = ("peer", "Connection", "timed out", "Timeout", "timeout", "NCCL", "Gloo", "gloo", "Socket", "socket")
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in signs)


def _buckets(weights: Iterable[nn.Parameter]) -> Iterator[list[Tensor]]:
    """Gradients of one kind that go together; a weight without one here has one elsewhere, and gets zeros."""
    waiting: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        kind = (weight.grad.dtype, weight.grad.device)
        bucket = waiting.setdefault(kind, [])
        if bucket and sum(each.nbytes for each in bucket) + weight.grad.nbytes > BUCKET_BYTES:
            yield bucket
            bucket = waiting[kind] = []
        bucket.append(weight.grad)
    yield from (bucket for bucket in waiting.values() if bucket)


def on_this_machine() -> int:
    """How many processes of the run this machine has, as torchrun says."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def joined(*, in_step: bool = False, device: str = "auto") -> Iterator[Ranks]:
    """The processes that torchrun started, for as long as the context is open; one where it started none.

    A process group that is there already is used, and left as it is.

    Args:
        in_step: whether no process may run a model without the others.
        device: what the settings name; a GPU for each process unless it is `cpu`.

    Raises:
        ConfigError: the other processes do not come, or there are fewer GPUs.
        TrainingError: one of them has stopped or died.
    """
    if dist.is_initialized():
        ranks = Ranks(dist.get_rank(), dist.get_world_size(), in_step=in_step)
        with ranks.together():
            yield ranks
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    ranks = _join(in_step, on_gpus=device != "cpu" and torch.cuda.is_available())
    try:
        with ranks.together():
            yield ranks
    finally:
        dist.destroy_process_group()


def _join(in_step: bool, *, on_gpus: bool) -> Ranks:
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if on_gpus and local >= torch.cuda.device_count():
        what = f"there are {torch.cuda.device_count()} GPUs for process {local + 1} of this machine"
        raise ConfigError("run.ranks", what, where="--nproc-per-node", fix="at most one process per GPU")
    if on_gpus:
        torch.cuda.set_device(local)
    try:
        found, index, count = next(rendezvous("env://", timeout=PATIENCE))
        # A second run in the same processes must not meet the addresses of the first.
        store = PrefixStore(f"prefsmith/{next(_joins)}", found)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo", store=store, rank=index, world_size=count, timeout=PATIENCE
        )
    except (ValueError, RuntimeError) as error:
        what = f"the processes do not find each other: {str(error).strip().splitlines()[0]}"
        fix = "start them with torchrun, on every machine with the same --rdzv-endpoint"
        raise ConfigError("run.ranks", what, where="torchrun", fix=fix) from error
    return Ranks(index, count, in_step=in_step, store=store)
