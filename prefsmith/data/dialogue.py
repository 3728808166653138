"""Dialogues written as text: turns marked `\\n\\nHuman:` and `\\n\\nAssistant:`, as in Anthropic's hh files.

This is also how messages are written for a model without a chat template, so a dialogue that is read from such a
file and trained on such a model keeps every character.
"""

import re
from collections.abc import Sequence

from prefsmith.records import Message

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
_TURN = re.compile(r"\n\n(Human|Assistant):")
_MARKS = {"user": HUMAN, "assistant": ASSISTANT, "tool": "\n\nTool:"}


def is_dialogue(text: str) -> bool:
    """Whether the text starts as such a dialogue does and has an answer in it."""
    return text.startswith((HUMAN, ASSISTANT)) and ASSISTANT in text


def split_last_answer(text: str) -> tuple[str, str]:
    """The text through the last `Assistant:`, and the answer after it with its leading space."""
    cut = text.rindex(ASSISTANT) + len(ASSISTANT)
    return text[:cut], text[cut:]


def to_messages(prompt: str) -> tuple[Message, ...] | None:
    """The turns of a prompt that ends in `Assistant:`; None where they would not give the same text again."""
    pieces = _TURN.split(prompt.removesuffix(ASSISTANT))
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = zip(pieces[1::2], pieces[2::2], strict=True)
    messages = tuple(Message(roles[mark], content.removeprefix(" ")) for mark, content in turns)
    return messages if messages and to_prompt(messages) == prompt else None


def in_turns(prompt: str, answers: Sequence[str]) -> tuple[tuple[Message, ...], list[str]] | None:
    """The turns of a prompt that ends where the assistant is to speak, and what its answers say there.

    The space behind `Assistant:` may stand at the end of the prompt or in front of every answer. None where turns would
    not give the same text again.
    """
    start = prompt.removesuffix(" ")
    texts = [prompt[len(start) :] + answer for answer in answers]
    if not start.endswith(ASSISTANT) or not all(text[:1] in ("", " ") for text in texts):
        return None
    messages = to_messages(start)
    return None if messages is None else (messages, [text[1:] for text in texts])


def to_prompt(messages: Sequence[Message]) -> str:
    """Messages as plain text, ending where the answer begins."""
    return "".join(_turn(message) for message in messages) + ASSISTANT


def to_answer(content: str) -> str:
    """The answer as it follows `to_prompt`."""
    return f" {content}"


def _turn(message: Message) -> str:
    if message.role in ("system", "developer"):
        return message.content
    return f"{_MARKS[message.role]} {message.content}"
