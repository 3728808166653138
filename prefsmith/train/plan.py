"""What one process of a run holds and computes, seen on a model without numbers.

The run's own code is run: the pass of `Scorer`, reference and checkpointing included, AdamW's step, and where weights
are kept in parts PyTorch's `fully_shard` in a process group that has no other processes. PyTorch's memory trackers
count the bytes of every tensor as long as it is there.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.testing._internal.distributed.fake_pg import FakeStore

from prefsmith.config import OptimConfig
from prefsmith.errors import ConfigError
from prefsmith.model.body import body_of
from prefsmith.model.numberless import numberless
from prefsmith.model.score import Asked, Frozen, Scorer
from prefsmith.model.whole import Whole
from prefsmith.train.ledger import Ledger, Moment, PartsLedger
from prefsmith.train.operations import Operations
from prefsmith.train.optim import Optimizer
from prefsmith.train.parallel import Ranks
from prefsmith.train.peak import ones
from prefsmith.train.sharding import mesh_of, shard
from prefsmith.types import Batch

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Players:
    """Who takes part in a pass.

    Args:
        policy: runs a model without numbers.
        reference: likewise; None where none is asked while training goes on.
    """

    policy: Scorer
    reference: Frozen | None


@dataclass(frozen=True, slots=True)
class Process:
    """How a process of the run is to be.

    Args:
        count: of processes.
        in_parts: whether each keeps a part of every weight.
        on_gpu: whether it computes on a GPU.
    """

    count: int
    in_parts: bool
    on_gpu: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """What was seen of a process.

    Args:
        peaks: at each moment, when most is there, the bytes of every part.
        operations: of the micro-batch.
    """

    peaks: dict[Moment, dict[str, int]]
    operations: Operations


def trace(make: Callable[[], Players], batch: Batch, asked: Asked, process: Process, *, first: bool) -> Trace:
    """Follow the last micro-batch of a step, and the step itself.

    Args:
        make: builds the models; called where nothing has numbers.
        batch: the micro-batch.
        asked: what the loss needs beside log-probabilities.
        process: how it is to be.
        first: whether the step has no micro-batch before it, whose gradients would be there.

    Raises:
        ConfigError: this is a process of a run.
    """
    with _world(process) as mesh, numberless(as_on_a_gpu=process.on_gpu):
        players = make()
        _place(players, mesh)
        policy = players.policy
        optimizer = Optimizer(policy.model, OptimConfig(), peak=1e-6, steps=1)
        if process.on_gpu:  # what PyTorch chooses there: many weights at a time
            for group in optimizer.adamw.param_groups:
                group |= {"foreach": True, "fused": None}
        _make_gradients(optimizer)
        _step(optimizer)  # from here on its averages are there
        if not first:
            _make_gradients(optimizer)
        ledger = _ledger(players, optimizer, process)
        with ledger, ledger.watching(body_of(policy.causal)):
            _pass(players, batch, asked, ledger.enter)
            ledger.enter("step")
            _step(optimizer)
    return Trace(ledger.peaks, ledger.counted.operations())


def refuse_processes() -> None:
    """A forecast makes a process group of its own, which must not be taken for a run's.

    Raises:
        ConfigError: torchrun has started this process, or there is a process group.
    """
    if dist.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        what = "this is one of several processes, and a forecast is made by one for all of them"
        raise ConfigError("plan.processes", what, where="torchrun", fix="run prefsmith plan by itself")


@contextmanager
def _world(process: Process) -> Iterator[DeviceMesh | None]:
    """Processes of which the others are not there; None where each has whole weights."""
    refuse_processes()
    if not process.in_parts:
        yield None
        return
    excepthook = sys.excepthook  # which a process group wraps in its own
    dist.init_process_group("fake", rank=0, world_size=process.count, store=FakeStore())
    try:
        yield mesh_of(Ranks(0, process.count, in_step=True), _CPU)
    finally:
        dist.destroy_process_group()
        sys.excepthook = excepthook


def _place(players: Players, mesh: DeviceMesh | None) -> None:
    """Each model's weights are where they are in the run: in parts, or whole."""
    scorers = [players.policy, *([each] if (each := _own(players)) is not None else [])]
    for scorer in scorers:
        if mesh is None:
            scorer.whole = Whole(scorer.model)
        else:
            shard(scorer, mesh)


def _own(players: Players) -> Scorer | None:
    """The reference's model, where it is another than the policy's."""
    reference = players.reference
    return None if reference is None or reference.scorer is players.policy else reference.scorer


def _ledger(players: Players, optimizer: Optimizer, process: Process) -> Ledger:
    whole = players.policy.whole
    assert whole is not None  # _place has set it
    ledger = PartsLedger(whole, optimizer.adamw) if process.in_parts else Ledger()
    ledger.keep(players.policy, _own(players))
    if not process.in_parts:
        ledger.track_external(whole, optimizer.adamw)
    return ledger


def _pass(players: Players, batch: Batch, asked: Asked, enter: Callable[[str], None]) -> None:
    """The reference's scores, then the policy's and the gradient, as in a step."""
    if players.reference is not None and not asked.kl:
        enter("reference")
        players.reference.token_nats(batch)
    enter("body")
    players.policy.accumulate(batch, ones, asked, players.reference if asked.kl else None)


def _make_gradients(optimizer: Optimizer) -> None:
    for weight in optimizer.weights.values():
        weight.grad = torch.zeros_like(weight)


def _step(optimizer: Optimizer) -> None:
    optimizer.adamw.step()
    optimizer.adamw.zero_grad(set_to_none=True)
