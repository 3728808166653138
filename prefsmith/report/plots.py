"""Values over steps, of one run or of several, as drawings that can be read in black and white."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from prefsmith.report.drawing import INK, MUTED, ONE, PAPER, TWO, as_svg, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMOOTHED_FROM = 40
"""Steps from which on a smoothed line is drawn over the thin one."""
MOST_POINTS = 800
"""Points of a line: more are drawn as means of neighbours, which a drawing of this width cannot show apart."""
MARKED = 12
"""Steps up to which every one gets a marker: a line through few points hides where they are."""
DASHES = ("-", "--", ":", "-.", (0, (7, 2, 1, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True, slots=True)
class Series:
    """Values over steps.

    Args:
        label: what they are, in the legend.
        points: (step, value).
        intervals: (low, high) for each point, where there are any.
        kind: `steps` is a line, smoothed where it is long; `exact` one that is not; `held_out` are marked points;
            `rule` is a dotted line.
        second: drawn in the second colour, dashed.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    intervals: tuple[tuple[float, float], ...] = ()
    kind: str = "steps"
    second: bool = False


def curve_plot(
    name: str, title: str, description: str, unit: str, series: Sequence[Series], *, level: float | None = None
) -> Markup:
    """Values over steps as an SVG.

    Args:
        name: unique in the page.
        title: what is drawn.
        description: what it shows, for those who do not see it.
        unit: label of the vertical axis.
        series: lines and points; those without points are left out.
        level: a value with a meaning of its own (chance, no change), drawn as a thin line.
    """
    with drawing() as (figure, axes):
        for each in series:
            if each.points:
                _draw(axes, each)
        _finish(axes, unit, level)
        return as_svg(figure, name, title, description)


def overlay_plot(
    name: str, title: str, description: str, unit: str, runs: Sequence[tuple[str, Series, Series]]
) -> Markup:
    """The same value of several runs: each a line with dashes and a marker of its own, named by a letter.

    Args:
        name: unique in the page.
        title: what is drawn.
        description: what it shows, for those who do not see it.
        unit: label of the vertical axis.
        runs: letter, steps and held-out points of each.
    """
    with drawing() as (figure, axes):
        for index, (letter, steps, held_out) in enumerate(runs):
            look = run_look(index)
            line = smoothed(steps.points) if len(steps.points) >= SMOOTHED_FROM else list(steps.points)
            thinned = binned(line, MOST_POINTS)
            if thinned:
                every = max(1, len(thinned) // 6)
                axes.plot(*zip(*thinned, strict=True), label=letter, markevery=(index % every, every), **look)
                axes.annotate(letter, thinned[-1], xytext=(5, -3), textcoords="offset points", fontweight="bold")
            if held_out.points:
                axes.plot(*zip(*held_out.points, strict=True), linestyle="none", markersize=6.5, fillstyle="none",
                          label="" if thinned else letter, marker=look["marker"], color=look["color"])  # fmt: skip
        _finish(axes, unit, None)
        return as_svg(figure, name, title, description)


def run_look(index: int) -> dict[str, Any]:
    """How the line of the index-th run looks, in black and white as well."""
    return {
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "color": (ONE, TWO, INK, MUTED)[index % 4],
        "linewidth": 1.4,
        "markersize": 4.0,
    }


def swatch(index: int, name: str) -> Markup:
    """How the line of the index-th run looks, as a drawing of a few millimetres."""
    with drawing((0.62, 0.16)) as (figure, axes):
        axes.set_axis_off()
        axes.set_ylim(-1, 1)
        axes.plot([0, 1, 2], [0, 0, 0], markevery=(1, 2), **run_look(index))
        return as_svg(figure, name, "Its line", "Dashes and marker of the run in the drawings")


def smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Centred means over a window, narrower at both ends; of at most `MOST_POINTS` points."""
    fewer = binned(points, MOST_POINTS)
    half, values = _window(len(fewer)) // 2, [value for _, value in fewer]
    return [(step, fmean(values[max(0, index - half) : index + half + 1])) for index, (step, _) in enumerate(fewer)]


def smoothing_window(count: int) -> int:
    """Steps that a smoothed point is the mean of, in a run of so many."""
    size = math.ceil(count / MOST_POINTS)
    return _window(math.ceil(count / size)) * size


def _window(count: int) -> int:
    """Odd, a fifteenth of the points and at least five."""
    return max(5, count // 15) // 2 * 2 + 1


def binned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most so many points: means of neighbours where there are more."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return list(points)
    parts = (points[start : start + size] for start in range(0, len(points), size))
    return [(fmean(step for step, _ in part), fmean(value for _, value in part)) for part in parts]


def _draw(axes: "Axes", series: Series) -> None:
    colour, dashed = (TWO, "--") if series.second else (ONE, "-")
    if series.kind == "rule":
        axes.plot(*zip(*series.points, strict=True), color=MUTED, linestyle=":", linewidth=1.3, label=series.label,
                  marker="_" if len(series.points) == 1 else None, markersize=14)  # fmt: skip
    elif series.kind == "held_out":
        _draw_held_out(axes, series, colour)
    else:
        points = binned(series.points, MOST_POINTS)
        long = len(series.points) >= SMOOTHED_FROM and series.kind == "steps"
        marker = ("s" if series.second else ".") if len(points) <= MARKED else None
        axes.plot(*zip(*points, strict=True), color=colour, linestyle="-" if long else dashed, alpha=0.4 if long else 1,
                  linewidth=0.7 if long else 1.3, marker=marker, markersize=3.5 if series.second else 5,
                  label="" if long else series.label)  # fmt: skip
        if long:
            line = binned(smoothed(series.points), MOST_POINTS // 2)
            axes.plot(*zip(*line, strict=True), color=colour, linestyle=dashed, linewidth=1.8, label=series.label)


def _draw_held_out(axes: "Axes", series: Series, colour: str) -> None:
    steps, values = zip(*series.points, strict=True)
    look: dict[str, Any] = {
        "color": colour,
        "markeredgecolor": colour,
        "markerfacecolor": PAPER,
        "marker": "s" if series.second else "o",
        "markersize": 4.8,
        "linestyle": "none",
        "label": series.label,
        "zorder": 4,
    }
    if len(series.points) > 1:
        axes.plot(steps, values, color=colour, linestyle=(0, (1, 1.5)), linewidth=1.0, zorder=3)
    if series.intervals:
        below = [max(0.0, value - low) for value, (low, _) in zip(values, series.intervals, strict=True)]
        above = [max(0.0, high - value) for value, (_, high) in zip(values, series.intervals, strict=True)]
        axes.errorbar(steps, values, yerr=[below, above], elinewidth=1.0, capsize=2.5, **look)
    else:
        axes.plot(steps, values, **look)


def _finish(axes: "Axes", unit: str, level: float | None) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if level is not None:
        axes.axhline(level, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}".replace("-", "\u2212")))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        legend = axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=6, borderaxespad=0.1,
                             columnspacing=1.2, handlelength=2.4, handletextpad=0.5)  # fmt: skip
        legend.set_in_layout(False)  # a wide one would take the drawing's place; the empty title keeps its height
        axes.set_title(" ", fontsize=10, pad=4)
