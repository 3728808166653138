"""What a row asks, from every column that holds a part of it."""

from prefsmith.data.cells import Cells, Prompt
from prefsmith.data.excerpt import excerpt
from prefsmith.errors import DataError
from prefsmith.records import Message


def asked(cell: Cells) -> Prompt:
    """The prompt; Alpaca's `input` follows its `instruction` on a new line, and `history` comes before both.

    Either of the two texts may be empty: then there is no line end between them. So LLaMA-Factory reads such rows.

    Raises:
        DataError: a part is not what it should be, or stands beside a list of messages.
    """
    prompt = cell.content("prompt")
    rest = cell.optional_text("input") if "input" in cell.columns else ""
    turns = _turns(cell) if "history" in cell.columns else ()
    if not isinstance(prompt, str):
        if rest or turns:
            name = cell.columns["input" if rest else "history"]
            what = f"{excerpt(name)} stands beside a prompt that is a list of messages"
            raise DataError(
                "data.type", what, where=cell.source, fix="put all turns into the list, or take the column out"
            )
        return prompt
    text = "\n".join(part for part in (prompt, rest) if part)
    return (*turns, Message("user", text)) if turns else text


def _turns(cell: Cells) -> tuple[Message, ...]:
    """Earlier questions and their answers; None, and a list without entries, hold none."""
    if cell.optional("history") is None:
        return ()
    turns: list[Message] = []
    for place, entry in enumerate(cell.entries("history")):
        name = f"{excerpt(cell.columns['history'])}[{place}]"
        if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(each, str) for each in entry):
            fix = 'for example "history": [["What is 1 + 1?", "2."]]'
            raise DataError("data.type", f"{name} is no list of a question and its answer", where=cell.source, fix=fix)
        question, answer = (cell.text_of(each, name) for each in entry)
        turns += [Message("user", question), Message("assistant", answer)]
    return tuple(turns)
