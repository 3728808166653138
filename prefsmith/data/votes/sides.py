"""The answers of a row, and how long they are."""

from collections.abc import Mapping

from prefsmith.data.excerpt import excerpt
from prefsmith.data.votes.forms import Form
from prefsmith.data.votes.judgements import Notebook
from prefsmith.errors import DataError
from prefsmith.records import Completion, Message

Answer = tuple[Completion, int | None]
"""What was answered, and how many words it has; None where the file does not hold it."""


def answers(values: Mapping[str, object], form: Form, notes: Notebook, place: str) -> tuple[Answer, Answer]:
    """Both sides of a row.

    Raises:
        DataError: a side is missing or of a wrong kind.
    """
    first, second = (_answer(values[name], name, form, notes, place) for name in form.sides)
    return first, second


def text_answer(value: object, name: str, notes: Notebook, place: str) -> Answer:
    """An answer that ought to be a text. One that was stored as another plain value is kept without a text.

    Raises:
        DataError: it is missing, a list or an object.
    """
    if isinstance(value, str):
        return Completion(text=value), len(value.split())
    if isinstance(value, bool | int | float):
        # What the annotators saw is not known: "true", "True", or "yes" that a reader of YAML made a truth value of.
        shown = str(value).lower() if isinstance(value, bool) else value
        what = "answers that are JSON values and not texts, whose votes count and whose lengths are unknown"
        notes.add(what, place, f"{excerpt(name)} is {shown}")
        return Completion(text=""), None
    raise _bad_side(value, name, place)


def prompt_of(values: Mapping[str, object], form: Form, place: str) -> str:
    """What was answered; a number names a question.

    Raises:
        DataError: it is neither a text nor a number.
    """
    value = values[form.prompt]
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    what = f"{form.prompt} is {excerpt(repr(value))}, and no text"
    raise DataError(
        "votes.prompt", what, where=place, fix="a prompt is a text: answers to the same one belong together"
    )


def _answer(value: object, name: str, form: Form, notes: Notebook, place: str) -> Answer:
    if form.holds == "dialogues":
        return _dialogue(value, name, place)
    if form.holds == "texts":
        return text_answer(value, name, notes, place)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return Completion(text=""), None
    raise _bad_side(value, name, place)


def _dialogue(value: object, name: str, place: str) -> Answer:
    """What the assistant says in a dialogue, as one message."""
    if not isinstance(value, list) or not value:
        raise _bad_side(value, name, place)
    said: list[str] = []
    for turn in value:
        if (
            not isinstance(turn, dict)
            or not isinstance(turn.get("role"), str)
            or not isinstance(turn.get("content"), str)
        ):
            raise _bad_side(turn, f"a turn of {name}", place)
        if turn["role"] == "assistant":
            said.append(turn["content"])
    text = "\n\n".join(said)
    return Completion(messages=(Message("assistant", text),)), len(text.split())


def _bad_side(value: object, name: str, place: str) -> DataError:
    what = f"{excerpt(name)} is {excerpt(repr(value))}, and no answer"
    fix = "give both answers as the annotators saw them, or drop the row; --skip-bad does"
    return DataError("votes.side", what, where=place, fix=fix)
