"""How often pairs that are told apart with a sureness are told right, as a drawing."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from prefsmith.report.drawing import MUTED, ONE, as_svg, drawing

SIZE = (4.8, 3.8)
"""Inches: both axes have the same scale."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Pairs of like sureness: how sure, the share that is right with its interval, and how many they are."""

    sureness: float
    right: float
    low: float
    high: float
    n: int


def reliability_plot(name: str, bins: Sequence[Reliability]) -> Markup:
    """Share right against sureness; on the line the probabilities mean what they say.

    Args:
        name: unique in the page.
        bins: at least one.
    """
    with drawing(SIZE) as (figure, axes):
        axes.plot([0.5, 1.0], [0.5, 1.0], color=MUTED, linestyle="--", linewidth=1.0, zorder=1)
        axes.errorbar(
            [each.sureness for each in bins],
            [each.right for each in bins],
            yerr=[
                [max(0.0, each.right - each.low) for each in bins],
                [max(0.0, each.high - each.right) for each in bins],
            ],
            color=ONE,
            marker="o",
            markersize=5.0,
            linestyle="none",
            elinewidth=1.1,
            capsize=2.5,
            zorder=4,
        )
        axes.set_xlim(0.48, 1.02)
        axes.set_ylim(min([0.48, *(each.low for each in bins)]) - 0.02, 1.02)
        axes.set_xlabel("sureness")
        axes.set_ylabel("share right")
        parts = (f"sure {each.sureness:.2f}, right {each.right:.2f} of {each.n}" for each in bins)
        return as_svg(figure, name, "Share right against sureness", "; ".join(parts))
