"""Which curves a report draws, how each is to be read, and the numbers under it."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from prefsmith.report.plots import SMOOTHED_FROM, Series, curve_plot, smoothing_window
from prefsmith.report.run import RecordedRun
from prefsmith.train.findings import Row, number, written

MOST_ROWS = 60
"""Rows of a table of numbers; longer ones are thinned."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value that is drawn over the steps.

    Args:
        key: in metrics.jsonl.
        title: heading of the drawing.
        unit: of the vertical axis.
        caption: how to read it, a line.
        form: how a number is written in the table.
        level: a value with a meaning of its own.
    """

    key: str
    title: str
    unit: str
    caption: str
    form: str = ".4g"
    level: float | None = None


LOSS = Quantity(
    "loss", "Loss", "loss", "What training lowers. Held-out points that rise again: learnt by heart.", ".4f"
)
MARGIN = Quantity(
    "margin",
    "Margin",
    "nats",
    "How much more than the starting model the policy prefers the better answer. Above zero is right; "
    "tens of nats on noisy labels are too many.",
    "+.3f",
    0.0,
)
ACCURACY = Quantity(
    "accuracy",
    "Accuracy",
    "share",
    "Share that is told right. One half is chance; the dotted rule needs no model at all.",
    ".3f",
    0.5,
)
CHOSEN = Quantity("chosen_logratio", "Chosen and rejected", "nats an answer", "", "+.3f", 0.0)
REJECTED = Quantity("rejected_logratio", "Rejected", "nats an answer", "", "+.3f", 0.0)
RATIOS = (
    "Log-probability of the two sides, less that under the starting model. Chosen at or above zero is right; "
    "where both fall, the policy lowers both."
)
RATE = Quantity("learning_rate", "Learning rate", "learning rate", "The step size, as the schedule gives it.", ".3g")
GRADIENT = Quantity("grad_norm", "Gradient norm", "L2 norm", "Before clipping. It should not grow.", ".3g")
SINGLE = (LOSS, MARGIN, ACCURACY, RATE, GRADIENT)


@dataclass(frozen=True, slots=True)
class Curve:
    """A drawing with its caption and the numbers it is made of.

    Args:
        title: heading.
        svg: the drawing.
        caption: how to read it.
        header: columns of the table.
        rows: of the table, thinned.
        rule: how they were thinned; empty where all are there.
    """

    title: str
    svg: Markup
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    rule: str


def curves(run: RecordedRun) -> list[Curve]:
    """The curves of everything that the run measured."""
    drawn = [_single(run, each) for each in (LOSS, MARGIN, ACCURACY)]
    drawn += [_ratios(run)]
    drawn += [_single(run, each) for each in (RATE, GRADIENT)]
    return [each for each in drawn if each is not None]


def points(rows: Sequence[Row], key: str) -> tuple[tuple[float, float], ...]:
    """(step, value) wherever both are finite numbers."""
    found = [(number(row, "step"), number(row, key)) for row in rows]
    return tuple((step, value) for step, value in found if step is not None and value is not None)


def _single(run: RecordedRun, quantity: Quantity) -> Curve | None:
    steps, held_out = points(run.train, quantity.key), points(run.evaluations, quantity.key)
    if not steps and not held_out:
        return None
    rows = [row for row in run.evaluations if number(row, quantity.key) is not None]
    intervals = _intervals(rows, quantity.key)
    series = [
        Series("training", steps, kind="exact" if quantity is RATE else "steps"),
        Series("held out", held_out, intervals, "held_out"),
    ]
    if quantity is ACCURACY:
        series.append(Series('"shorter is better"', points(run.evaluations, "shorter_accuracy"), kind="rule"))
    svg = curve_plot(
        f"curve-{quantity.key}",
        f"{quantity.title} over the steps",
        _description(series),
        quantity.unit,
        series,
        level=quantity.level,
    )
    caption, limit = quantity.caption, run.config.optim.max_grad_norm if run.config is not None else None
    if quantity is GRADIENT and limit is not None:
        caption = f"Before clipping to {limit:g}. It should not grow from step to step."
    header = ("step", "training", *(("held out",) if held_out else ()), *(("95 %",) if intervals else ()))
    table = _table(run, [quantity], bool(held_out), bool(intervals))
    return Curve(
        quantity.title,
        svg,
        _with_smoothing(caption, 0 if quantity is RATE else len(steps)),
        header,
        *table,
    )


def _ratios(run: RecordedRun) -> Curve | None:
    series = []
    for quantity, label, second in ((CHOSEN, "chosen", False), (REJECTED, "rejected", True)):
        series.append(Series(label, points(run.train, quantity.key), second=second))
        held = points(run.evaluations, quantity.key)
        series.append(Series("" if second else "held out", held, kind="held_out", second=second))
    if not any(each.points for each in series):
        return None
    svg = curve_plot(
        "curve-logratio", "Log-ratios of chosen and rejected answers over the steps", _description(series),
        CHOSEN.unit, series, level=0.0,
    )  # fmt: skip
    held_out = any(each.points for each in series[1::2])
    both = ("chosen", "rejected")
    header = ("step", *both, *(f"{each}, held out" for each in both if held_out))
    table = _table(run, [CHOSEN, REJECTED], held_out, False)
    return Curve("Chosen and rejected", svg, _with_smoothing(RATIOS, len(series[0].points)), header, *table)


def _table(
    run: RecordedRun, quantities: Sequence[Quantity], held_out: bool, intervals: bool
) -> tuple[tuple[tuple[str, ...], ...], str]:
    """A row for each step that is kept, with what was measured in it and after it; and how they were thinned."""
    steps = {number(row, "step"): row for row in run.train}
    evaluated = {number(row, "step"): row for row in run.evaluations}
    kept, rule = _thinned({step for step in {**steps, **evaluated} if step is not None}, set(evaluated))
    table = []
    for step in kept:
        trained, held = steps.get(step, {}), evaluated.get(step, {})
        row = [f"{step:.0f}", *(_cell(trained, each) for each in quantities)]
        row += [_cell(held, each) for each in quantities] if held_out else []
        if intervals:
            ends = _intervals([held], quantities[0].key)
            row.append(f"{ends[0][0]:.3f} to {ends[0][1]:.3f}" if ends else "")
        table.append(tuple(row))
    return tuple(table), rule


def _thinned(steps: set[float], evaluated: set[float | None]) -> tuple[list[float], str]:
    """At most `MOST_ROWS` of the steps, and how it came to that."""
    everything = sorted(steps)
    if len(everything) <= MOST_ROWS:
        return everything, ""
    evaluated = evaluated if len(evaluated) <= MOST_ROWS // 3 else set()
    every = -(-len(everything) // (MOST_ROWS - len(evaluated) - 1))
    kept = [step for index, step in enumerate(everything) if index % every == 0 or step in evaluated]
    kept += [everything[-1]] if kept[-1] != everything[-1] else []
    beside = ", those with a held-out value" if evaluated else ""
    return kept, f"Of {len(everything):,} rows one in {every}{beside}, and the last; metrics.jsonl has them all."


def _cell(row: Row, quantity: Quantity) -> str:
    value = number(row, quantity.key)
    return "" if value is None else written(value, quantity.form)


def _intervals(rows: Sequence[Row], key: str) -> tuple[tuple[float, float], ...]:
    """The interval of each row; nothing unless every row has one."""
    ends = [(number(row, f"{key}_low"), number(row, f"{key}_high")) for row in rows]
    known = tuple((low, high) for low, high in ends if low is not None and high is not None)
    return known if len(known) == len(rows) else ()


def _with_smoothing(caption: str, count: int) -> str:
    if count < SMOOTHED_FROM:
        return caption
    return f"{caption} Thick: means of {smoothing_window(count)} steps."


def _description(series: Sequence[Series]) -> str:
    """First and last value of every line, in words."""
    parts = []
    for each in series:
        label = each.label or "rejected, held out"
        if len(each.points) > 1:
            (first, start), (last, end) = each.points[0], each.points[-1]
            parts.append(f"{label}: {start:.4g} at step {first:.0f}, {end:.4g} at step {last:.0f}")
        elif each.points:
            parts.append(f"{label}: {each.points[0][1]:.4g} at step {each.points[0][0]:.0f}")
    return "; ".join(parts) + "."
