"""Which pages are generated, and whether those on disk are what would be written now."""

from pathlib import Path

from .commands import commands_region
from .errors import errors_page
from .losses import loss_pages, losses_region
from .regions import filled
from .settings import settings_region

DOCS = Path(__file__).parents[1]


def write(docs: Path = DOCS) -> list[str]:
    """Write every generated page; returns what only a person can mend."""
    pages, wrong = generate(docs)
    for name, text in pages.items():
        (docs / name).write_text(text, encoding="utf-8")
    for name in _leftovers(docs, pages):
        (docs / name).unlink()
    return wrong


def check(docs: Path = DOCS) -> list[str]:
    """What is wrong with the generated pages on disk; empty where `make docs` would change nothing."""
    pages, wrong = generate(docs)
    stale = [name for name, text in pages.items() if not (docs / name).is_file() or _read(docs / name) != text]
    return [*wrong, *(f"docs/{name} is stale: run `make docs`" for name in (*stale, *_leftovers(docs, pages)))]


def generate(docs: Path) -> tuple[dict[str, str], list[str]]:
    """Every generated page by its name below docs/, and what is wrong with what is written by hand."""
    errors, wrong = errors_page(_read(docs / "errors.md"))
    return {
        "settings.md": filled(_read(docs / "settings.md"), {"settings": settings_region()}),
        "commands.md": filled(_read(docs / "commands.md"), {"commands": commands_region()}),
        "losses/README.md": filled(_read(docs / "losses" / "README.md"), {"losses": losses_region()}),
        **{f"losses/{name}.md": text for name, text in loss_pages().items()},
        "errors.md": errors,
    }, [f"docs/errors.md: {each}" for each in wrong]


def _leftovers(docs: Path, pages: dict[str, str]) -> list[str]:
    """Pages of losses that are no more."""
    names = [f"losses/{path.name}" for path in sorted((docs / "losses").glob("*.md"))]
    return [name for name in names if name not in pages]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
