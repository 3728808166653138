"""A chat template run on messages: what `apply_chat_template` does, without what it does anew for every call.

That copies every message into plain values, looks up the tokenizer's tokens again, and lets no function through to the
template, so that one which writes the date could not ask for ours.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, cast

from transformers import PreTrainedTokenizerBase
from transformers.utils import chat_template_utils as library


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, object]:
    """The tokens that a template may name, by their names."""
    return cast("dict[str, object]", library._plain_template_data(dict(tokenizer.special_tokens_map)))


def render_chat(
    template: str,
    messages: Sequence[Mapping[str, object]],
    tools: Sequence[object] | None,
    *,
    prompt_only: bool,
    special: Mapping[str, object],
    today: date,
) -> str:
    """The messages as text.

    Args:
        template: in Jinja.
        messages: of JSON values.
        tools: their schemas; None where there are none.
        prompt_only: whether the text ends where the assistant begins to speak.
        special: the tokenizer's special tokens by name.
        today: what a template that writes the date writes.

    Raises:
        TemplateError: the template refuses them, or is none.
        TypeError: the template takes a value for what it is not.
        ValueError: there is no message, or the template meets a value that it cannot take.
    """
    if not messages:
        raise ValueError("there is no message")
    chat: Any = [{key: value for key, value in message.items() if value is not None} for message in messages]
    if any(len(message) > 2 for message in chat):  # more than a role and a content
        chat = library._alias_reasoning_fields(library._plain_template_data(chat))
    # The library's own compiler: its sandbox, filters and extensions are what templates are written for.
    compiled = cast("Any", library._compile_jinja_template(template))
    return compiled.render(
        messages=chat,
        tools=None if tools is None else library._plain_template_data(list(tools)),
        documents=None,
        add_generation_prompt=prompt_only,
        **special,
        strftime_now=today.strftime,
    )
