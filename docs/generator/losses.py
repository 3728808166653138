"""docs/losses/: a table of the losses, and a page for each."""

from collections.abc import Iterator

from prefsmith.losses.pages import GROUPS, Page, pages

from .markdown import default, prose, table


def losses_region() -> str:
    """The tables of docs/losses/README.md, one for each kind of data."""
    head = ("name", "what it does", "settings", "soft labels", "across the step")
    parts = []
    for group, title in GROUPS.items():
        rows = [_row(page) for page in pages() if page.group == group]
        parts += [f"## {title}", table(head, rows)] if rows else []
    return "\n\n".join(parts)


def loss_pages() -> dict[str, str]:
    """The page of each loss, by its name."""
    return {page.name: "\n\n".join(_page(page)) + "\n" for page in pages()}


def _row(page: Page) -> tuple[str, ...]:
    settings = ", ".join(f"`{each.key}` {default(each.default)} ({each.limits or each.kind})" for each in page.settings)
    return (
        f"[`{page.name}`]({page.name}.md)",
        prose(page.summary),
        settings or "none",
        "yes" if page.entry.soft_labels else "refused",
        "yes" if page.entry.across_step else "no",
    )


def _page(page: Page) -> Iterator[str]:
    yield f"<!-- Written by `make docs` from the docstring of {page.name}: edit {_source(page)}. -->"
    yield f"# {page.name}"
    yield prose(page.summary)
    for paragraph in page.body:
        yield paragraph if paragraph.startswith(" ") else prose(paragraph)
    yield "## Settings"
    settings = [
        (f"`loss.{each.key}`", default(each.default), prose(each.allowed), prose(each.words)) for each in page.settings
    ]
    yield table(("setting", "default", "may be", "what it does"), settings) if settings else "None of its own."
    yield "## What it declares"
    yield table(("fact", "value"), ((name, prose(value)) for name, value in page.facts.items()))
    yield "## Example"
    yield f"```bash\n.venv/bin/{page.example}\n```"
    yield "## Source"
    yield prose(page.source)


def _source(page: Page) -> str:
    return page.entry.fn.__module__.replace(".", "/") + ".py"
