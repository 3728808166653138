"""Rows to evaluate on: preference files, and benchmarks of pairs as they are published.

A benchmark of pairs holds two answers, `a` and `b`, and beside them what people (`human`) or a check of the answer
(`gold`) said. To train on such a file its columns are mapped by hand; here the layout alone is taken for that map.
"""

from collections.abc import Mapping
from pathlib import Path

from prefsmith.data.containers import open_container
from prefsmith.data.groups import Reading, read_groups
from prefsmith.data.rejects import Rejects
from prefsmith.data.winner import Sides

VERDICTS = ("human", "gold")
"""Columns of a benchmark that say whether `a` or `b` is better."""
KINDS = ("subset", "source", "category", "scenario")
"""Columns that say what a row is about, where it has no `tags`."""


def read_held_out(
    path: str | Path,
    *,
    columns: Mapping[str, str],
    limit: int | None = None,
    rejects: Rejects | None = None,
) -> Reading:
    """Read a file to evaluate on; what is not given in `columns` is told from the first row.

    Args:
        path: what `read_groups` takes.
        columns: our name of a column -> the file's.
        limit: most rows that are read.
        rejects: collects the rows that cannot be used. Without it the first one raises.

    Raises:
        DataError: the file cannot be read, holds no usable row, or holds a bad row and `rejects` does not skip.
        ConfigError: `columns` names something we do not know.
    """
    first = next(open_container(path, "eval").rows(Rejects(skip=True)), None)
    told = usual_columns({} if first is None else first.values)
    if {"chosen", "rejected", "winner"} & columns.keys():
        told = {name: theirs for name, theirs in told.items() if name == "tags"}
    return read_groups(path, columns={**told, **columns}, limit=limit, rejects=rejects, side="eval")


def usual_columns(values: Mapping[str, object]) -> dict[str, str]:
    """The map of a benchmark's row, and the column that says what a row is about; empty where neither is clear."""
    told: dict[str, str] = {}
    verdicts = [name for name in VERDICTS if name in values]
    sides = {"a", "b"} <= values.keys() and not {"chosen", "rejected"} & values.keys()
    if sides and len(verdicts) == 1 and Sides("a", "b", verdicts[0]).names(values[verdicts[0]]) is not None:
        told |= {"chosen": "a", "rejected": "b", "winner": verdicts[0]}
    kinds = [name for name in KINDS if isinstance(values.get(name), str)]
    if "tags" not in values and kinds:
        told["tags"] = kinds[0]
    return told
