"""Reward against KL: what a policy gained, what it paid, and the best that it could have had for that."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from prefsmith.report.drawing import GRID, MUTED, as_svg, drawing
from prefsmith.report.evidence import Frontier, Point
from prefsmith.report.plots import run_look
from prefsmith.report.visible import on_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.7, 3.0)
"""Inches: it stands by itself."""
LONGEST_LABEL = 28
LINE, WIDE, MARKER, ASIDE = 11.0, 4.8, 3.5, 6.0
"""Points of type: between two lines of labels, of a letter, of half a marker, and from a point to its label."""
OFFSETS = [offset for step in range(8) for offset in (-LINE * (step + 1), LINE * (step + 0.3))]
"""Points of type by which a label may stand below or above its point, the best first."""

Frontiers = Sequence[tuple[int, str, Frontier]]
"""Number and letter of a run (empty where there is one), and its frontier."""


def frontier_plot(name: str, title: str, frontiers: Frontiers) -> Markup:
    """The points of each run with their intervals, below the best that any policy could have.

    Args:
        name: unique in the page.
        title: what is drawn.
        frontiers: at least one.
    """
    with drawing(SIZE) as (figure, axes):
        _draw_best(axes, frontiers)
        for index, _, frontier in frontiers:
            for point in frontier.points:
                _draw_point(axes, index, point)
        axes.set_xlabel("KL to the starting model (nats)")
        axes.set_ylabel(on_one_line(frontiers[0][2].reward)[:40])
        axes.margins(x=0.12, y=0.2)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper left")  # it covers no point
        figure.draw_without_rendering()  # the axes have their place from here on
        _label(axes, frontiers, figure.dpi / 72)
        parts = (
            f"{letter} {point.name}: reward {point.reward:.3g} at KL {point.kl:.3g}".strip()
            for _, letter, frontier in frontiers
            for point in frontier.points
        )
        return as_svg(figure, name, title, "; ".join(parts))


def _draw_best(axes: "Axes", frontiers: Frontiers) -> None:
    """Every different curve of the best possible reward, and what lies above it, once."""
    curves = {tuple(sorted(frontier.best)): letter for _, letter, frontier in reversed(frontiers) if frontier.best}
    for curve, letter in sorted(curves.items(), key=lambda each: each[1]):
        label = f"best possible {letter}".strip() if len(curves) > 1 else "best possible"
        kl, reward = zip(*curve, strict=True)
        axes.plot(kl, reward, color=MUTED, linestyle="-.", linewidth=1.2, label=label)
        axes.fill_between(kl, reward, y2=[max(reward)] * len(curve), color=GRID, alpha=0.35, linewidth=0)


def _draw_point(axes: "Axes", index: int, point: Point) -> None:
    look = run_look(index)
    axes.errorbar(
        [point.kl],
        [point.reward],
        xerr=_error(point.kl, point.kl_low, point.kl_high),
        yerr=_error(point.reward, point.reward_low, point.reward_high),
        color=look["color"],
        marker=look["marker"],
        markersize=5.5,
        elinewidth=1.1,
        capsize=2.5,
        zorder=4,
    )


def _label(axes: "Axes", frontiers: Frontiers, pixels: float) -> None:
    """The name of each point beside it, inside the drawing, and clear of other names and points where there is room.

    `pixels` is how many of them are a point of type.
    """
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # they are settled when they are asked for
    box = axes.get_window_extent()
    named = [
        (f"{letter} {on_one_line(point.name)}".strip()[:LONGEST_LABEL], point, _place(axes, point))
        for _, letter, frontier in frontiers
        for point in frontier.points
    ]
    side, line = MARKER * pixels, LINE * pixels
    taken = [(x - side, x + side, y - side) for _, _, (x, y) in named]
    for text, point, (x, y) in named:
        left, wide = x > box.x0 + 0.6 * box.width, WIDE * pixels * len(text)
        start = x - ASIDE * pixels - wide if left else x + ASIDE * pixels

        def free(offset: float, start: float = start, end: float = start + wide, y: float = y) -> bool:
            low = y + offset * pixels
            inside = float(box.y0) < low and low + line < float(box.y1)
            return inside and not any(start < b and a < end and abs(low - other) < line for a, b, other in taken)

        offset = next(filter(free, OFFSETS), OFFSETS[0])
        taken.append((start, start + wide, y + offset * pixels))
        label = axes.annotate(
            text,
            (point.kl, point.reward),
            xytext=(-ASIDE if left else ASIDE, offset),
            textcoords="offset points",
            horizontalalignment="right" if left else "left",
            zorder=5,
        )
        label.set_in_layout(False)  # a long name would take the drawing's place


def _place(axes: "Axes", point: Point) -> tuple[float, float]:
    x, y = axes.transData.transform((point.kl, point.reward))
    return float(x), float(y)


def _error(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]
