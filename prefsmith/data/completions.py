"""Answers that are there already: rows of a prompt and a completion, several to a prompt if need be."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from prefsmith.data.asked import asked
from prefsmith.data.cells import Cells
from prefsmith.data.containers import open_container
from prefsmith.data.excerpt import excerpt_names
from prefsmith.data.prompts import in_turns
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.schema import SYNONYMS, Schema, asking_columns
from prefsmith.errors import DataError
from prefsmith.records import Group


@dataclass(frozen=True, slots=True)
class Completions:
    """The answers of a file.

    Args:
        prompts: the different ones in order, each as a group without completions.
        texts: of each prompt by its key, its answers in order.
        rows: of the file.
    """

    prompts: tuple[Group, ...]
    texts: dict[str, tuple[str, ...]]
    rows: int


def read_completions(path: str | Path) -> Completions:
    """Read a file of answers; other columns are not looked at, and an answer may be empty.

    Args:
        path: what `read_groups` takes, with columns `prompt` and `completion` (or `response`, `answer`, `output`).

    Raises:
        DataError: the file cannot be read or has no rows, or a row has no prompt or no answer.
    """
    prompts: dict[str, Group] = {}
    texts: dict[str, list[str]] = {}
    schema, rows = None, 0
    for row in open_container(path).rows(Rejects()):
        schema, rows = schema or _schema(row), rows + 1
        cells = Cells(row, schema, Counter())
        group = Group(row.source, row.source, in_turns(asked(cells)), ())
        prompts.setdefault(group.prompt_key(), group)
        texts.setdefault(group.prompt_key(), []).append(_answer(cells))
    if not rows:
        fix = "is it the right file, and was it written to its end?"
        raise DataError("data.no_rows", "the file has no rows", where=str(path), fix=fix)
    return Completions(tuple(prompts.values()), {key: tuple(each) for key, each in texts.items()}, rows)


def _schema(first: Row) -> Schema:
    found = {}
    for name in ("prompt", "completion"):
        theirs = next((each for each in (name, *SYNONYMS[name]) if each in first.values), None)
        if theirs is None:
            what = f"missing {name}; the row has {excerpt_names(first.values)}"
            fix = "a file of answers has rows of prompt and completion"
            raise DataError("data.column", what, where=first.source, fix=fix)
        found[name] = theirs
    found |= {name: name for name in asking_columns(found["prompt"], first.values, {})}
    return Schema("completion", found)


def _answer(cells: Cells) -> str:
    """The text, or the contents of the messages that it is written as."""
    found = cells.content("completion")
    return found if isinstance(found, str) else "".join(message.content for message in found)
