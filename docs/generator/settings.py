"""docs/settings.md: every setting of every section."""

from collections.abc import Iterator, Sequence

from prefsmith.catalogue import Setting, chapters
from prefsmith.losses.pages import Page, pages

from .markdown import default, prose, table

HEAD = ("setting", "default", "may be", "what it does")


def settings_region() -> str:
    """The sections with a table each; below `loss`, the settings of each loss."""
    return "\n\n".join(_lines())


def _lines() -> Iterator[str]:
    for chapter in chapters():
        yield f"## {chapter.name or 'The run as a whole'}"
        if chapter.name:
            yield prose(chapter.words)
        yield _table(chapter.name, chapter.settings)
        if chapter.name == "loss":
            yield "The settings of each loss stand in the same section:"
            for page in pages():
                yield _own(page)


def _own(page: Page) -> str:
    link = f"[`{page.name}`](losses/{page.name}.md)"
    if not page.settings:
        return f"{link} has none of its own."
    return f"{link}:\n\n{_table('loss', page.settings)}"


def _table(section: str, settings: Sequence[Setting]) -> str:
    def row(each: Setting) -> tuple[str, ...]:
        key = f"{section}.{each.key}".lstrip(".")
        return f"`{key}`", default(each.default), prose(each.allowed), prose(each.words)

    return table(HEAD, map(row, settings))
