"""`prefsmith losses`."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefsmith.cli.terminal import say

if TYPE_CHECKING:
    from prefsmith.losses.pages import Page

HELP = """Show every loss, or the page of one.

For example:

    prefsmith losses
    prefsmith losses ipo
    prefsmith losses --json

A page has the formula, what each setting does and may be, what a soft label means, and where the loss comes from. \
To train with a loss, give loss.name=ipo, and its settings as loss.tau=0.2.
"""

NARROW = 80  # columns below which a table of six columns cannot be read
WIDEST = 120
RULED = "    \n    \n -- \n" + "    \n" * 5  # rich's picture of a box: a rule below the head, and nothing else


def losses(
    name: Annotated[str | None, Parameter(help="A loss, for its page.")] = None,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="For programs.")] = False,
) -> None:
    """Show every loss, or the page of one."""
    from prefsmith.losses.pages import page, pages  # inside: --help answers without torch

    if as_json:
        found = page(name).to_json() if name is not None else [each.to_json() for each in pages()]
        say(json.dumps(found, indent=1))
        return
    width = min(shutil.get_terminal_size().columns, WIDEST)
    lines = _page(page(name), width) if name is not None else _table(pages(), width)
    say("\n".join(lines))


def _table(pages: Sequence["Page"], width: int) -> Iterator[str]:
    """The losses beside each other, or one below the other where the terminal is narrow."""
    if width < NARROW:
        for each in pages:
            yield each.name
            for head, parts in _facts(each).items():
                yield from _wrapped(f"{head}: {', '.join(parts)}", width, indent="  ", hanging="  ")
            yield ""
    else:
        yield from _rich_table(pages, width)
        yield ""
    yield from _wrapped("prefsmith losses NAME shows the page of one.", width)


def _rich_table(pages: Sequence["Page"], width: int) -> Iterator[str]:
    from rich import box  # inside: --help answers without it
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.Box(RULED, ascii=True), show_edge=False, width=width, pad_edge=False)
    longest = max((len(each.key) for page in pages for each in page.settings), default=1)
    for head in ("name", *_facts(pages[0])):
        table.add_column(head, no_wrap=head == "name", overflow="fold", min_width=longest if head == "settings" else 6)
    for each in pages:
        table.add_row(each.name, *(Text("\n".join(parts)) for parts in _facts(each).values()))
    drawn = StringIO()
    Console(file=drawn, width=width, no_color=True, force_terminal=False, legacy_windows=False).print(table)
    yield from (line.rstrip() for line in drawn.getvalue().rstrip().split("\n"))


def _facts(page: "Page") -> dict[str, list[str]]:
    """What the cells of a loss's row hold, by the head of their column."""
    settings = [f"{each.key} {_number(each.default)} ({each.limits or each.kind})" for each in page.settings]
    return {
        "reads": [page.reads],
        "reference": ["yes" if page.entry.needs_reference else "no"],
        "settings": settings or ["none"],
        "soft labels": [page.soft_labels],
        "across step": ["yes" if page.entry.across_step else "no"],
    }


def _page(page: "Page", width: int) -> Iterator[str]:
    yield from _wrapped(f"{page.name}: {page.summary}", width)
    for paragraph in page.body:
        yield ""
        for line in paragraph.split("\n"):
            yield from _wrapped(line, width, hanging="    " if line.startswith(" ") else "")
    for head, entries in _details(page).items():
        yield from ("", head)
        for entry in entries:
            yield from _wrapped(entry, width, indent="  ", hanging="  ")
    yield from ("", "Example")
    yield " \\\n".join(_wrapped(page.example, width - 2, indent="  ", hanging="  "))


def _details(page: "Page") -> dict[str, list[str]]:
    """What follows the text of a page, by heading."""
    entry = page.entry
    settings = [f"loss.{each.key} [{_number(each.default)}]  {each.words} ({each.allowed})" for each in page.settings]
    start = page.start
    values = ", ".join(f"{value:.6g} ({label})" for label, value in (start or {}).items())
    across = "It depends on the other rows of the step." if entry.across_step else "Each row's stands by itself."
    measured = "log-ratios" if entry.needs_reference else "log-probabilities"
    domain = f"Computed as it stands for {measured} in {entry.domain}, beyond along the tangent."
    return {
        "Settings": settings or ["none"],
        "What it reads": [f"{page.reads}; {'a reference is needed' if entry.needs_reference else 'no reference'}."],
        "Value": [
            page.value,
            f"Where policy equals reference, with the defaults: {values}."
            if start
            else "It depends on the policy alone.",
            across,
            domain,
        ],
        "First move": [f"{page.first_move}."],
        "Soft labels": [f"{page.soft_labels}."],
        "Source": [page.source],
    }


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _wrapped(text: str, width: int, *, indent: str = "", hanging: str = "") -> list[str]:
    """A line as lines that fit, never without a line."""
    lead = indent + text[: len(text) - len(text.lstrip())]
    lines = textwrap.wrap(
        text.strip(), width, initial_indent=lead, subsequent_indent=lead + hanging, break_on_hyphens=False
    )
    return lines or [""]
