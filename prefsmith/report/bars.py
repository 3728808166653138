"""Counts as bars and as steps; what a bar or a line is, its hatches or dashes say as well as its colour."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from prefsmith.report.drawing import INK, ONE, PAPER, TWO, as_svg, drawing
from prefsmith.report.visible import on_one_line

WIDTH, HEAD, ROW = 5.2, 0.95, 0.27
"""Inches: of the drawing, of what stands around the bars, of a bar."""
_LOOKS = ((TWO, ""), (ONE, "////"), (PAPER, ""))
"""Colour and hatch of each part of a bar, the weightiest first."""


def stacked_bars(name: str, title: str, unit: str, rows: Sequence[tuple[str, Sequence[int]]], parts: Sequence[str]
                 ) -> Markup:  # fmt: skip
    """A bar a row, its parts side by side in it; the first row at the top, the legend above all of them.

    Args:
        name: unique in the page.
        title: what is drawn.
        unit: label of the axis.
        rows: name and a count for each part.
        parts: names of at most three parts.
    """
    from matplotlib.ticker import MaxNLocator

    with drawing((WIDTH, HEAD + ROW * len(rows))) as (figure, axes):
        places = list(range(len(rows), 0, -1))
        start = [0] * len(rows)
        for part, (label, (colour, hatch)) in enumerate(zip(parts, _LOOKS, strict=False)):
            counts = [row[1][part] for row in rows]
            axes.barh(places, counts, left=start, height=0.62, label=label, facecolor=colour, hatch=hatch,
                      edgecolor=PAPER if hatch else INK, linewidth=0.0 if hatch else 0.8, zorder=3)  # fmt: skip
            start = [before + count for before, count in zip(start, counts, strict=True)]
        axes.set_yticks(places, [on_one_line(row[0]) for row in rows])
        axes.tick_params(axis="y", labelcolor=INK, length=0)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0, max(1, *start) * 1.04)
        axes.set_xlabel(unit)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=len(parts))
        said = "; ".join(
            f"{row[0]}: " + ", ".join(f"{count} {part}" for count, part in zip(row[1], parts, strict=True))
            for row in rows
        )
        return as_svg(figure, name, title, said)


def steps_plot(
    name: str, title: str, unit: str, edges: Sequence[float], counts: Mapping[str, Sequence[int]], *,
    even: bool = False, level: float | None = None,
) -> Markup:  # fmt: skip
    """Counts between edges as steps, one line for each name, the legend above them.

    Args:
        name: unique in the page.
        title: what is drawn.
        unit: label of the horizontal axis.
        edges: one more than there are counts.
        counts: of at most two things.
        even: the edges are numbers on an even scale; otherwise each bin has the same width, with its lower edge below.
        level: a value on an even scale with a meaning of its own, drawn as a dashed line.
    """
    with drawing((WIDTH, 2.7)) as (figure, axes):
        at = list(edges) if even else list(range(len(edges)))
        for (label, values), (colour, dashes) in zip(counts.items(), ((ONE, "-"), (TWO, "--")), strict=False):
            axes.stairs(values, at, color=colour, linestyle=dashes, linewidth=1.6, label=label, zorder=4)
        if not even:
            shown = range(0, len(edges), -(-len(edges) // 9))
            axes.set_xticks(list(shown), [f"{edges[place]:,.0f}" for place in shown])
        if level is not None:
            axes.axvline(level, color=INK, linewidth=0.9, linestyle=":", zorder=2)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(unit)
        axes.set_ylabel("pairs")
        if len(counts) > 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, handlelength=3)
        said = "; ".join(f"{label}: {', '.join(map(str, values))}" for label, values in counts.items())
        return as_svg(figure, name, title, f"Counts between {', '.join(f'{edge:g}' for edge in edges)}. {said}")
