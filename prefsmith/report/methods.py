"""Reward against KL by method: a look for each, the legend beside the drawing, and the best that any could reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from prefsmith.report.drawing import GRID, MUTED, as_svg, drawing
from prefsmith.report.plots import run_look
from prefsmith.report.visible import on_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (7.6, 4.2)
"""Inches, the legend beside it included."""
FILLED = 7
"""Looks with a filled marker; those behind them have hollow ones."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A point with its intervals, each from low to high."""

    kl: float
    reward: float
    kl_interval: tuple[float, float]
    reward_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Family:
    """A method with the settings that were tried.

    Args:
        title: its name.
        settings: what was tried, in words.
        ends: where each setting ended.
        passed: earlier points of all of them.
    """

    title: str
    settings: str
    ends: tuple[Drawn, ...]
    passed: tuple[tuple[float, float], ...] = ()


def methods_plot(
    name: str,
    title: str,
    families: Sequence[Family],
    best: Sequence[tuple[float, float]],
    *,
    most_kl: float | None = None,
) -> Markup:
    """The ends of each method with their intervals, joined by a line, below the best that any policy could reach.

    Args:
        name: unique in the page.
        title: what is drawn.
        families: in the order of the legend.
        best: the frontier, by KL.
        most_kl: draw no further than this.
    """
    reach = max((end.kl_interval[1] for family in families for end in family.ends), default=1.0) * 1.04
    right = reach if most_kl is None else min(most_kl, reach)
    with drawing(SIZE) as (figure, axes):
        top = _draw_best(axes, sorted(best), right)
        for index, family in enumerate(families):
            _draw_family(axes, index, family)
        axes.set_xlabel("KL to the start (nats)")
        axes.set_ylabel("mean true reward (nats)")
        inside = [point.reward for family in families for point in family.ends if point.kl <= right]
        low, high = min([*inside, top[0]]), max([*inside, top[1]])
        axes.set_xlim(-0.02 * right, right)
        axes.set_ylim(low - 0.06 * (high - low), high + 0.08 * (high - low))
        figure.legend(loc="outside right upper", frameon=False)
        ends = "; ".join(
            f"{family.title} {end.reward:.2f} at KL {end.kl:.2f}" for family in families for end in family.ends
        )
        return as_svg(figure, name, title, ends)


def _draw_best(axes: "Axes", curve: Sequence[tuple[float, float]], right: float) -> tuple[float, float]:
    """The frontier as far as it is known, and what nobody can reach; returns its lowest and highest reward in view."""
    kl, reward = zip(*curve, strict=True)
    axes.plot(kl, reward, color=MUTED, linestyle="-", linewidth=1.3, label="best possible")  # no method looks like it
    axes.fill_between(kl, reward, y2=max(reward) + 10, color=GRID, alpha=0.35, linewidth=0)
    seen = [each for place, each in curve if place <= right]
    return min(seen), max(seen)


def _draw_family(axes: "Axes", index: int, family: Family) -> None:
    look: dict[str, Any] = {**run_look(index), "markersize": 5.5, "fillstyle": "full" if index < FILLED else "none"}
    ends = sorted(family.ends, key=lambda end: end.kl)
    kl, reward = [end.kl for end in ends], [end.reward for end in ends]
    label = on_one_line(f"{family.title}{f' ({family.settings})' if family.settings else ''}")
    bars = {
        "xerr": _error(kl, [end.kl_interval for end in ends]),
        "yerr": _error(reward, [end.reward_interval for end in ends]),
    }
    axes.errorbar(kl, reward, **bars, elinewidth=0.9, capsize=2.0, zorder=4, label=_wrapped(label), **look)
    if family.passed:
        xs, ys = zip(*family.passed, strict=True)
        plain = {**look, "linestyle": "none", "markersize": 2.6, "alpha": 0.45}
        axes.plot(xs, ys, zorder=3, **plain)


def _error(values: Sequence[float], intervals: Sequence[tuple[float, float]]) -> list[list[float]]:
    below = [max(0.0, value - low) for value, (low, _) in zip(values, intervals, strict=True)]
    above = [max(0.0, high - value) for value, (_, high) in zip(values, intervals, strict=True)]
    return [below, above]


def _wrapped(text: str, width: int = 30) -> str:
    """A legend's entry on as many lines as it takes."""
    from textwrap import wrap

    return "\n".join(wrap(text, width)) or text
