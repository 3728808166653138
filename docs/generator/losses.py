"""docs/losses/: a table of the losses, and a page for each."""

from collections.abc import Iterator

from prefsmith.losses.pages import Page, pages

from .markdown import default, prose, table


def losses_region() -> str:
    """The table of docs/losses/README.md."""
    head = ("name", "reads", "reference", "settings", "soft labels", "across the step")
    return table(head, map(_row, pages()))


def loss_pages() -> dict[str, str]:
    """The page of each loss, by its name."""
    return {page.name: "\n\n".join(_page(page)) + "\n" for page in pages()}


def _row(page: Page) -> tuple[str, ...]:
    settings = ", ".join(f"`{each.key}` {default(each.default)} ({each.limits or each.kind})" for each in page.settings)
    return (
        f"[`{page.name}`]({page.name}.md)",
        page.reads,
        "yes" if page.entry.needs_reference else "no",
        settings or "none",
        prose(page.soft_labels),
        "yes" if page.entry.across_step else "no",
    )


def _page(page: Page) -> Iterator[str]:
    entry = page.entry
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
    start = ", ".join(f"{value:.6g} ({label})" for label, value in (page.start or {}).items())
    domain = f"computed as it stands for log-ratios in {entry.domain}, beyond along the tangent"
    facts = {
        "reads": page.reads,
        "reference": "needed" if entry.needs_reference else "none",
        "its unit": prose(page.value),
        "where policy equals reference, with the defaults": start or "depends on the policy alone",
        "first move": page.first_move,
        "soft labels": prose(page.soft_labels),
        "across the step": "depends on the other rows of the step"
        if entry.across_step
        else "each row stands by itself",
        "domain": domain,
    }
    yield table(("fact", "value"), facts.items())
    yield "## Example"
    yield f"```bash\n.venv/bin/{page.example}\n```"
    yield "## Source"
    yield prose(page.source)


def _source(page: Page) -> str:
    return page.entry.fn.__module__.replace(".", "/") + ".py"
