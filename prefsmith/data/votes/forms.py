"""The forms that rows of judgements have: recognised from the columns of the first row, and said."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from prefsmith.data.excerpt import excerpt_names, excerpt_row
from prefsmith.data.rows import Row
from prefsmith.data.votes.ranks import COLUMNS
from prefsmith.errors import DataError

Holds = Literal["texts", "names", "dialogues", "list", "single", "ranks"]


@dataclass(frozen=True, slots=True)
class Form:
    """One form of rows.

    Args:
        name: what it is called.
        columns: those by which it is recognised; a row without one of them is refused.
        holds: what the sides are: texts; names of things that are not in the file; dialogues; a `list` of completions;
            or one vote a row (`single`, and `ranks` of two systems).
        prompt: the column of what was answered. Rows with the same are drawn together.
        categories: columns by which results are split, where the first row has them.
        methods: columns of who wrote either answer, or one that holds both, joined by an underscore.
        sides: columns of the two answers.
    """

    name: str
    columns: tuple[str, ...]
    holds: Holds = "texts"
    prompt: str = "prompt"
    categories: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    sides: tuple[str, str] = ("a", "b")

    def describe(self) -> str:
        """The form in a line, by its columns."""
        return f"{self.name:<12} {', '.join(self.columns)}"


EVIDENCE = ("votes", "judges", "human")
"""Columns that hold verdicts; a pair has at least one of them."""
FORMS = (
    Form("alpaca_eval", ("annotator", "preference", "gen1", "gen2", "key"), "single", "key"),
    Form("alpaca_eval", ("annotator", "preference", "generator_1", "generator_2", "instruction"), "single",
         "instruction"),
    Form("wmt", COLUMNS, "ranks", "segmentId"),
    Form("mtbench", ("question", "conversation_a", "conversation_b", "votes"), "dialogues", "question", ("turn",),
         ("model_a", "model_b"), ("conversation_a", "conversation_b")),
    Form("crowdpareto", ("criterion", "a", "b", "votes"), "names", "criterion", ("criterion",)),
    Form("ukpconvarg", ("topic", "a", "b", "votes"), "names", "topic"),
    Form("llmbar", ("subset", "prompt", "a", "b", "human"), categories=("subset",)),
    Form("autoj", ("scenario", "prompt", "a", "b", "human"), categories=("scenario",)),
    Form("pandalm", ("pair", "app", "prompt", "a", "b", "votes"), categories=("app",), methods=("pair",)),
    Form("labels", ("prompt", "chosen", "rejected", "votes"), sides=("chosen", "rejected")),
    Form("groups", ("prompt", "completions", "votes"), "list", categories=("category",)),
    Form("pairs", ("prompt", "response_a", "response_b"), categories=("category",), methods=("model_a", "model_b"),
         sides=("response_a", "response_b")),
    Form("pairs", ("prompt", "a", "b"), categories=("category",), methods=("model_a", "model_b")),
)  # fmt: skip


def recognise(row: Row) -> Form:
    """The form of a file, from its first row.

    Raises:
        DataError: it is none of them.
    """
    for form in FORMS:
        has_votes = form.holds in ("single", "ranks") or any(name in row.values for name in EVIDENCE)
        if has_votes and all(name in row.values for name in form.columns):
            return replace(
                form,
                categories=tuple(name for name in form.categories if name in row.values),
                methods=form.methods if all(name in row.values for name in form.methods) else (),
            )
    known = "\n".join(f"    {form.describe()}" for form in FORMS)
    what = f"these rows are no judgements: the row has {excerpt_names(row.values)}\n  row:   {excerpt_row(row.values)}"
    fix = f"two answers, and votes, judges or human beside them. Forms that are read, by their columns:\n{known}"
    raise DataError("votes.form", what, where=row.source, fix=fix)


def require(row: Row, form: Form) -> Mapping[str, object]:
    """The cells of a row that has the columns of its form.

    Raises:
        DataError: one is missing.
    """
    missing = [name for name in form.columns if name not in row.values]
    if missing:
        what = f"missing {excerpt_names(missing)}; the row has {excerpt_names(row.values)}"
        fix = f"rows of this file are {form.name}: {', '.join(form.columns)}"
        raise DataError("votes.column", what, where=row.source, fix=fix)
    return row.values
