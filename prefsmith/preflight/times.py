"""From operations to time: what every process of a step computes, at a rate that is stated or was measured here.

Operations are those of matrix products and of attention. What processes send each other is not in the time, nor are
evaluation, samples and checkpoints.
"""

import time
from dataclasses import dataclass

import torch

from prefsmith.model.precision import Precision
from prefsmith.preflight.forecast import Forecast, Job
from prefsmith.preflight.workload import Turn
from prefsmith.train.operations import Kind

SIDE = 2048
"""Rows and columns of the matrices whose product is timed."""
SECONDS = 0.5
"""For which it is."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds.

    Args:
        rate: operations a second of one process.
        step: a step's mean.
        epoch: of all steps of an epoch, be the run shorter or not; None where nobody knows how many there are.
        run: of all steps.
        reference_pass: over all rows, held out ones too, before the first step, where the reference is cached; None
            where it is unknown how many there are.
    """

    rate: float
    step: float
    epoch: float | None
    run: float | None
    reference_pass: float | None


@dataclass(frozen=True, slots=True)
class Count:
    """Operations.

    Args:
        step: of a step, of all processes together; a mean over steps.
        waited: of the process that has most in each micro-batch, by which the others wait.
        reference_pass: of all rows once, where the reference is cached; of a step's rows.
    """

    step: float
    waited: float
    reference_pass: float


def count(job: Job, forecast: Forecast) -> Count:
    """What the steps ask for, from what was counted of the largest micro-batch."""
    whole, looking = _each(job, forecast), _each_look(job, forecast)
    steps = forecast.spread.turns
    everyone = [turn for step in steps for turns in step for turn in turns]
    waited = sum(max(_of(turn, whole) for turn in turns) for step in steps for turns in step)
    return Count(
        step=sum(_of(turn, whole) for turn in everyone) / len(steps),
        waited=waited / len(steps),
        reference_pass=sum(_of(turn, looking) for turn in everyone) / len(steps)
        if job.config.reference.kind == "cached"
        else 0.0,
    )


def times(job: Job, forecast: Forecast, rate: float) -> Times:
    """Seconds at so many operations a second.

    Args:
        job: the run.
        forecast: of it.
        rate: operations a second of one process.
    """
    found, load = count(job, forecast), job.workload
    step = found.waited / rate
    run = None if load.count is None else load.count * step
    return Times(
        rate=rate,
        step=step,
        epoch=None if load.epoch is None else load.epoch * step,
        run=run,
        reference_pass=_pass(job, found, rate),
    )


def _pass(job: Job, found: Count, rate: float) -> float | None:
    """Over all rows, be the run shorter or not; those that are held out are taken to be like the others."""
    load = job.workload
    if job.config.reference.kind != "cached":
        return 0.0
    if load.epoch is None or not load.rows:
        return None
    return load.epoch * (1 + load.held_out / load.rows) * found.reference_pass / rate / job.gpus


def measured_rate(precision: Precision, device: torch.device) -> float:
    """Operations a second of a matrix product on this machine."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left = torch.randn(SIDE, SIDE, device=device, dtype=dtype)
    _ = left @ left
    _wait(device)
    started, rounds = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        _ = left @ left
        _wait(device)
        rounds += 1
    return rounds * 2.0 * SIDE**3 / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _each(job: Job, forecast: Forecast) -> dict[Kind, float]:
    """Operations of a token, a pair of tokens and a scored row; two passes score the step once more beforehand."""
    found = _by(forecast.turn, forecast.operations.all())
    if not job.objective.two_passes:
        return found
    looking = _each_look(job, forecast)
    return {kind: number + looking[kind] for kind, number in found.items()}


def _each_look(job: Job, forecast: Forecast) -> dict[Kind, float]:
    """The same of a forward alone. The head's forward holds its gradient, by the rows and where it is trained by it."""
    forward = dict(forecast.operations.forward)
    products = 1 if forecast.operations.backward.get("head") else 3 if job.config.adapter.kind == "none" else 2
    forward["head"] = forward.get("head", 0.0) / products
    return _by(forecast.turn, forward)


def _by(turn: Turn, operations: dict[Kind, float]) -> dict[Kind, float]:
    sizes: dict[Kind, float] = {"body": turn.tokens, "attention": turn.seen, "head": turn.scored}
    return {kind: operations.get(kind, 0.0) / size for kind, size in sizes.items()}


def _of(turn: Turn, each: dict[Kind, float]) -> float:
    return turn.tokens * each["body"] + turn.seen * each["attention"] + turn.scored * each["head"]
