"""What a file's rows are: recognised from the columns of the first, and said.

Formats:
    preference   prompt, chosen, rejected: texts or lists of messages; the sides may repeat the prompt
    dialogue     chosen, rejected without a prompt: both hold the whole dialogue up to their last answer
    rating       prompt, completion, label: thumbs up or down
    completion   prompt, completion: plain examples, as desirable completions
In the last two, `messages` may stand for prompt and completion: its last message is the completion.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from prefsmith.data.read import Row
from prefsmith.errors import ConfigError, DataError, nearest

REQUIRED = {
    "preference": ("prompt", "chosen", "rejected"),
    "dialogue": ("chosen", "rejected"),
    "rating": ("prompt", "completion", "label"),
    "completion": ("prompt", "completion"),
}
LABELLING = ("prob", "weight")  # what these say of a row changes what it teaches, so every row has them or none
DESCRIBING = ("id", "system", "tools", "tags")  # a row may have these or not
# What files call these columns, beside our own names. Anything else is told through data.columns.
SYNONYMS = {
    "prob": ("probability", "preference_prob", "preference_probability"),
    "prompt": ("question", "instruction", "conversations"),
    "messages": ("conversations",),
    "completion": ("response", "answer"),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file's rows are.

    Args:
        format: a key of `REQUIRED`.
        columns: our name of a column -> the file's.
        unused: columns of the first row that nothing reads.
    """

    format: str
    columns: Mapping[str, str]
    unused: tuple[str, ...] = ()

    def describe(self) -> str:
        """What was recognised, in a line."""
        renamed = [f"{ours} from {theirs}" for ours, theirs in self.columns.items() if ours != theirs]
        parts = [f"{self.format} rows ({', '.join(self.columns)})"]
        parts += [f"{', '.join(renamed)}"] if renamed else []
        parts += [f"not read: {', '.join(self.unused)}"] if self.unused else []
        return "; ".join(parts)


def recognise(row: Row, format: str, columns: Mapping[str, str]) -> Schema:
    """What the file's rows are, from the columns of its first.

    Raises:
        ConfigError: `columns` maps a name that we do not have.
        DataError: the columns of no format are there.
    """
    ours = {name for names in REQUIRED.values() for name in names} | {*LABELLING, *DESCRIBING, "messages"}
    for name in columns:
        if name not in ours:
            raise ConfigError("data.columns", f"we have no column {name}", where=f"data.columns.{name}",
                              fix=nearest(name, sorted(ours)))  # fmt: skip
        if columns[name] not in row.values:
            what = f"missing {columns[name]}, which data.columns.{name} names; the row has {', '.join(row.values)}"
            raise DataError("data.column", what, where=row.source, fix=nearest(columns[name], row.values))
    found: dict[str, str] = {}
    for name in sorted(ours):
        names = (columns[name],) if name in columns else (name, *SYNONYMS.get(name, ()))
        if (theirs := next((candidate for candidate in names if candidate in row.values), None)) is not None:
            found[name] = theirs
    kind = _kind(found, row, format, columns)
    used = _used(kind, found)
    kept = {name: found[name] for name in (*used, *LABELLING, *DESCRIBING) if name in found}
    unused = tuple(name for name in row.values if name not in kept.values())
    return Schema(kind, kept, unused)


def _kind(found: Mapping[str, str], row: Row, format: str, columns: Mapping[str, str]) -> str:
    for kind in REQUIRED if format == "auto" else [format]:
        if all(name in found for name in _used(kind, found)):
            return kind
    wanted = REQUIRED[format] if format != "auto" else _likeliest(found)
    missing = [name for name in wanted if name not in found]
    hints = [f"{name}: {nearest(columns.get(name, name), row.values)}" for name in missing]
    example = f"data.columns.{missing[0]}=<your column>"
    raise DataError(
        "data.column",
        f"missing {', '.join(columns.get(name, name) for name in missing)}; the row has {', '.join(row.values)}",
        where=row.source,
        fix=f"name your column with {example} ({'; '.join(hints)})",
    )


def _used(kind: str, found: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that make a row of this kind; one list of messages may stand for prompt and completion."""
    if kind in ("rating", "completion") and "messages" in found and "completion" not in found:
        return ("messages", *(name for name in REQUIRED[kind] if name not in ("prompt", "completion")))
    return REQUIRED[kind]


def _likeliest(found: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that the file was probably meant to have."""
    if "label" in found:
        return REQUIRED["rating"]
    return REQUIRED["completion" if "completion" in found else "preference"]


def refuse_late_columns(row: Row, schema: Schema) -> None:
    """A probability or weight that only later rows have would mean that the first ones are sure in silence.

    Raises:
        DataError: the row has such a column and the first one had not.
    """
    for name in (name for name in LABELLING if name not in schema.columns):
        for theirs in (name, *SYNONYMS.get(name, ())):
            if row.values.get(theirs) is not None and theirs not in (*schema.columns.values(), *schema.unused):
                what, fix = f"the row has {theirs}, which the first row lacks", "give the first row this column too"
                raise DataError("data.column", what, where=row.source, fix=fix)
