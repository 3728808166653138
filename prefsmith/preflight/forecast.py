"""Memory and operations of one process of a run, before there is a machine to run it on.

    bytes(depth) = bytes(a) + (depth - a) / (b - a) x (bytes(b) - bytes(a))

at every moment of a pass, for two shallow models of a and b layers that have no numbers; the peak is the largest of
them. What is followed is the run's own code (`train/plan.py`). `preflight/memory.py` estimates for `prefsmith check`
what a model that is loaded takes on this machine; this is for models and machines that are elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from prefsmith.config import RunConfig
from prefsmith.data.pack import pack
from prefsmith.errors import ConfigError
from prefsmith.model import adapters
from prefsmith.model.attention import UnsupportedAttention
from prefsmith.model.ladder import likely_path
from prefsmith.model.numberless import on_no_device, placed
from prefsmith.model.score import Frozen, Scorer
from prefsmith.model.score import Path as Route
from prefsmith.model.shape import Shape
from prefsmith.preflight.workload import Spread, Turn, Workload, turn_of
from prefsmith.train.objective import Objective
from prefsmith.train.operations import Kind, Operations
from prefsmith.train.plan import Players, Process, Trace, trace


@dataclass(frozen=True, slots=True)
class Job:
    """A run and the processes that it is to have.

    Args:
        config: every setting; `train.token_budget` is a number.
        objective: the loss terms.
        shape: of the policy.
        reference: of a model that `reference.path` names; None where none is named.
        workload: the steps.
        gpus: processes, each with a GPU.
        on_gpu: False for a processor's ways, to compare with a run on one.
    """

    config: RunConfig
    objective: Objective
    shape: Shape
    reference: Shape | None
    workload: Workload
    gpus: int
    on_gpu: bool = True

    @property
    def in_parts(self) -> bool:
        """Whether each process keeps a part of every weight."""
        return self.gpus > 1 and self.config.train.parallel == "fsdp"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one process holds and computes.

    Args:
        parts: bytes of each part at the peak.
        moment: when that is, as `train/ledger.py` names it.
        peaks: the most at any moment of each phase, in bytes.
        path: how batches are run.
        turn: the largest micro-batch.
        operations: of it.
        spread: the steps over processes.
        depths: layers of the models that were followed.
    """

    parts: dict[str, int]
    moment: str
    peaks: dict[str, int]
    path: Route
    turn: Turn
    operations: Operations
    spread: Spread
    depths: tuple[int, ...]

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return sum(self.parts.values())


def forecast(job: Job, *, full_depth: bool = False) -> Forecast:
    """Follow two shallow models, and draw out what they do to the depth of the real one.

    Args:
        job: the run.
        full_depth: follow the model as it is instead.

    Raises:
        ConfigError: the model cannot be built or run, or the forecast does not know of a setting.
    """
    refuse_unknown(job.config)
    path, at_once = _path(job)
    try:
        return _forecast(job, path, at_once, full_depth)
    except UnsupportedAttention as error:
        what = f"the {path} path cannot run this model: {error}"
    except DataDependentOutputException:
        what = f"the {path} path reads numbers, and a forecast has none"
    fix = "prefsmith check estimates it where the model is"
    raise ConfigError("plan.model", what, where=job.shape.origin, fix=fix)


def refuse_unknown(config: RunConfig) -> None:
    """Settings of which a forecast would say what is not so.

    Raises:
        ConfigError: there is one.
    """
    if config.reference.kind == "ema":
        what = "a moving reference is not forecast: when and how it moves depends on the steps"
        fix = "plan with reference.kind=auto and allow for another 4 bytes a trained weight"
        raise ConfigError("plan.setting", what, where="reference.kind", fix=fix)
    if config.model.quantize != "none":
        what = "quantised weights are not forecast: bitsandbytes makes them from numbers"
        fix = "plan with model.quantize=none; the frozen weights then take an eighth (nf4) or a quarter (int8) of it"
        raise ConfigError("plan.setting", what, where="model.quantize", fix=fix)
    if config.train.token_budget == "auto":
        what = "train.token_budget=auto is found on the machine that trains"
        raise ConfigError("plan.setting", what, where="train.token_budget", fix="train.token_budget=8192, or another")


def _path(job: Job) -> tuple[Route, int | None]:
    model = on_no_device(lambda: job.shape.at(min(job.shape.depths)))
    return likely_path(model, wanted=job.config.model.attention, max_length=job.config.data.max_length)


def _forecast(job: Job, path: Route, at_once: int | None, full_depth: bool) -> Forecast:
    spread = job.workload.spread(job.config.train.budget, job.gpus, path)
    own, other = _depths(job.shape, full_depth), _depths(job.reference, full_depth)
    follow = partial(_followed, job, path, at_once, spread)
    near = follow(own[0], other[0])
    far = [(_steps(job.shape.depth, own), follow(own[-1], other[0]))] if len(own) > 1 else []
    if job.reference is not None and len(other) > 1:
        far.append((_steps(job.reference.depth, other), follow(own[0], other[-1])))
    peaks = _drawn_out(near, far)
    moment = max(peaks, key=lambda each: sum(peaks[each].values()))
    phases: dict[str, int] = {}
    for name, parts in peaks.items():
        phase = name.split()[0].rstrip(":")
        phases[phase] = max(phases.get(phase, 0), sum(parts.values()))
    return Forecast(
        parts=peaks[moment],
        moment=moment,
        peaks=phases,
        path=path,
        turn=turn_of(spread.largest, path),
        operations=_operations(near, far),
        spread=spread,
        depths=tuple(own),
    )


def _depths(shape: Shape | None, full_depth: bool) -> Sequence[int]:
    """Of the models to follow; a reference that is not there has none."""
    if shape is None:
        return (0,)
    return (shape.depth,) if full_depth else shape.depths


def _steps(depth: int, depths: Sequence[int]) -> float:
    return (depth - depths[0]) / (depths[1] - depths[0])


def _followed(job: Job, path: Route, at_once: int | None, spread: Spread, depth: int, other: int) -> Trace:
    batch = pack(spread.largest, mismatched=False)
    process = Process(job.gpus, job.in_parts, job.on_gpu)
    make = partial(_players, job, path, at_once, depth, other)
    return trace(make, batch, job.objective.asked, process, first=spread.first)


def _players(job: Job, path: Route, at_once: int | None, depth: int, other: int) -> Players:
    config = job.config

    def scorer(shape: Shape, layers: int, *, trained: bool) -> Scorer:
        model = placed(on_no_device(partial(_built, job, shape, layers)))
        if not trained:
            model.requires_grad_(False)
        again = trained and config.train.activation_checkpointing
        # The kernel for many lengths reads them, which a forecast does not have; SDPA keeps as much.
        precision = config.train.precision
        return Scorer(model.eval(), path, rows_at_once=at_once, recompute=again, precision=precision, varlen=False)

    policy = scorer(job.shape, depth, trained=True)
    for module in adapters.dropout_modules(policy.model):
        module.train()
    if not job.objective.needs_reference or config.reference.kind == "cached":
        return Players(policy, None)
    if job.reference is not None:
        return Players(policy, Frozen(scorer(job.reference, other, trained=False)))
    if config.adapter.kind != "none" and config.reference.kind != "frozen":
        return Players(policy, Frozen(policy, partial(adapters.adapter_off, policy.model)))
    return Players(policy, Frozen(scorer(job.shape, depth, trained=False)))


def _built(job: Job, shape: Shape, layers: int) -> nn.Module:
    model, adapter = shape.at(layers), job.config.adapter
    if shape is job.shape and adapter.kind != "none":
        # However an adapter begins, its numbers are as many.
        return adapters.attach(model, adapter.model_copy(update={"init": "default"}), seed=0)
    return model.requires_grad_(True)


def _drawn_out(near: Trace, far: Sequence[tuple[float, Trace]]) -> dict[str, dict[str, int]]:
    """Bytes of each part at each moment that all have, at the real depth."""
    moments = [each for each in near.peaks if all(each in other.peaks for _, other in far)]
    return {
        each: {
            part: round(size + sum(steps * (other.peaks[each][part] - size) for steps, other in far))
            for part, size in near.peaks[each].items()
        }
        for each in moments
    }


def _operations(near: Trace, far: Sequence[tuple[float, Trace]]) -> Operations:
    def drawn(of: Callable[[Operations], Mapping[Kind, float]]) -> dict[Kind, float]:
        here = of(near.operations)
        return {
            kind: number + sum(steps * (of(other.operations).get(kind, 0.0) - number) for steps, other in far)
            for kind, number in here.items()
        }

    return Operations(drawn(lambda o: o.forward), drawn(lambda o: o.backward), drawn(lambda o: o.reference))
