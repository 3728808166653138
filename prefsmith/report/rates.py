"""Win rates over temperatures: a line with its band for each method; a dot with its bar where no temperature is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from prefsmith.report.drawing import MUTED, as_svg, drawing
from prefsmith.report.plots import run_look
from prefsmith.report.visible import on_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_LABEL = 36
LEVEL = 0.5
_WIDTH, _HEIGHT = 5.2, 3.0  # inches
_BESIDE = 0.35
"""Share of the gap between two temperatures that bars beside each other take."""
FILLED = 4
"""Looks with a filled marker: behind them the colours come again."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """A rate with its interval. `temperature` is None for answers from a file."""

    temperature: float | None
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RateSeries:
    """The rates of a method, by rising temperature."""

    label: str
    points: tuple[RatePoint, ...]


def rates_plot(name: str, title: str, unit: str, series: Sequence[RateSeries], *, bars: bool = False) -> Markup:
    """Win rates as an SVG; the legend stands above the axes, and the line at one half is that of equals.

    Args:
        name: unique in the page.
        title: what is drawn.
        unit: label of the vertical axis.
        series: each with at least one point.
        bars: intervals are bars, a little beside each other, for more methods than bands can be told apart.
    """
    over = any(point.temperature is not None for each in series for point in each.points)
    height = _HEIGHT + 0.18 * len(series) if over else 0.7 + 0.34 * len(series)
    with drawing((_WIDTH, height)) as (figure, axes):
        if over:
            (_draw_bars if bars else _draw_lines)(axes, series)
            axes.set_xlabel("temperature")
            axes.set_ylabel(on_one_line(unit))
            _legend(figure, axes)
        else:
            _draw_dots(axes, series, on_one_line(unit))
        return as_svg(figure, name, title, _said(series))


def _draw_lines(axes: "Axes", series: Sequence[RateSeries]) -> None:
    """Bands lie below every line, and a method without temperature reaches over all of them."""
    known = [point.temperature for each in series for point in each.points if point.temperature is not None]
    ends = min(known), max(known)
    axes.axhline(LEVEL, color=MUTED, linewidth=0.9, zorder=1)
    for index, each in enumerate(series):
        look = run_look(index)
        points = [(point.temperature, point) for point in each.points if point.temperature is not None]
        if not points:
            points = [(end, each.points[0]) for end in ends]
            look |= {"marker": ""}
        xs = [x for x, _ in points]
        rates = [point for _, point in points]
        axes.fill_between(
            xs, [rate.low for rate in rates], [rate.high for rate in rates],
            color=look["color"], alpha=0.13, linewidth=0, zorder=2,
        )  # fmt: skip
        for edge in ([rate.low for rate in rates], [rate.high for rate in rates]):
            axes.plot(xs, edge, color=look["color"], linestyle=look["linestyle"], linewidth=0.5, alpha=0.6, zorder=2)
        axes.plot(xs, [rate.value for rate in rates], label=_label(each), zorder=4, **look)
        if len(rates) == 1 and look["marker"]:
            error = [[rates[0].value - rates[0].low], [rates[0].high - rates[0].value]]
            axes.errorbar(xs, [rates[0].value], yerr=error, color=look["color"], capsize=2.5, elinewidth=1.1)
    axes.margins(x=0.04, y=0.08)


def _draw_bars(axes: "Axes", series: Sequence[RateSeries]) -> None:
    """Each method's points stand beside the temperature, in the order of the legend, so that no bar covers another."""
    known = sorted({point.temperature for each in series for point in each.points if point.temperature is not None})
    gap = min((right - left for left, right in pairwise(known)), default=1.0)
    axes.axhline(LEVEL, color=MUTED, linewidth=0.9, zorder=1)
    for index, each in enumerate(series):
        look: dict[str, Any] = {**run_look(index), "fillstyle": "full" if index < FILLED else "none"}
        beside = (index - (len(series) - 1) / 2) * gap * _BESIDE / len(series)
        points = [(point.temperature + beside, point) for point in each.points if point.temperature is not None]
        rates = [rate for _, rate in points]
        errors = [[rate.value - rate.low for rate in rates], [rate.high - rate.value for rate in rates]]
        axes.errorbar(
            [x for x, _ in points], [rate.value for rate in rates], yerr=errors,
            label=_label(each), elinewidth=0.9, capsize=1.6, zorder=4, **look,
        )  # fmt: skip
    axes.set_xticks(known)
    axes.margins(x=0.04, y=0.05)


def _draw_dots(axes: "Axes", series: Sequence[RateSeries], unit: str) -> None:
    """One below the other, each with its name on the axis."""
    axes.axvline(LEVEL, color=MUTED, linewidth=0.9, zorder=1)
    for index, each in enumerate(series):
        look, point = run_look(index), each.points[0]
        axes.errorbar(
            [point.value], [index], xerr=[[point.value - point.low], [point.high - point.value]],
            color=look["color"], marker=look["marker"], markersize=5.5, elinewidth=1.2, capsize=2.5, zorder=4,
        )  # fmt: skip
    axes.set_yticks(range(len(series)), [_label(each) for each in series])
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.set_xlabel(unit)
    axes.margins(x=0.12)


def _legend(figure: "Figure", axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=1 if max(map(len, labels)) > 16 else 3, handlelength=3
    )


def _label(series: RateSeries) -> str:
    label = on_one_line(series.label)
    return label if len(label) <= LONGEST_LABEL else f"…{label[-LONGEST_LABEL:]}"


def _said(series: Sequence[RateSeries]) -> str:
    parts = []
    for each in series:
        for point in each.points:
            at = "" if point.temperature is None else f" at temperature {point.temperature:g}"
            parts.append(f"{each.label}{at}: {point.value:.3f}, interval {point.low:.3f} to {point.high:.3f}")
    return "; ".join(parts)
