"""Two processes, alternated: every arm does a batch, then every arm the next one."""

import json
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .arms import ARMS, MEMORY, Arm, Side
from .lengths import Lengths
from .machine import where
from .model import ids_of
from .record import Measured
from .regimes import Regime
from .sample import Sample, draw
from .texts import KEPT, ROOT
from .work import least_operations

PYTHON: dict[Side, str] = {"ours": ".venv/bin/python", "theirs": ".venv-agreement/bin/python"}
SAME = 2  # pairs on which the arms are compared before the first step

Say = Callable[[str], None]


class Process:
    """One side's worker; what it prints is kept under build/bench/."""

    def __init__(self, side: Side) -> None:
        KEPT.mkdir(parents=True, exist_ok=True)
        self.log = KEPT / f"{side}.log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [ROOT / PYTHON[side], "-m", "speed.worker", side],
                cwd=ROOT / "bench",
                env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, do: str, **command: object) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.send(do, **command)
        return self.answer()

    def send(self, do: str, **command: object) -> None:
        """Send a command; a later `answer` is its answer.

        Raises:
            RuntimeError: the process ended.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **command}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise RuntimeError(f"it ended before {do}; {self.log} says why") from error

    def answer(self) -> dict[str, Any]:
        """What the process says to the command that was sent.

        Raises:
            RuntimeError: it ended instead.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"it ended; {self.log} says why")
        return json.loads(line)

    def close(self) -> None:
        """Let it end."""
        self.process.communicate()


@contextmanager
def both() -> Iterator[dict[Side, Process]]:
    """Both sides' processes."""
    made: dict[Side, Process] = {side: Process(side) for side in PYTHON}
    try:
        yield made
    finally:
        for process in made.values():
            process.close()


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Args:
        pairs: in the sample.
        rounds: passes over the sample that are timed, behind a small one that is not.
        seconds: no round begins when so many have passed.
        peaks: whether memory is measured too.
    """

    pairs: int
    rounds: int = 3
    seconds: float = math.inf
    peaks: bool = True


def measure(regime: Regime, effort: Effort, say: Say) -> Measured:
    """All arms on one regime's sample; `say` is told what is being done.

    Raises:
        FileNotFoundError: its data is not on this machine.
        RuntimeError: a process failed.
    """
    started = time.monotonic()
    sample = draw(regime.population(), effort.pairs, regime.batch)
    say(f"{regime.key}: {effort.pairs} pairs")
    with both() as sides:
        told = _load(sides, regime, sample)
        same = {arm: sides[each.side].ask("compare", arm=arm, batch=_some(sample)) for arm, each in ARMS.items()}
        same["exact"] = sides["ours"].ask("exact", batch=_some(sample))
        seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
        rates: list[float] = []
        while len(rates) < effort.rounds and time.monotonic() - started < effort.seconds:
            for arm, taken in _round(sides, sample).items():
                seconds[arm].append(taken / effort.pairs)
            rates.append(_rate(sides["ours"], sample, regime))
            say(f"  round {len(rates)}: " + ", ".join(f"{arm} {taken[-1]:.3f}" for arm, taken in seconds.items()))
        peaks = _peaks(sides, sample) if effort.peaks else {}
    return Measured(
        title=regime.title,
        pairs=effort.pairs,
        batch=regime.batch,
        vocabulary=regime.vocabulary,
        unique=_mean([each.unique for each in sample.pairs]),
        rows=_mean([each.chosen + each.rejected for each in sample.pairs]),
        padding=sample.padding,
        population=sample.population,
        operations={arm: _operations(sample.pairs, regime, arm) for arm in ("each-step", "cached")},
        seconds=seconds,
        rate=rates,
        peak=peaks,
        loss={arm: each["loss"] for arm, each in same.items()},
        norm={arm: each["norm"] for arm, each in same.items()},
        where=where(*told),
    )


def _load(sides: dict[Side, Process], regime: Regime, sample: Sample) -> list[dict[str, str]]:
    """Both sides at once, since nothing is timed yet; returns their versions."""
    ids = ids_of(sample.pairs, regime.vocabulary)
    for each in sides.values():
        each.send("load", vocabulary=regime.vocabulary, adapter=regime.adapter, pairs=ids)
    return [each.answer() for each in sides.values()]


def _peaks(sides: dict[Side, Process], sample: Sample) -> dict[str, int]:
    """Memory of every arm in bytes, on the batch that is its largest when it is padded."""

    def largest(arm: Arm) -> list[int]:
        return max(_batches(sample, arm), key=lambda batch: max(sample.pairs[index].longest for index in batch))

    arms = [*ARMS.values(), *MEMORY.values()]
    return {arm.key: sides[arm.side].ask("peak", arm=arm.key, batch=largest(arm))["peak"] for arm in arms}


def _some(sample: Sample) -> list[int]:
    """A small batch that all arms compute before any weight moves."""
    return [index for batch in sample.shuffled for index in batch][:SAME]


def _round(sides: dict[Side, Process], sample: Sample) -> dict[str, float]:
    """One pass of every arm over the sample, batch by batch in turns; CPU seconds."""
    taken = dict.fromkeys(ARMS, 0.0)
    for place in range(len(sample.shuffled)):
        for arm, each in ARMS.items():
            batch = _batches(sample, each)[place]
            taken[arm] += sides[each.side].ask("step", arm=arm, batch=batch)["seconds"]
    return taken


def _batches(sample: Sample, arm: Arm) -> list[list[int]]:
    return sample.sorted if arm.sorted else sample.shuffled


def _rate(process: Process, sample: Sample, regime: Regime) -> float:
    steps = len(sample.shuffled)
    tokens = sum(each.unique for each in sample.pairs) // steps
    rows = sum(each.chosen + each.rejected for each in sample.pairs) // steps
    return process.ask("rate", tokens=tokens, rows=rows, vocabulary=regime.vocabulary)["rate"]


def _operations(pairs: Sequence[Lengths], regime: Regime, arm: str) -> float:
    reference = arm == "each-step"
    return least_operations(pairs, regime.vocabulary, adapter=regime.adapter, reference=reference) / len(pairs)


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)
