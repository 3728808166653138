"""A plan as text for a terminal."""

from typing import TYPE_CHECKING

from prefsmith.cli.phrases import duration_words
from prefsmith.cli.sheet import Marks, Sheet
from prefsmith.wording import counted

if TYPE_CHECKING:
    from prefsmith.preflight.plan import Plan

PARTS = {
    "parameters": "parameters",
    "gradients": "gradients",
    "optimizer": "AdamW",
    "activations": "activations",
    "head": "head",
    "reference": "reference",
    "gathered": "gathered",
}
MEANT = {
    "parameters": "weights and buffers of the policy, float32",
    "gradients": "of what is trained",
    "optimizer": "its two averages, and what its step makes",
    "activations": "kept for backward, and made in it",
    "head": "logits, and the gradient by hidden rows",
    "reference": "a model of its own, or what its pass makes",
    "gathered": "whole weights and gradients of what is being run, and what travels",
}
PHASES = {
    "reference": "the reference's pass",
    "body": "the forward",
    "head": "the head and its gradient",
    "backward": "the backward",
    "step": "AdamW's step",
}


def sheet_of(plan: "Plan", *, width: int, marks: Marks) -> Sheet:
    """What the run is, what a process holds, how long it takes, what to change.

    Args:
        plan: what was found.
        width: cells of a line.
        marks: signs with a meaning.
    """
    sheet = Sheet(width, marks)
    for section in (_run, _memory, _time, _verdict):
        section(sheet, plan)
    return sheet


def _run(sheet: Sheet, plan: "Plan") -> None:
    job, found = plan.job, plan.forecast
    config = job.config
    sheet.head("Run")
    adapter = "all weights" if config.adapter.kind == "none" else config.adapter.describe()
    sheet.pair("model", f"{job.shape.origin}: {counted(job.shape.depth, 'layer')}; {adapter} trained")
    again = "layers run again in backward" if config.train.activation_checkpointing else "activations kept"
    sheet.more(f"{config.train.precision} products, {again}, {found.path} path")
    sheet.pair("rows", job.workload.words)
    how = {False: "each with whole weights (ddp)", True: "each with a part of every weight (fsdp)"}[job.in_parts]
    where = f" on {counted(plan.asked.nodes, 'machine')}" if plan.asked.nodes > 1 else ""
    sheet.pair("processes", f"{counted(job.gpus, 'GPU')}{where}" + (f", {how}" if job.gpus > 1 else ""))
    if found.spread.idle:
        sheet.more(
            f"{counted(found.spread.idle, 'process')[:-1] + 'es' if found.spread.idle > 1 else '1 process'} of a step "
            f"have no rows: train.pairs_per_step={config.train.pairs_per_step} is few"
        )
    turn = found.turn
    sheet.pair("micro-batch", f"at most {turn.tokens:,} tokens, of which {turn.scored:,} are scored")


def _memory(sheet: Sheet, plan: "Plan") -> None:
    found = plan.forecast
    sheet.head("Memory of a GPU, GB")
    rows = [("", "", "")]
    rows += [
        (name, _gigabytes(found.parts[part]), MEANT[part]) for part, name in PARTS.items() if found.parts.get(part)
    ]
    rows.append(("in all", _gigabytes(found.total), f"at the peak, in {_phase(found.moment)}"))
    names, numbers = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    for name, number, meant in rows[1:]:
        sheet.put(f"{name.ljust(names)}  {number.rjust(numbers)}  {meant}", hang=names + numbers + 4)
    others = ", ".join(
        f"{PHASES[phase]} {_gigabytes(size)}"
        for phase, size in found.peaks.items()
        if phase in PHASES and phase != _phase_key(found.moment)
    )
    sheet.put(f"peaks elsewhere: {others}", hang=2)
    depths = " and ".join(map(str, found.depths))
    if found.depths == (job_depth := plan.job.shape.depth,):
        sheet.put(f"followed at its full depth of {job_depth} layers", hang=2)
    else:
        sheet.put(f"followed at {depths} layers, and drawn out to {plan.job.shape.depth}", hang=2)


def _time(sheet: Sheet, plan: "Plan") -> None:
    sheet.head("Time")
    count, load = plan.count, plan.job.workload
    sheet.pair("work", f"{count.step:.3g} operations a step of {plan.job.config.train.pairs_per_step} {load.labels}")
    times = plan.times
    if times is None:
        sheet.more("how long that takes is told with --rate")
        return
    stated = "as measured here" if plan.asked.rate == "here" else "as stated"
    sheet.pair("rate", f"{times.rate / 1e12:.3g} TFLOPS a GPU, {stated}; what travels between GPUs is not in the time")
    sheet.pair("step", f"{times.step:.3g} s")
    if times.epoch is None or times.run is None:
        sheet.pair("epoch", "how long is told with --pairs, or where the rows are")
        return
    steps = counted(load.count or 0, "step")
    sheet.pair("epoch", f"about {duration_words(times.epoch)}; {steps} in all, about {duration_words(times.run)}")
    if times.reference_pass:
        sheet.more(f"before it the reference's scores, about {duration_words(times.reference_pass)}")


def _verdict(sheet: Sheet, plan: "Plan") -> None:
    memory, total = plan.asked.memory, plan.forecast.total
    from prefsmith.preflight.remedies import SHARE

    if memory is None:
        sheet.head(f"It needs GPUs of {_gigabytes(round(total / SHARE))} GB or more")
        sheet.put(_kept_back())
        return
    usable = f"{_gigabytes(round(SHARE * memory))} of {_gigabytes(memory)} GB"
    if plan.fits:
        sheet.head(f"It fits: {_gigabytes(total)} GB of tensors where {usable} may be used")
        sheet.put(_kept_back())
        return
    sheet.head(f"It does not fit: {_gigabytes(total)} GB of tensors where {usable} may be used")
    sheet.put(_kept_back())
    if not plan.remedies:
        sheet.put("nothing that prefsmith knows of makes it smaller")
        return
    sheet.head("What to change, one on top of the other")
    for remedy in plan.remedies:
        verdict = "it fits" if remedy.fits else "not yet"
        sheet.put(f"{remedy.change}: {_gigabytes(remedy.total)} GB, {verdict}", hang=2)
        sheet.put(f"costs {remedy.costs}", indent=4, hang=2)
    if not plan.remedies[-1].fits:
        sheet.put("that is all there is: it still does not fit", hang=2)


def _kept_back() -> str:
    return "A tenth is left to CUDA itself, buffers of NCCL and what the allocator cannot use again: not forecast."


def _phase_key(moment: str) -> str:
    return moment.split()[0].rstrip(":")


def _phase(moment: str) -> str:
    return PHASES.get(_phase_key(moment), moment)


def _gigabytes(size: int) -> str:
    """GB as memory is sold in: 10^9 bytes."""
    return f"{size / 1e9:,.2f}"
