"""The tables of the page, and of the terminal: Markdown with its columns in line."""

import statistics
from collections.abc import Mapping, Sequence

from .arms import ARMS, BASELINES, MEMORY
from .record import Measured, Spread, Whole


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join([f":{'-' * (widths[0] + 1)}", *(f"{'-' * (width + 1)}:" for width in widths[1:])]) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def ratios(regimes: Mapping[str, Measured]) -> str:
    """How many times faster, against each baseline."""
    head = ["", "pairs a step", *(arm.title for arm in BASELINES.values()), "share of GEMM rate"]
    rows = [
        [each.title, str(each.batch), *(spread(each.ratio(arm)) for arm in BASELINES), f"{each.share('cached'):.0%}"]
        for each in regimes.values()
    ]
    return table(head, rows)


def samples(regimes: Mapping[str, Measured]) -> str:
    """What was measured, and how near its padding is to that of what it stands for."""
    head = ["", "pairs", "rounds", "tokens", "scored", "padding", "population", "sorted", "population, sorted"]
    rows = []
    for each in regimes.values():
        size = [each.pairs, len(each.rate), round(each.unique), round(each.rows)]
        paddings = [
            each.padding.shuffled, each.population.shuffled, each.padding.sorted, each.population.sorted,
        ]  # fmt: skip
        rows.append([each.title, *map(str, size), *(f"{value:.2f}" for value in paddings)])
    return table(head, rows)


def seconds(regimes: Mapping[str, Measured]) -> str:
    """CPU milliseconds a pair of every arm."""
    head = ["CPU ms a pair", *(arm.title for arm in ARMS.values()), "GEMM, GFLOP/s"]
    rows = [
        [
            each.title,
            *(f"{statistics.median(each.seconds[arm]) * 1000:.0f}" for arm in ARMS),
            spread(Spread.of([rate / 1e9 for rate in each.rate]), digits=0),
        ]
        for each in regimes.values()
    ]
    return table(head, rows)


def peaks(regimes: Mapping[str, Measured]) -> str:
    """Memory of every arm."""
    arms = [*ARMS.values(), *MEMORY.values()]
    there = [each for each in regimes.values() if each.peak]
    rows = [[each.title, *(f"{each.peak[arm.key] / 2**20:,.0f}" for arm in arms)] for each in there]
    head = ["peak, MiB", *(arm.title for arm in arms)]
    return table(head, rows)


def agreement(regimes: Mapping[str, Measured]) -> str:
    """How far the arms are from float64, relatively, in the loss and in the gradient's norm."""
    shown = ("cached", "padded", "trl-cached", "trl")
    head = ["loss, norm", "float64", *(ARMS[arm].title for arm in shown)]
    rows = [
        [
            each.title,
            f"{each.loss['exact']:.7f}, {each.norm['exact']:.4f}",
            *("{:.0e}, {:.0e}".format(*each.apart(arm)) for arm in shown),
        ]
        for each in regimes.values()
    ]
    return table(head, rows)


def whole(runs: Whole) -> str:
    """Whole runs."""
    ours = {"prefsmith": "`prefsmith train`", "prefsmith-cached": "`prefsmith train reference.kind=cached`"}
    rows = [
        [
            ours.get(arm) or ARMS[arm].title,
            spread(Spread.of(taken), digits=0),
            *("" if arm in ours else spread(runs.ratio(arm, own)) for own in ours),
        ]
        for arm, taken in runs.seconds.items()
    ]
    return table(["one epoch from text", "CPU seconds", "times `prefsmith train`", "times it with `cached`"], rows)


def spread(value: Spread, digits: int = 2) -> str:
    """The median, and where there are several, the least and the largest."""
    median, low, high = (f"{each:.{digits}f}" for each in (value.median, value.low, value.high))
    return median if low == high else f"{median} ({low}-{high})"
