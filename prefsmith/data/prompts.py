"""Prompts alone, from rows that have nothing else or that have answers which nobody looks at."""

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from prefsmith.data import dialogue
from prefsmith.data.asked import asked
from prefsmith.data.cells import Cells
from prefsmith.data.containers import open_container
from prefsmith.data.parse import parse_row
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.schema import SYNONYMS, Schema, asking_columns, recognise
from prefsmith.errors import DataError
from prefsmith.records import Group, Message


def read_prompts(path: str | Path, *, limit: int | None = None) -> list[Group]:
    """The different prompts of a file, in order, each as a group without completions.

    Args:
        path: what `read_groups` takes; rows of any format, or with a `prompt` and nothing more.
        limit: most prompts.

    Raises:
        DataError: the file cannot be read, or a row has no prompt.
    """
    rejects = Rejects()
    groups = list(islice(stream_prompts(open_container(path).rows(rejects), rejects), limit))
    if not groups:
        fix = "is it the right file, and was it written to its end?"
        raise DataError("data.no_rows", "the file has no rows", where=str(path), fix=fix)
    return groups


def stream_prompts(rows: Iterator[Row], rejects: Rejects) -> Iterator[Group]:
    """Yield the different prompts of some rows; what is remembered of one are 16 bytes.

    Args:
        rows: as for `read_prompts`; the first one says what all are.
        rejects: collects the rows that have no prompt.

    Raises:
        DataError: the first row has no prompt, or (unless `rejects` skips) another has none.
    """
    schema: Schema | None = None
    seen: set[bytes] = set()
    for row in rows:
        schema = schema or _schema(row)
        try:
            group = _group(row, schema)
        except DataError as error:
            rejects.refuse(error, row.values)
            continue
        key = blake2b(group.prompt_key().encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            yield group


def in_turns(prompt: str | tuple[Message, ...]) -> str | tuple[Message, ...]:
    """A prompt that is a dialogue in text as its turns; every other one as it is."""
    if isinstance(prompt, str) and dialogue.is_dialogue(prompt) and (turns := dialogue.in_turns(prompt, ())):
        return turns[0]
    return prompt


def _schema(first: Row) -> Schema:
    try:
        return recognise(first, "auto", {})
    except DataError:
        names = ("prompt", *SYNONYMS["prompt"])
        theirs = next((name for name in names if name in first.values), None)
        if theirs is None:
            raise
        found = {"prompt": theirs, **{name: name for name in asking_columns(theirs, first.values, {})}}
        return Schema("prompt", found)


def _group(row: Row, schema: Schema) -> Group:
    if schema.format == "prompt":
        return Group(row.source, row.source, in_turns(asked(Cells(row, schema, Counter()))), ())
    group = parse_row(row, schema, Counter())
    return Group(group.id, group.source, group.prompt, (), tools=group.tools)
