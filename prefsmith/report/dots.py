"""Numbers with their intervals, one below the other, each beside its name."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from prefsmith.report.drawing import INK, MUTED, ONE, PAPER, TWO, as_svg, drawing
from prefsmith.report.visible import on_one_line

WIDTH, HEAD, ROW = 5.2, 0.75, 0.19
"""Inches: of the drawing, of what stands around the rows, of a row."""
LONGEST_NAME = 30


@dataclass(frozen=True, slots=True)
class Dot:
    """A number in a row.

    Args:
        name: in front of the row.
        value: where the dot is.
        low: end of its interval; None where it is not known.
        high: other end.
        hollow: drawn as a square without filling: of another kind than the others.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    hollow: bool = False


def dot_plot(
    name: str, title: str, unit: str, dots: Sequence[Dot], *, level: float | None = None, percent: bool = True
) -> Markup:
    """Dots as an SVG, the first at the top.

    Args:
        name: unique in the page.
        title: what is drawn.
        unit: label of the axis.
        dots: at least one.
        level: a value with a meaning of its own (chance, no bias), drawn as a dashed line.
        percent: the numbers are shares.
    """
    with drawing((WIDTH, HEAD + ROW * len(dots))) as (figure, axes):
        places = range(len(dots), 0, -1)
        for place, dot in zip(places, dots, strict=True):
            colour = TWO if dot.hollow else ONE
            if dot.low is not None and dot.high is not None:
                axes.plot([dot.low, dot.high], [place, place], color=colour, linewidth=1.3, solid_capstyle="butt")
            axes.plot([dot.value], [place], marker="s" if dot.hollow else "o", markersize=4.6, color=colour,
                      markerfacecolor=PAPER if dot.hollow else colour, linestyle="none", zorder=4)  # fmt: skip
        if level is not None:
            axes.axvline(level, color=MUTED, linewidth=1.0, linestyle="--", zorder=1)
        axes.set_yticks(list(places), [_short(dot.name) for dot in dots])
        axes.tick_params(axis="y", labelcolor=INK, length=0)
        axes.set_ylim(0.3, len(dots) + 0.7)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(unit)
        if percent:
            axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        described = "; ".join(f"{dot.name}: {dot.value:.3f}" for dot in dots)
        return as_svg(figure, name, title, described)


def _short(name: str) -> str:
    line = on_one_line(name)
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}\u2026"
