"""prefsmith beside TRL on a GPU, in bfloat16: the regimes of `speed` on models of 1 to 8 billion weights.

    cd bench && ../.venv/bin/python gpu.py [--shape 1b 3b 8b] [--only chat long] [--rounds 3] [--out FILE]

Weights are random and made on the device, float32 on both sides, with products in bfloat16; 1b and 3b are trained
whole, 8b under LoRA. The two sides take turns on the GPU, a process each time, so that neither has to share its memory;
in every turn each arm makes a step that is not timed and then a pass over the sample. Seconds are those between two
CUDA events, memory is what PyTorch's allocator gave away. An arm whose memory runs out is shown as that. Tables for
each shape are printed, and everything is written as JSON.

Without a CUDA device it ends with status 2. `--device cpu --shape tiny` runs the same code on a processor, to see that
it works: its numbers mean nothing.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from speed.arms import ARMS, MEMORY, Arm, Side
from speed.driver import PYTHON, SAME, Process
from speed.lengths import Drawn
from speed.machine import where
from speed.model import Place, Shape, ids_of
from speed.record import Spread, Where
from speed.regimes import DRAWN, REGIMES, Regime
from speed.sample import Sample, draw
from speed.tables import spread, table
from speed.texts import KEPT, ROOT
from speed.work import least_operations


@dataclass(frozen=True, slots=True)
class Model:
    """A shape with its vocabulary, and whether an adapter is trained instead of all weights."""

    shape: Shape
    vocabulary: int
    adapter: bool


MODELS = {
    "1b": Model(Shape(2048, 8192, 16, 32, 8), 128_256, adapter=False),
    "3b": Model(Shape(3072, 8192, 28, 24, 8), 128_256, adapter=False),
    "8b": Model(Shape(4096, 14336, 32, 32, 8, tied=False), 128_256, adapter=True),
    "tiny": Model(Shape(32, 64, 2, 4, 2), 64, adapter=False),
}
"""Of the sizes of Llama 3's, in Qwen2's form; `tiny` is for a look at the program itself."""
LONG_ENOUGH = ("1b", "3b", "8b")
SHORT = Drawn((6, 0.3), (8, 0.3))
"""Lengths for `tiny`."""


@dataclass(slots=True)
class Found:
    """A regime on a shape, measured.

    Args:
        title: of the regime.
        batch: pairs of a step.
        padding: of the sample, shuffled and sorted.
        operations: the least that a pair needs, by arm of prefsmith.
        seconds: a pair, by arm, one for each round; None where memory ran out.
        rate: operations a second of the model's matrix products, one for each round.
        peak: bytes above weights, reference and optimiser, by arm; None where memory ran out.
        loss: of the same small batch before the first step, by arm; None where memory ran out.
        norm: of its gradient, by arm.
        where: machine and versions.
    """

    title: str
    batch: int
    padding: tuple[float, float]
    operations: dict[str, float]
    seconds: dict[str, list[float | None]] = field(default_factory=dict)
    rate: list[float] = field(default_factory=list)
    peak: dict[str, int | None] = field(default_factory=dict)
    loss: dict[str, float | None] = field(default_factory=dict)
    norm: dict[str, float | None] = field(default_factory=dict)
    where: Where | None = None

    def median(self, arm: str) -> float | None:
        """Seconds a pair; none where a round has none, or the arm was not run."""
        taken = self.seconds.get(arm) or [None]
        whole = [each for each in taken if each is not None]
        return statistics.median(whole) if len(whole) == len(taken) else None

    def ratio(self, arm: Arm) -> Spread | None:
        """How many times an arm's seconds are those of its rival of prefsmith, round by round."""
        rival = arm.rival or ""
        if self.median(arm.key) is None or self.median(rival) is None:
            return None
        turns = zip(self.seconds[arm.key], self.seconds[rival], strict=True)
        return Spread.of([theirs / ours for theirs, ours in turns if theirs is not None and ours is not None])

    def share(self, arm: str) -> float | None:
        """The part of the rate of matrix products that an arm turns into operations that are needed."""
        median = self.median(arm)
        return None if median is None else self.operations[arm] / median / statistics.median(self.rate)


@contextmanager
def turn(side: Side, regime: Regime, model: Model, device: str, sample: Sample) -> Iterator[tuple[Process, dict]]:
    """One side's process with its model on the device, and what it tells of itself; it ends with the context."""
    process = Process(side)
    place = Place(model.shape, "cuda" if device == "cuda" else "cpu", "bf16", one_model=True)
    ids = ids_of(sample.pairs, model.vocabulary)
    try:
        told = process.ask("load", vocabulary=model.vocabulary, adapter=model.adapter, pairs=ids, place=asdict(place))
        yield process, told
    finally:
        process.close()


def measure(regime: Regime, model: Model, device: str, rounds: int, sides: Sequence[Side]) -> Found:
    """Every arm of the sides on one regime's sample, the sides in turns."""
    population = (SHORT if model is MODELS["tiny"] else DRAWN[regime.lengths]).population()
    sample = draw(population, regime.pairs if model is not MODELS["tiny"] else 2 * regime.batch, regime.batch)
    found = Found(
        regime.title,
        regime.batch,
        (sample.padding.shuffled, sample.padding.sorted),
        {arm: operations(sample, model, arm) for arm in ("each-step", "cached")},
    )
    told: dict[Side, dict[str, str]] = {}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else tuple(reversed(sides)):
            with turn(side, regime, model, device, sample) as (process, told[side]):
                take(process, side, sample, found, model, first=number == 0)
            say(f"  {regime.key}, round {number + 1}, {side}")
    found.where = where(told.get("ours", {}), told.get("theirs", {}))
    return found


def take(process: Process, side: Side, sample: Sample, found: Found, model: Model, *, first: bool) -> None:
    """One side's turn; in the first also what is asked once."""
    arms = {key: arm for key, arm in ARMS.items() if arm.side == side}
    some = [index for batch in sample.shuffled for index in batch][:SAME]
    if first:
        for key in arms:
            same = process.ask("compare", arm=key, batch=some)
            found.loss[key], found.norm[key] = same["loss"], same["norm"]
    for key, arm in arms.items():
        batches = sample.sorted if arm.sorted else sample.shuffled
        largest = max(batches, key=lambda batch: max(sample.pairs[index].longest for index in batch))
        taken: list[float | None] = [process.ask("step", arm=key, batch=largest)["seconds"]]
        if taken[0] is not None:
            taken = [process.ask("step", arm=key, batch=batch)["seconds"] for batch in batches]
        whole = [each for each in taken if each is not None]
        kept = found.seconds.setdefault(key, [])
        kept.append(sum(whole) / len(sample.pairs) if len(whole) == len(taken) else None)
    if side == "ours":
        steps = len(sample.shuffled)
        tokens, rows = (
            sum(each.unique for each in sample.pairs),
            sum(each.chosen + each.rejected for each in sample.pairs),
        )
        rate = process.ask("rate", tokens=tokens // steps, rows=rows // steps, vocabulary=model.vocabulary)
        found.rate.append(rate["rate"])
    if first:
        for key, arm in (arms | (MEMORY if side == "ours" else {})).items():
            batches = sample.sorted if arm.sorted else sample.shuffled
            largest = max(batches, key=lambda batch: max(sample.pairs[index].longest for index in batch))
            found.peak[key] = process.ask("peak", arm=key, batch=largest)["peak"]


def operations(sample: Sample, model: Model, arm: str) -> float:
    """The least that a pair needs."""
    least = least_operations(
        sample.pairs, model.vocabulary, adapter=model.adapter, reference=arm == "each-step", shape=model.shape
    )
    return least / len(sample.pairs)


def tables(regimes: Mapping[str, Found]) -> str:
    """What was found on one shape."""
    arms = [arm for key, arm in ARMS.items() if any(key in each.seconds for each in regimes.values())]
    rivals = [arm for arm in arms if arm.rival is not None]
    memory = [*arms, *MEMORY.values()]
    faster = table(
        ["times faster", "pairs a step", *(arm.title for arm in rivals), "share of GEMM rate"],
        [
            [each.title, str(each.batch), *(ratio(each, arm) for arm in rivals), percent(each.share("cached"))]
            for each in regimes.values()
        ],
    )
    milliseconds = table(
        ["ms a pair", *(arm.title for arm in arms), "GEMM, TFLOP/s"],
        [
            [
                each.title,
                *(number(each.median(arm.key), 1e3, 1) for arm in arms),
                spread(Spread.of([rate / 1e12 for rate in each.rate]), digits=1),
            ]
            for each in regimes.values()
        ],
    )
    peaks = table(
        ["peak, GiB", *(arm.title for arm in memory)],
        [[each.title, *(number(each.peak[arm.key], 2**-30, 2) for arm in memory)] for each in regimes.values()],
    )
    same = table(
        ["loss, norm beside prefsmith cached", *(arm.title for arm in arms)],
        [[each.title, *(apart(each, arm.key) for arm in arms)] for each in regimes.values()],
    )
    return "\n\n".join([faster, milliseconds, peaks, same])


def ratio(found: Found, arm: Arm) -> str:
    """In words."""
    value = found.ratio(arm)
    return "out of memory" if value is None else spread(value)


def number(value: float | None, factor: float, digits: int) -> str:
    """A measurement in another unit."""
    return "out of memory" if value is None else f"{value * factor:,.{digits}f}"


def percent(value: float | None) -> str:
    """A share."""
    return "out of memory" if value is None else f"{value:.0%}"


def apart(found: Found, arm: str) -> str:
    """How far an arm is from prefsmith's, relatively."""
    sizes = found.loss[arm], found.loss["cached"], found.norm[arm], found.norm["cached"]
    loss, own_loss, norm, own_norm = (each or math.nan for each in sizes)
    if math.isnan(loss + own_loss):
        return "out of memory"
    return f"{abs(loss / own_loss - 1):.0e}, {abs(norm / own_norm - 1):.0e}"


def say(line: str) -> None:
    """What is being done."""
    print(line, file=sys.stderr, flush=True)


def has_cuda() -> bool:
    """Whether there is a device."""
    import torch

    return torch.cuda.is_available()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="gpu.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--shape", nargs="+", choices=list(MODELS), default=list(LONG_ENOUGH))
    parser.add_argument("--only", nargs="+", choices=list(DRAWN), default=["chat", "long"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-trl", action="store_true", help="prefsmith and the padded loop alone")
    parser.add_argument("--out", type=Path, default=KEPT / "gpu.json", help="where the numbers are written")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 2 where that cannot be."""
    options = parsed(arguments)
    if options.device == "cuda" and not has_cuda():
        say("there is no CUDA device here; --device cpu --shape tiny looks at the program alone")
        return 2
    sides: tuple[Side, ...] = ("ours",) if options.without_trl else ("theirs", "ours")
    if "theirs" in sides and not (ROOT / PYTHON["theirs"]).exists():
        say(f"{PYTHON['theirs']} is not there; `make .venv-agreement/installed` makes it, or --without-trl")
        return 2
    found: dict[str, dict[str, Found]] = {}
    for shape in options.shape:
        say(f"{shape}:")
        found[shape] = {}
        for key in options.only:
            try:
                found[shape][key] = measure(REGIMES[key], MODELS[shape], options.device, options.rounds, sides)
            except RuntimeError as error:
                say(f"{shape}, {key}: {error}")
                return 1
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(as_values(found), indent=1) + "\n", encoding="utf-8")
        print(f"\n{shape} on {options.device}\n\n{tables(found[shape])}")
    print(f"\nThe numbers are in {options.out}")
    return 0


def as_values(found: Mapping[str, Mapping[str, Found]]) -> dict[str, dict[str, Any]]:
    """For JSON."""
    return {shape: {key: asdict(each) for key, each in regimes.items()} for shape, regimes in found.items()}


if __name__ == "__main__":
    sys.exit(main())
