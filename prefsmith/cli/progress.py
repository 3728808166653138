"""Where a run stands: means over its last steps, rates, the time that is left, and the line that says so."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prefsmith.cli.terminal import cut
from prefsmith.wording import counted

WINDOW = 20
"""Steps whose mean the line shows: a single step's accuracy is a coin that was tossed a few dozen times."""

BAR = (8, 30)
"""Fewest and most cells of the bar."""

QUIET = 5.0
"""Seconds without a step after which the line says so; three usual steps, where these take longer."""

PRIORITY = ("count", "loss", "left", "accuracy", "tokens", "memory", "margin", "bar", "elapsed", "pairs")
"""What stays longest where the terminal is narrow."""

ORDER = ("bar", "count", "loss", "margin", "accuracy", "tokens", "pairs", "memory", "elapsed", "left")
"""How it stands in the line."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands after a step. Times are seconds of one clock.

    Args:
        step: the last step that was done, of `steps`.
        done: steps that were done while we looked on (a resumed run began before).
        loss: mean over the last steps; so are margin (nats) and accuracy. None where there is nothing to average.
        tokens_per_second: scored tokens, over the last steps.
        pairs_per_second: comparisons or ratings, over the last steps.
        memory: most bytes in use so far; None where unknown.
        began: when the first of the steps began.
        now: when the last one ended.
        step_seconds: of a usual step.
        left: seconds until the last step, with the share of time that goes into what is between steps.
    """

    step: int
    steps: int
    done: int
    loss: float | None
    margin: float | None
    accuracy: float | None
    tokens_per_second: float | None
    pairs_per_second: float | None
    memory: int | None
    began: float
    now: float
    step_seconds: float
    left: float


class Progress:
    """What the rows of metrics of one run add up to.

    Args:
        steps: steps of the whole run.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.began: float | None = None
        self.done = 0
        self.seconds = self.tokens = self.pairs = 0.0
        self._rows: deque[Mapping[str, object]] = deque(maxlen=WINDOW)

    def add(self, row: Mapping[str, object], now: float) -> Position:
        """Count a training row that came at `now`; returns where the run stands."""
        seconds = number(row, "seconds") or 0.0
        self.began = now - seconds if self.began is None else self.began
        self.done += 1
        self.seconds += seconds
        self.tokens += number(row, "tokens") or 0.0
        self.pairs += number(row, "pairs") or 0.0
        self._rows.append(row)
        step, usual = int(number(row, "step") or 0), _total(self._rows, "seconds") / len(self._rows)
        overhead = max(1.0, (now - self.began) / self.seconds) if self.seconds else 1.0
        memory = number(row, "peak_memory_bytes")
        return Position(
            step=step,
            steps=self.steps,
            done=self.done,
            loss=_mean(self._rows, "loss"),
            margin=_mean(self._rows, "margin"),
            accuracy=_mean(self._rows, "accuracy"),
            tokens_per_second=_rate(self._rows, "tokens"),
            pairs_per_second=_rate(self._rows, "pairs"),
            memory=None if memory is None else int(memory),
            began=self.began,
            now=now,
            step_seconds=usual,
            left=max(0, self.steps - step) * usual * overhead,
        )

    def summary(self, position: Position) -> str:
        """The run in a line, for its end."""
        parts = [f"{counted(self.done, 'step')} in {duration(position.now - position.began)}"]
        if self.seconds:
            parts += [rate(self.tokens / self.seconds, "scored tokens/s"), rate(self.pairs / self.seconds, "pairs/s")]
        if position.memory is not None:
            parts.append(f"memory at most {size(position.memory)}")
        return ", ".join(parts)


def number(row: Mapping[str, object], key: str) -> float | None:
    """A number of a row of metrics; None where it has none."""
    value = row.get(key)
    return value if isinstance(value, int | float) else None


def _total(rows: Iterable[Mapping[str, object]], key: str) -> float:
    return sum(number(row, key) or 0.0 for row in rows)


def _rate(rows: Iterable[Mapping[str, object]], key: str) -> float | None:
    seconds = _total(rows, "seconds")
    return _total(rows, key) / seconds if seconds else None


def _mean(rows: Iterable[Mapping[str, object]], key: str) -> float | None:
    """Mean over steps, each weighing as many as its pairs are; steps without a value count in nothing."""
    known = [(value, number(row, "pairs") or 1.0) for row in rows if (value := number(row, key)) is not None]
    weight = sum(pairs for _, pairs in known)
    return sum(value * pairs for value, pairs in known) / weight if known else None


def line(position: Position, now: float, width: int, *, marks: tuple[str, str] = ("#", "-")) -> tuple[str, str]:
    """The bar, and the rest of a line that together take at most `width` cells; what has no room is left out.

    Args:
        position: where the run stands.
        now: seconds of the clock that `position` was made by.
        width: cells.
        marks: what the done and the open part of the bar are drawn with: they differ without colour, too.
    """
    texts = _texts(position, now)
    room, kept = width, set[str]()
    for name in PRIORITY:
        cells = BAR[0] if name == "bar" else len(texts.get(name, ""))
        gap = 2 if kept else 0
        if cells and cells + gap <= room:
            kept.add(name)
            room -= cells + gap
    if "count" not in kept:
        return "", cut(texts["count"].strip(), width)
    text = "  ".join(texts[name] for name in ORDER if name in kept and name != "bar")
    return (_bar(position, min(BAR[1], BAR[0] + room), marks) + "  " if "bar" in kept else ""), text


def _bar(position: Position, cells: int, marks: tuple[str, str]) -> str:
    filled = int(cells * position.step / max(1, position.steps))
    return marks[0] * filled + marks[1] * (cells - filled)


def _texts(position: Position, now: float) -> dict[str, str]:
    digits = len(str(position.steps))
    numbers = {
        "loss": _number("loss", position.loss, ".4f"),
        "margin": _number("margin", position.margin, "+.3f"),
        "accuracy": _number("accuracy", position.accuracy, ".2f"),
        "tokens": rate(position.tokens_per_second, "tokens/s"),
        "pairs": rate(position.pairs_per_second, "pairs/s"),
        "memory": "" if position.memory is None else size(position.memory),
    }
    return {
        **numbers,
        "count": f"{position.step:>{digits}}/{position.steps}",
        "elapsed": f"{duration(now - position.began)} so far",
        "left": _left(position, now),
    }


def _left(position: Position, now: float) -> str:
    """How long it still takes; behind the last step, or long after one, that something else is going on."""
    quiet = now - position.now
    if position.step >= position.steps:
        return f"finishing {duration(quiet)}"
    if quiet > max(QUIET, 3 * position.step_seconds):
        return f"no step for {duration(quiet)}"
    return f"{duration(max(0.0, position.left - quiet))} left"


def _number(name: str, value: float | None, form: str) -> str:
    return "" if value is None else f"{name} {value:{form}}"


def rate(value: float | None, unit: str) -> str:
    """A rate with about three digits; nothing where it is unknown."""
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def size(memory: int) -> str:
    """Bytes, as they are read."""
    return f"{memory / 2**30:.1f} GiB" if memory >= 2**30 else f"{memory / 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
