"""`prefsmith losses`."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
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

NARROW = 72  # columns below which nothing fits beside the names
WIDEST = 120


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
    """The losses below the headings of what they read, what each does beside or, where it is narrow, below its name."""
    from prefsmith.losses.pages import GROUPS  # inside: --help answers without torch

    longest = max(len(page.name) for page in pages)
    for group, title in GROUPS.items():
        members = [page for page in pages if page.group == group]
        if members:
            yield from (*_wrapped(title, width), "")
        for page in members:
            facts = f"{page.summary} {_facts(page)}"
            if width < NARROW:
                yield from (f"  {page.name}", *_wrapped(facts, width, indent="      "))
            else:
                first, *rest = _wrapped(facts, width - longest - 4)
                yield f"  {page.name:<{longest}}  {first}"
                yield from (" " * (longest + 4) + line for line in rest)
        if members:
            yield ""
    yield from _wrapped("prefsmith losses NAME shows the page of one.", width)


def _facts(page: "Page") -> str:
    """The settings with their defaults, and what is special about the data that it takes."""
    settings = [f"{each.key}={_number(each.default)}" for each in page.settings]
    special = ["soft labels"] if page.entry.soft_labels else []
    special += ["needs scores"] if {"scores", "score_order"} & page.entry.needs else []
    special += ["looks across the step"] if page.entry.across_step else []
    return f"[{'; '.join([', '.join(settings) or 'no settings', *special])}]"


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
    settings = [f"loss.{each.key} [{_number(each.default)}]  {each.words} ({each.allowed})" for each in page.settings]
    facts = {name: value.rstrip(".") for name, value in page.facts.items()}
    return {
        "Settings": settings or ["none"],
        "What it declares": [f"{name}: {value}." for name, value in facts.items()],
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
