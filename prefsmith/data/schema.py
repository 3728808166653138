"""What a file's rows are: recognised from the columns of the first, and said.

Formats:
    preference   prompt, chosen, rejected: texts or lists of messages; the sides may repeat the prompt
    dialogue     chosen, rejected without a prompt: both hold the whole dialogue up to their last answer
    rating       prompt, completion, label: thumbs up or down
    completion   prompt, completion: plain examples, as desirable completions
In the last two, `messages` may stand for prompt and completion: its last message is the completion. In the first two a
winner column may say which of two answers is the chosen one, row by row.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from prefsmith.data.excerpt import excerpt, excerpt_names, excerpt_row
from prefsmith.data.rows import Row
from prefsmith.data.winner import Sides, likely_sides, naming_columns, usual_sides
from prefsmith.errors import ConfigError, DataError, nearest

REQUIRED = {
    "preference": ("prompt", "chosen", "rejected"),
    "dialogue": ("chosen", "rejected"),
    "rating": ("prompt", "completion", "label"),
    "completion": ("prompt", "completion"),
}
LABELLING = (
    "winner",
    "prob",
    "weight",
)  # what these say of a row changes what it teaches, so every row has them or none
DESCRIBING = ("id", "system", "tools", "tags")  # a row may have these or not
# What files call these columns, beside our own names. Anything else is told through data.columns.
SYNONYMS = {
    "prob": ("probability", "preference_prob", "preference_probability"),
    "prompt": ("question", "instruction", "conversations"),
    "messages": ("conversations", "conversation"),
    "completion": ("response", "answer"),
}


FORMS = """\
  Rows that are read, by their columns (docs/data.md shows each):
    pairs      prompt, chosen, rejected
    dialogues  chosen, rejected: lists of messages, or texts with Human: and Assistant: turns
    two sides  prompt, response_a, response_b, winner
    ratings    prompt, completion, label; or messages, label
    examples   prompt, completion; or messages"""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file's rows are.

    Args:
        format: a key of `REQUIRED`.
        columns: our name of a column -> the file's.
        unused: columns of the first row that nothing reads.
        sides: the two columns of answers, where a third says which is the chosen one.
    """

    format: str
    columns: Mapping[str, str]
    unused: tuple[str, ...] = ()
    sides: Sides | None = None

    def turned_round(self) -> "Schema":
        """For a row whose rejected side is the winner."""
        swapped = {"chosen": self.columns["rejected"], "rejected": self.columns["chosen"]}
        return replace(self, columns={**self.columns, **swapped})

    def describe(self) -> str:
        """What was recognised, in a line."""
        renamed = [f"{ours} from {theirs}" for ours, theirs in self.columns.items() if ours != theirs]
        parts = [f"{self.format} rows ({', '.join(self.columns)})"]
        parts += [f"{', '.join(renamed)}"] if renamed else []
        if self.sides is not None:
            parts += [f"a row is turned round where {self.sides.column} names {self.sides.second}; a tie is prob 0.5"]
        parts += [f"not read: {excerpt_names(self.unused)}"] if self.unused else []
        return "; ".join(parts)


def recognise(row: Row, format: str, columns: Mapping[str, str]) -> Schema:
    """What the file's rows are, from the columns of its first.

    Raises:
        ConfigError: `columns` maps a name that we do not have, or a winner without two answers.
        DataError: the columns of no format are there, or one says who won and would not be read.
    """
    ours = {name for names in REQUIRED.values() for name in names} | {*LABELLING, *DESCRIBING, "messages"}
    _check_map(row, columns, ours)
    found: dict[str, str] = {}
    for name in sorted(ours - {"winner"}):  # a column of this name beside chosen and rejected may be about anything
        names = (columns[name],) if name in columns else (name, *SYNONYMS.get(name, ()))
        if (theirs := next((candidate for candidate in names if candidate in row.values), None)) is not None:
            found[name] = theirs
    sides = _sides(row, found, format, columns)
    if sides is not None:
        found |= {"chosen": sides.first, "rejected": sides.second, "winner": sides.column}
    kind = _kind(found, row, format, columns)
    used = _used(kind, found)
    kept = {name: found[name] for name in (*used, *LABELLING, *DESCRIBING) if name in found}
    unused = tuple(name for name in row.values if name not in kept.values())
    schema = Schema(kind, kept, unused, sides)
    _check_verdicts(row, schema)
    return schema


def _check_map(row: Row, columns: Mapping[str, str], ours: set[str]) -> None:
    for name, theirs in columns.items():
        if name not in ours:
            raise ConfigError("data.columns", f"we have no column {name}", where=f"data.columns.{name}",
                              fix=nearest(name, sorted(ours)))  # fmt: skip
        if theirs not in row.values:
            what = f"missing {theirs}, which data.columns.{name} names; the row has {excerpt_names(row.values)}"
            raise DataError("data.column", what, where=row.source, fix=_nearest_of(theirs, row))


def _sides(row: Row, found: Mapping[str, str], format: str, columns: Mapping[str, str]) -> Sides | None:
    """The answers that a winner column is about: those of the map, or those of a common layout."""
    if "winner" not in columns:
        pairs_wanted = format in ("auto", "preference", "dialogue")
        return usual_sides(row.values) if pairs_wanted and not {"chosen", "rejected"} & found.keys() else None
    if format in ("rating", "completion") or not {"chosen", "rejected"} <= found.keys():
        what = "a winner is named, but not the two columns that it is about"
        fix = "name them too: data.columns.chosen=<first column> data.columns.rejected=<second column>"
        raise ConfigError("data.columns", what, where="data.columns.winner", fix=fix)
    return Sides(found["chosen"], found["rejected"], columns["winner"])


def _check_verdicts(row: Row, schema: Schema) -> None:
    """A verdict that nobody reads, or two labels that may clash, would train on answers that lost."""
    if schema.sides is not None and "prob" in schema.columns:
        what = f"{schema.sides.column} says who won, and {schema.columns['prob']} how probably chosen is better"
        fix = "leave one of the two out of the file: it is not clear which answer the probability is about"
        raise DataError("data.winner", what, where=row.source, fix=fix)
    if schema.sides is not None or not {"chosen", "rejected"} <= schema.columns.keys():
        return
    first, second = schema.columns["chosen"], schema.columns["rejected"]
    unread = [name for name in naming_columns(row.values, first, second) if name in schema.unused]
    if unread and (first, second) != ("chosen", "rejected"):
        what = f"{excerpt(unread[0])} is {excerpt(repr(row.values[unread[0]]))} and may say who won, but is not read"
        fix = f"add data.columns.winner={unread[0]}, or leave the column out of the file if it says something else"
        raise DataError("data.winner", what, where=row.source, fix=fix)


def _kind(found: Mapping[str, str], row: Row, format: str, columns: Mapping[str, str]) -> str:
    for kind in REQUIRED if format == "auto" else [format]:
        if all(name in found for name in _used(kind, found)):
            return kind
    wanted = REQUIRED[format] if format != "auto" else _likeliest(found)
    missing = [name for name in wanted if name not in found]
    named = ", ".join(excerpt(columns.get(name, name)) for name in missing)
    what = f"missing {named}; the row has {excerpt_names(row.values)}"
    if not {*wanted, "messages"} - {"label"} & found.keys():
        what = f"these rows are no preference data: {what}"
    fix = f"{_proposed_map(row, found, missing)}\n{FORMS}"
    raise DataError("data.column", f"{what}\n  row:   {excerpt_row(row.values)}", where=row.source, fix=fix)


def _proposed_map(row: Row, found: Mapping[str, str], missing: list[str]) -> str:
    """What to type so that the columns of the row are read."""
    words = {name: difflib.get_close_matches(name, row.values, n=1) for name in missing}
    if "chosen" in missing and (sides := likely_sides(row.values)) is not None:
        words |= {"chosen": [sides.first], "rejected": [sides.second], "winner": [sides.column]}
    typed = " ".join(
        f"data.columns.{name}={excerpt(theirs[0], 40) if theirs else '<your column>'}" for name, theirs in words.items()
    )
    return f"say which columns are meant: {typed}"


def _nearest_of(name: str, row: Row) -> str:
    """The column that was probably meant, or those that are there."""
    known = [excerpt(each, 40) for each in row.values]
    return nearest(name, known[:16])


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
    for name in (name for name in ("prob", "weight") if name not in schema.columns):
        for theirs in (name, *SYNONYMS.get(name, ())):
            if row.values.get(theirs) is not None and theirs not in (*schema.columns.values(), *schema.unused):
                what, fix = f"the row has {theirs}, which the first row lacks", "give the first row this column too"
                raise DataError("data.column", what, where=row.source, fix=fix)
