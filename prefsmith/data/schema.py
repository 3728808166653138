"""What a file's rows are: recognised from the columns of the first, and said.

Formats:
    preference   prompt, chosen, rejected: texts or lists of messages; the sides may repeat the prompt
    dialogue     chosen, rejected without a prompt: both hold the whole dialogue up to their last answer
    ranked       prompt, completions and their scores or ranks, in two lists or in a list of objects
    rating       prompt, completion, label: thumbs up or down
    completion   prompt, completion: plain examples, as desirable completions
In the last two, `messages` may stand for prompt and completion: its last message is the completion. In the first two a
winner column may say which of two answers is the chosen one, row by row. A prompt called `instruction` may go on in
`input`, and have earlier turns in `history`, as Alpaca's rows do.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from prefsmith.data.excerpt import excerpt, excerpt_names, excerpt_row
from prefsmith.data.listing import COLUMNS, Listing, find_listing, keys_inside, list_of
from prefsmith.data.rows import Row
from prefsmith.data.voted import voted_sides
from prefsmith.data.winner import Sides, likely_sides, naming_columns, usual_sides
from prefsmith.errors import ConfigError, DataError, nearest

REQUIRED = {
    "preference": ("prompt", "chosen", "rejected"),
    "dialogue": ("chosen", "rejected"),
    "ranked": ("prompt", "completions"),
    "rating": ("prompt", "completion", "label"),
    "completion": ("prompt", "completion"),
}
PAIRS = ("preference", "dialogue")
SCORES = ("score_chosen", "score_rejected", "margin")
# What these say of a row changes what it teaches, so every row has them or none. All but the last are about two sides.
LABELLING = ("winner", "prob", *SCORES, "weight")
WRITERS = ("writer_chosen", "writer_rejected")
DESCRIBING = ("id", "system", "tools", "tags", *WRITERS)  # a row may have these or not
ASKING = ("input", "history")  # the rest of a prompt that is called ALPACA, or where a map names them
ALPACA = "instruction"
ORDERS = ("scores", "ranks")
# What files call these columns, beside our own names. Anything else is told through data.columns.
SYNONYMS = {
    "prob": ("probability", "preference_prob", "preference_probability"),
    "prompt": ("question", "instruction", "conversations"),
    "messages": ("conversations", "conversation"),
    "completion": ("response", "answer", "output"),
    "label": ("kto_tag",),
    "score_chosen": ("chosen_score", "chosen-rating", "chosen_rating"),
    "score_rejected": ("rejected_score", "rejected-rating", "rejected_rating"),
    "writer_chosen": ("chosen_model", "chosen-model", "model_chosen"),
    "writer_rejected": ("rejected_model", "rejected-model", "model_rejected"),
}


FORMS = """\
  Rows that are read, by their columns (docs/data.md shows each):
    pairs      prompt, chosen, rejected
    dialogues  chosen, rejected: lists of messages, or texts with Human: and Assistant: turns
    two sides  prompt, response_a, response_b, winner or votes
    lists      prompt, completions, and scores or ranks; or prompt and a list of objects with text and number
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
        listing: where the answers of a ranked row and their numbers stand.
    """

    format: str
    columns: Mapping[str, str]
    unused: tuple[str, ...] = ()
    sides: Sides | None = None
    listing: Listing | None = None

    def turned_round(self) -> "Schema":
        """For a row whose rejected side is the winner."""
        opposite = {"chosen": "rejected", "score_chosen": "score_rejected", "writer_chosen": "writer_rejected"}
        opposite |= {theirs: ours for ours, theirs in opposite.items()}
        turned = {ours: self.columns.get(opposite.get(ours, ours), theirs) for ours, theirs in self.columns.items()}
        return replace(self, columns=turned)

    def describe(self) -> str:
        """What was recognised, in a line."""
        renamed = [f"{ours} from {theirs}" for ours, theirs in self.columns.items() if ours != theirs]
        parts = [f"{self.format} rows ({', '.join(self.columns)})"]
        parts += [f"{', '.join(renamed)}"] if renamed else []
        parts += [self.listing.describe()] if self.listing is not None else []
        if self.sides is not None and self.sides.voted:
            parts += [f"prob is the share of {self.sides.column} for {self.sides.first}, a tie one half"]
        elif self.sides is not None:
            parts += [f"a row is turned round where {self.sides.column} names {self.sides.second}; a tie is prob 0.5"]
        parts += [f"not read: {excerpt_names(self.unused)}"] if self.unused else []
        return "; ".join(parts)


def recognise(row: Row, format: str, columns: Mapping[str, str]) -> Schema:
    """What the file's rows are, from the columns of its first.

    Raises:
        ConfigError: `columns` maps a name that we do not have, or a winner without two answers.
        DataError: the columns of no format are there, or one says who won and would not be read.
    """
    ours = {name for names in REQUIRED.values() for name in names}
    ours |= {*LABELLING, *ASKING, *DESCRIBING, "messages", *ORDERS}
    _check_map(row, columns, ours)
    found: dict[str, str] = {}
    for name in sorted(ours - {"winner", "completions", *ORDERS}):  # these are only read where all of them fit
        names = (columns[name],) if name in columns else (name, *SYNONYMS.get(name, ()))
        if (theirs := next((candidate for candidate in names if candidate in row.values), None)) is not None:
            found[name] = theirs
    sides = _sides(row, found, format, columns)
    if sides is not None:
        found |= {"chosen": sides.first, "rejected": sides.second, "winner": sides.column}
        models = tuple(f"model_{part}" for part in sides.parts())
        found |= dict(zip(WRITERS, models, strict=True)) if all(name in row.values for name in models) else {}
    listing = _listing(row, found, format, columns)
    if listing is not None:
        found |= {"completions": listing.column} | ({} if listing.inside else {listing.order: listing.numbers})
    kind = "ranked" if listing is not None and "prompt" in found else _kind(found, row, format, columns)
    used = _used(kind, found)
    asking = asking_columns(found.get("prompt", ""), found, columns) if "prompt" in used else ()
    kept = {name: found[name] for name in (*used, *asking, *_labelling(kind, found, row, columns), *DESCRIBING)
            if name in found}  # fmt: skip
    unused = tuple(name for name in row.values if name not in kept.values())
    schema = Schema(kind, kept, unused, sides, listing)
    _check_verdicts(row, schema)
    return schema


def asking_columns(prompt: str, found: Iterable[str], columns: Mapping[str, str]) -> tuple[str, ...]:
    """The columns beside the prompt's that are part of what was asked.

    Args:
        prompt: the file's name for the prompt. Beside any name but Alpaca's, `input` may be anything.
        found: columns that the row has, by our names.
        columns: what the user says.
    """
    return tuple(name for name in ASKING if name in found and (prompt == ALPACA or name in columns))


def _check_map(row: Row, columns: Mapping[str, str], ours: set[str]) -> None:
    for name, theirs in columns.items():
        if name not in ours:
            raise ConfigError("data.columns", f"we have no column {name}", where=f"data.columns.{name}",
                              fix=nearest(name, sorted(ours)))  # fmt: skip
        if theirs not in row.values and not (name in ORDERS and theirs in keys_inside(row)):
            what = f"missing {theirs}, which data.columns.{name} names; the row has {excerpt_names(row.values)}"
            raise DataError("data.column", what, where=row.source, fix=_nearest_of(theirs, row))


def _sides(row: Row, found: Mapping[str, str], format: str, columns: Mapping[str, str]) -> Sides | None:
    """The answers that a winner column is about: those of the map, or those of a common layout."""
    if "winner" not in columns:
        pairs_wanted = format in ("auto", "preference", "dialogue")
        if not pairs_wanted or {"chosen", "rejected"} & found.keys():
            return None
        return usual_sides(row.values) or voted_sides(row.values)
    if format in ("rating", "completion") or not {"chosen", "rejected"} <= found.keys():
        what = "a winner is named, but not the two columns that it is about"
        fix = "name them too: data.columns.chosen=<first column> data.columns.rejected=<second column>"
        raise ConfigError("data.columns", what, where="data.columns.winner", fix=fix)
    return Sides(found["chosen"], found["rejected"], columns["winner"])


def _listing(row: Row, found: Mapping[str, str], format: str, columns: Mapping[str, str]) -> Listing | None:
    """The list of ranked answers, unless the row is a pair and nobody says that its list is meant."""
    if format not in ("auto", "ranked"):
        return None
    if format == "auto" and "completions" not in columns and {"chosen", "rejected"} <= found.keys():
        return None
    return find_listing(row, columns)


def _labelling(kind: str, found: Mapping[str, str], row: Row, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The labels that a row of this kind may have; numbers of a pair are scores of both sides, or a margin.

    Raises:
        DataError: it has both, or a margin beside a winner.
    """
    if kind not in PAIRS:
        return (*(ORDERS if kind == "ranked" else ()), "weight")
    both, margin = {"score_chosen", "score_rejected"} <= found.keys(), "margin" in found
    named = {name for name in SCORES if name in columns}
    if both and margin and (not named or ("margin" in named and len(named) > 1)):
        first, second, gap = (found[name] for name in SCORES)
        what = f"{first} and {second} say how much better chosen is, and so does {gap}"
        fix = f"name what is meant: data.columns.margin={gap}, or data.columns.score_chosen={first}"
        raise DataError("data.scores", what, where=row.source, fix=fix)
    if margin and not both and "winner" in found:
        what = f"{found['winner']} says who won, and {found['margin']} by how much chosen is better"
        fix = "leave the margin out of the file, or give a score of each side: it is not clear which one it is of"
        raise DataError("data.winner", what, where=row.source, fix=fix)
    numbers = ("margin",) if margin and ("margin" in named or not both) else SCORES[:2] if both else ()
    return ("winner", "prob", *numbers, "weight")


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
    wanted = REQUIRED[format] if format != "auto" else _likeliest(found, row)
    if wanted == REQUIRED["ranked"]:
        raise _unordered(found, row, columns)
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


def _unordered(found: Mapping[str, str], row: Row, columns: Mapping[str, str]) -> DataError:
    """The error for a row that is, or should be, a list of answers."""
    column = columns.get("completions") or _list_column(row)
    if column is not None and list_of(row.values.get(column)) == []:
        what = f"{excerpt(column)} is empty in the first row, which says what the rows are"
        fix = "begin the file with a row that has answers"
        raise DataError("data.ranking", what, where=row.source, fix=fix)
    for name in COLUMNS if column is None else ():
        if name in row.values:
            what, fix = f"{name} is no list: {excerpt(repr(row.values[name]))}", "give a list of at least two answers"
            return DataError("data.type", what, where=row.source, fix=fix)
    missing = [name for name in ("prompt",) if name not in found]
    missing += ["completions"] if column is None else []
    missing += ["scores or ranks"] if column is not None and "completions" not in found else []
    what = f"missing {', '.join(missing)}; the row has {excerpt_names(row.values)}"
    fix = "give a list of numbers beside the list of answers, or name it: data.columns.scores=<your column>"
    if missing[0] != "scores or ranks":
        fix = _proposed_map(row, found, [name for name in missing if name in REQUIRED["ranked"]])
    what = f"{what}\n  row:   {excerpt_row(row.values)}"
    return DataError("data.column", what, where=row.source, fix=f"{fix}\n{FORMS}")


def _list_column(row: Row) -> str | None:
    """The column that usually holds a list of answers, and holds a list."""
    return next((name for name in COLUMNS if list_of(row.values.get(name)) is not None), None)


def _likeliest(found: Mapping[str, str], row: Row) -> tuple[str, ...]:
    """The columns that the file was probably meant to have."""
    if "completion" not in found and _list_column(row) is not None:
        return REQUIRED["ranked"]
    if "label" in found:
        return REQUIRED["rating"]
    return REQUIRED["completion" if "completion" in found else "preference"]


def refuse_late_columns(row: Row, schema: Schema) -> None:
    """A probability, weight or score that only later rows have would be left out of the first ones in silence.

    So would the rest of a prompt be left out of the later ones.

    Raises:
        DataError: the row has such a column and the first one had not.
    """
    about = ("prob", "weight", *SCORES) if schema.format in PAIRS else ("prob", "weight")
    for name in (name for name in about if name not in schema.columns):
        for theirs in (name, *SYNONYMS.get(name, ())):
            if row.values.get(theirs) is not None and theirs not in (*schema.columns.values(), *schema.unused):
                what, fix = f"the row has {theirs}, which the first row lacks", "give the first row this column too"
                raise DataError("data.column", what, where=row.source, fix=fix)
    for name in ASKING if schema.columns.get("prompt") == ALPACA else ():
        if name not in schema.columns and row.values.get(name) and name not in schema.columns.values():
            what = f"the row has {name}, which the first row lacks"
            fix = "give the first row this column too; it may be empty"
            raise DataError("data.column", what, where=row.source, fix=fix)
