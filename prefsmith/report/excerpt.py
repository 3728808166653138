"""What a page says of evidence that has a page of its own: the result, the main drawing, its table, and a link."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

Cell = tuple[str, ...]
"""What a cell says, and below it, a line each, its interval and what it is of."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing and the sentence below it."""

    svg: Markup
    caption: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: the first cell of a row is its name; `rule` says how to read it."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The main part of some evidence.

    Args:
        title: what was measured.
        results: a sentence each, the first one first.
        drawings: the main ones.
        grids: the table of each drawing.
        warnings: what has to be known.
        weights: sha256 of the folders of the models that it is about (`files.model_files`); None where it is about no
            model, empty where it does not say which.
    """

    title: str
    results: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    grids: tuple[Grid, ...]
    warnings: tuple[str, ...] = ()
    weights: frozenset[str] | None = None


def grid(name: str, header: Sequence[str], rows: Iterable[Sequence[str]], rule: str = "") -> Grid:
    """A table of cells that are a line each."""
    return Grid(name, tuple(header), tuple(tuple((cell,) for cell in row) for row in rows), rule)
