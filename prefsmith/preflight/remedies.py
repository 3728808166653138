"""What to change where a run does not fit: the cheapest first, each forecast anew, so that what is said is true."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from prefsmith.preflight.forecast import Forecast, Job, forecast

SHARE = 0.9
"""Of a GPU's memory, so much is planned with: CUDA itself, buffers of NCCL and what its allocator cannot use again take
some, and are not forecast."""
STANDING = ("parameters", "gradients", "optimizer", "reference")
"""Parts that no change of micro-batches makes smaller."""
MOST_DOUBLINGS = 10
STEP = 64


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change, on top of those before it.

    Args:
        change: as it is typed: settings, or `--gpus N`.
        costs: what it costs, in words.
        total: bytes of a process with it and all before it.
        fits: whether that fits.
    """

    change: str
    costs: str
    total: int
    fits: bool


@dataclass(frozen=True, slots=True)
class _Change:
    typed: str
    costs: str
    job: Job


def fits(total: int, memory: int) -> bool:
    """Whether so many bytes of tensors can be had on a GPU of so many."""
    return total <= SHARE * memory


def remedies(job: Job, now: Forecast, memory: int, *, tell: Callable[[str], None] = lambda _: None) -> list[Remedy]:
    """Changes that together make the run fit, or as much as there is.

    Those that touch micro-batches alone come first, unless what stands whatever the micro-batch is too much already.

    Args:
        job: that does not fit.
        now: the forecast of it.
        memory: bytes of a GPU.
        tell: is given a few words on what is tried.
    """
    found: list[Remedy] = []
    for kind in _order(job, now, memory):
        for change in kind(job, now, memory):
            tell(f"trying {change.typed}")
            then = forecast(change.job)
            enough = fits(then.total, memory)
            if then.total < now.total:
                if found and found[-1].change.partition("=")[0] == change.typed.partition("=")[0]:
                    found.pop()  # the next of the same kind takes its place
                found.append(Remedy(change.typed, change.costs, then.total, enough))
                job, now = change.job, then
            if enough:
                return found
    return found


_Kind = Callable[[Job, Forecast, int], Iterator[_Change]]


def _order(job: Job, now: Forecast, memory: int) -> list[_Kind]:
    standing = sum(now.parts[part] for part in STANDING)
    if fits(standing, memory):
        return [_smaller, _again, _low, _reference, _adapter, _parts, _more]
    return [_reference, _adapter, _parts, _again, _low, _smaller, _more]


def _smaller(job: Job, now: Forecast, _memory: int) -> Iterator[_Change]:
    """Halves, down to the longest row; every one below what the largest micro-batch has anyway."""
    least = job.workload.longest
    budget = min(job.config.train.budget, sum(group.tokens for group in now.spread.largest))
    while budget > least:
        budget = max(least, budget // 2 // STEP * STEP)
        costs = "time: smaller products, and more of them"
        yield _Change(f"train.token_budget={budget}", costs, _with(job, "train", token_budget=budget))


def _again(job: Job, _now: Forecast, _memory: int) -> Iterator[_Change]:
    if not job.config.train.activation_checkpointing:
        changed = _with(job, "train", activation_checkpointing=True)
        yield _Change("train.activation_checkpointing=true", "time: every layer is run once more", changed)


def _low(job: Job, _now: Forecast, _memory: int) -> Iterator[_Change]:
    if job.config.train.precision == "fp32":
        changed = _with(job, "train", precision="bf16")
        yield _Change("train.precision=bf16", "digits: products are rounded; it is also faster", changed)


def _reference(job: Job, _now: Forecast, _memory: int) -> Iterator[_Change]:
    """A reference that is a model of its own while training goes on."""
    asked = job.objective.needs_reference and not job.objective.asked.kl and not job.objective.mismatched
    shared = job.config.adapter.kind != "none" and job.config.reference.kind in ("auto", "adapter_off")
    if asked and job.config.reference.kind != "cached" and (job.reference is not None or not shared):
        costs = "nothing but a pass over the rows before the first step"
        yield _Change("reference.kind=cached", costs, _with(job, "reference", kind="cached"))


def _adapter(job: Job, _now: Forecast, _memory: int) -> Iterator[_Change]:
    if job.config.adapter.kind == "none":
        config = job.config.model_copy(
            update={
                "adapter": job.config.adapter.model_copy(update={"kind": "lora"}),
                "optim": job.config.optim.model_copy(update={"learning_rate": None}),
            }
        )
        yield _Change("adapter.kind=lora", "another model: a low-rank update is trained", replace(job, config=config))


def _parts(job: Job, _now: Forecast, _memory: int) -> Iterator[_Change]:
    if job.gpus > 1 and not job.in_parts:
        costs = "time: weights travel between processes"
        yield _Change("train.parallel=fsdp", costs, _with(job, "train", parallel="fsdp"))


def _more(job: Job, _now: Forecast, _memory: int) -> Iterator[_Change]:
    gpus = job.gpus
    for _ in range(MOST_DOUBLINGS):
        gpus *= 2
        changed = replace(_with(job, "train", parallel="fsdp"), gpus=gpus)
        typed = f"--gpus={gpus}" + ("" if job.in_parts else " train.parallel=fsdp")
        yield _Change(typed, "machines", changed)


def _with(job: Job, section: str, **values: Any) -> Job:  # noqa: ANN401
    changed = getattr(job.config, section).model_copy(update=values)
    return replace(job, config=job.config.model_copy(update={section: changed}))
