"""docs/speed.md, written whole from what was recorded."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import tables
from .arms import BASELINES
from .model import SMALL
from .record import Records, Where, everywhere
from .regimes import REGIMES
from .texts import ROOT

PAGE = ROOT / "docs" / "speed.md"
WIDTH = 120

INTRODUCTION = """
How many times faster prefsmith trains than TRL on the same model, the same pairs and with the same optimiser steps.
`make bench` measures it and writes this page; every number here is from that command.
"""
MODEL = f"""
The model is Qwen2-shaped: {SMALL.layers} layers of width {SMALL.hidden} (MLP {SMALL.wide}, {SMALL.heads} heads,
{SMALL.key_heads} for keys), tied
embeddings, random weights, float32; all weights are trained, or a LoRA adapter of rank 16 on every linear layer. The
vocabulary is 4,096 where nothing else is said, so that the head has about the share of the work that it has in a large
model. Tokens are random, of the lengths that the row names: log-normal around prompt + completion, or real.
"""
RIVALS = """
- **TRL**: its defaults. The reference is run in every step, activations are checkpointed. Against `prefsmith`, which
  runs the reference in every step too, without checkpointing.
- **TRL cached**: the reference's log-probabilities known beforehand, no checkpointing. This and the two that follow are
  against `prefsmith cached`.
- **TRL sorted**: that, in batches of pairs of about the same length.
- **padded loop**: what a careful person writes without either: those batches, an ordinary model of transformers,
  reference known, the head on the completions' rows only, plain operations of PyTorch.
"""
FAIRNESS = """
On a CPU, TRL computes the logits of every padded row; on a GPU of the completions' rows only. Here it is made to do
what it does on a GPU. What precedes training (tokenising, the reference's pass) is only in the numbers of whole runs.
`prefsmith cached` is `reference.kind=cached`.
"""
TIMES = """
One thread each; CPU time of the process. The two sides are two processes, alternated batch by batch, so that whatever
else the machine does meets both. A ratio is taken in every round (a pass over the sample); shown is the median, with
the least and the largest. Absolute times depend on the machine and on the hour; ratios do less.
"""
SHARE = """
**Share of GEMM rate**: the operations that a step needs at least (every prompt once, exact causal attention, the head
on the completions' rows; forward and backward) over what the model's matrix products alone would do in `prefsmith
cached`'s time. The rate of those products is measured after every round.
"""
SAMPLES = """
A sample has a window of neighbours from every stratum of its population, ordered by length; places and shuffle are
searched for until unique tokens, scored tokens and padding are those of the population. Padding is the tokens of padded
batches over unique tokens (every prompt once).
"""
MEMORY = """
The most memory that a step takes above what is there between steps (weights, reference, optimiser), gradients included,
on the arm's largest batch. prefsmith takes micro-batches of 1,024 tokens or of its longest row, its default on a CPU.
The last three are prefsmith too, measured for their memory alone: `train.activation_checkpointing`, with the reference
in every step, and steps at once (`train.token_budget=8192`, more than a step has here). TRL's defaults checkpoint
activations as well.
"""
SAME = """
Loss and norm of the gradient on the same two pairs before the first step, in float64 (the weights are the same float32
numbers), and how far each arm is from them, relatively. `prefsmith` differs from `prefsmith cached` in nothing here.
TRL adds up log-probabilities in float32, prefsmith in float64.
"""
WHOLE = """
From the start of the program to its end: imports, reading, tokenising ({vocabulary:,} entries, trained on film
reviews), reference, {steps} steps of {batch} pairs of hh_harmless, the saved model, and prefsmith's checkpoint and
report. `prefsmith train` without further settings runs the reference in every step, `reference.kind=cached` scores all
rows beforehand; in one epoch a reference scores every row once either way. TRL is told how long its rows are where it
sorts: it does not look itself. One run each where no spread is shown.
"""
OTHERS = """
The same command, samples and versions. Where matrix products are fast, what lies between them weighs more, in both
programs, and ratios are other ones.
"""
UNKNOWN = """
Not measured on a GPU. There, with `train.precision=bf16`, attention over a forest is one call of PyTorch's kernel for
sequences of many lengths where the check at the start of a run finds it right, and SDPA where it does not;
`make bench-gpu` holds that beside TRL on models of 1 to 8 billion weights. What was seen on a CPU is that its layout
gives the forest's numbers with a plain loop in the kernel's place.
"""


def render(every: Sequence[Records]) -> str:
    """The page: whole for the first kind of processor, ratios for the others."""
    records, *others = every or [Records()]
    regimes = records.regimes
    parts = ["# Speed", _filled(INTRODUCTION)]
    if regimes:
        parts += ["## Times faster", tables.ratios(regimes), _filled(MODEL), RIVALS.strip()]
        parts += [_filled(FAIRNESS), _filled(TIMES), _filled(SHARE)]
    if records.whole is not None:
        runs = records.whole
        parts += ["## Whole runs", tables.whole(runs)]
        words = WHOLE.format(vocabulary=runs.vocabulary, steps=runs.pairs // runs.batch, batch=runs.batch)
        parts += [_filled(words), _filled(_measured_on([runs.where]))]
    if others:
        parts += ["## On other processors", _filled(OTHERS)]
    for each in others:
        parts += [_filled(_measured_on(each.places))]
        parts += [tables.ratios(each.regimes)] * bool(each.regimes)
        parts += [tables.whole(each.whole)] if each.whole else []
        parts += [tables.seconds(each.regimes)] * bool(each.regimes)
    if regimes:
        parts += ["## Time", tables.seconds(regimes), "## Memory", tables.peaks(regimes), _filled(MEMORY)]
        parts += ["## Samples", tables.samples(regimes), _filled(SAMPLES)]
        parts += ["## Do they compute the same?", tables.agreement(regimes), _filled(SAME)]
    parts += [
        "## Where and with what",
        _filled(_measured_on(each.where for each in regimes.values())),
        _filled(UNKNOWN),
    ]
    parts += ["## Again", AGAIN.strip(), _filled(_missing(records))]
    return "\n\n".join(part for part in parts if part) + "\n"


AGAIN = """
| command | what it does |
|---|---|
| `make bench-quick` | the first row on a smaller sample; writes nothing |
| `make bench` | the first six rows and whole runs, and this page, in an hour; sets up TRL's environment first |
| `make bench ARGS="--only chat hh"` | these rows; the others stay as they were recorded |
| `make bench-full` | every row on twice as many pairs, in five rounds; needs several hours |
| `make bench-gate` | measures the first row again, and fails where a ratio is under 0.85 of this processor's record |
| `make bench-gpu` | the same arms on a CUDA device in bfloat16; writes `build/bench/gpu.json` and not this page |
"""


def headline(every: Sequence[Records], key: str = "chat") -> str:
    """What the README says of the first row: from the least to the largest of the processors' medians."""
    measured = [records.regimes[key] for records in every if key in records.regimes]
    plain, cached, by_length = (
        _from_to(sorted(f"{each.ratio(arm).median:.1f}" for each in measured)) for arm in list(BASELINES)[:3]
    )
    return (
        f"On one thread of a CPU, TRL takes {plain} times as long on pairs of chat length with its defaults, {cached} "
        f"times with its reference cached and no checkpointing, and {by_length} times with batches sorted by length too"
    )


def _from_to(values: Sequence[str]) -> str:
    return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def _missing(records: Records) -> str:
    """Which rows there could be that are not here."""
    missing = [key for key in REGIMES if key not in records.regimes] + (["whole"] if records.whole is None else [])
    if not missing:
        return ""
    return f'Not measured yet: {", ".join(missing)}. `make bench ARGS="--only {" ".join(missing)}"` adds them.'


def _measured_on(places: Iterable[Where]) -> str:
    """Every machine, with its dates and versions."""
    found: dict[tuple[str, str], set[str]] = {}
    for each in places:
        versions = ", ".join(f"{name} {number}" for name, number in sorted(each.versions.items()))
        found.setdefault((each.machine, versions), set()).add(each.date)
    return " ".join(
        f"On {' and '.join(sorted(dates))}: {machine}; {versions}." for (machine, versions), dates in found.items()
    )


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def write(path: Path = PAGE) -> None:
    """Write the page of all that is recorded."""
    path.write_text(render(everywhere()), encoding="utf-8")
