"""From a matplotlib figure to an SVG that takes its colours and its font from the page around it.

The same values give the same bytes: no date, no random ids. Colours are drawn as marks that the page's variables
replace, so that one drawing serves light and dark; what a line is, its dashes and markers say as well.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from prefsmith.report.visible import on_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, ONE, TWO, PAPER = (f"#0{number}0{number}0{number}" for number in range(1, 7))
"""Marks that stand for the page's colours."""
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", ONE: "one", TWO: "two", PAPER: "paper"}
SIZE = (4.0, 2.4)
"""Inches of a drawing: its letters are legible both on a phone's width and in a column of a wide page."""
_LOOK: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, and in the page's font
    "svg.hashsalt": "prefsmith",
    "text.parse_math": False,  # a name with dollar signs is a name
    "text.usetex": False,
    "font.size": 9.0,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
}


@contextmanager
def drawing(size: tuple[float, float] = SIZE) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure of so many inches and its axes in the page's look; matplotlib's settings are as before afterwards."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams  # typed by its keys, which are many
        settings.update(_LOOK)
        warnings.filterwarnings(
            "ignore", message=r"Glyph .* missing from font"
        )  # the page's font has it, or shows a box
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.add_subplot()


def as_svg(figure: "Figure", name: str, title: str, description: str) -> Markup:
    """The figure as an SVG element.

    Args:
        figure: drawn inside `drawing`.
        name: unique in the page; every id begins with it.
        title: what the drawing is, for those who do not see it.
        description: what it shows, in a sentence.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<style\b.*?</style>", "", text, flags=re.S)
    text = _with_own_ids(text, name)
    for mark, variable in _VARIABLES.items():
        text = text.replace(mark, f"var(--{variable})")
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r"\n\s*", "\n", text).replace("<defs>\n</defs>\n", "")
    box = re.search(r'viewBox="[^"]*"', text)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box[0] if box else ""} role="img" aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{escape(on_one_line(title))}</title>'
        f'<desc id="{name}-description">{escape(on_one_line(description))}</desc>'
    )
    return Markup(re.sub(r"<svg\b[^>]*>", lambda _: head, text, count=1))


def _with_own_ids(text: str, name: str) -> str:
    """Ids that are referred to, with the drawing's name in front; the others are dropped."""
    used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    return re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
