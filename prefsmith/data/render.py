"""From messages to text: the model's chat template or, where there is none, plain text."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from prefsmith.data import dialogue
from prefsmith.data.chat import render_chat, special_tokens
from prefsmith.errors import ConfigError, DataError
from prefsmith.records import Completion, Group, Message

_STAND_IN = range(0xE000, 0xF8FF)  # Unicode's private use area: no text means anything by it


@dataclass(frozen=True, slots=True)
class Rendered:
    """A group as text.

    Args:
        prompt: everything before the answer.
        texts: prompt and answer together, for each completion; each begins with `prompt`.
        typed: stand-in character -> the control token that somebody typed into the data there, as text.
        prefaced: whether the template writes something of its own in front of an answer, which is then scored.
    """

    prompt: str
    texts: tuple[str, ...]
    typed: dict[str, str]
    prefaced: bool = False


class Renderer:
    """Writes groups as the model reads them.

    Args:
        tokenizer: knows the chat template and the control tokens.
        template: `auto` (the tokenizer's chat template, plain text where it has none), `plain`, or the path of a
            Jinja file.
        today: what templates that write the date write; fixed for a run, so that it reads the same on every day.

    Raises:
        ConfigError: the Jinja file cannot be read.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, template: str = "auto", *, today: date | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.template = _template(tokenizer, template)
        self._why_plain = "data.template=plain" if template == "plain" else "the model has no chat template"
        self.today = today or date.today()
        self.special = special_tokens(tokenizer)
        self.control = re.compile("|".join(map(re.escape, control_tokens(tokenizer))) or r"(?!)")

    def describe(self) -> str:
        """How messages become text, in a line."""
        return "the chat template" if self.template else f"plain text ({self._why_plain})"

    def identity(self) -> dict[str, str | None]:
        """What tells it from a renderer that writes otherwise: in words, and the template's sha256."""
        template = None if self.template is None else hashlib.sha256(self.template.encode()).hexdigest()
        return {"written": self.describe(), "template": template}

    def render(self, group: Group) -> Rendered:
        """The group as text.

        Raises:
            DataError: the template fails, or the prompt's rendering is not how the whole begins.
        """
        return self.render_completions(group, group.completions)

    def render_completions(self, group: Group, completions: Sequence[Completion]) -> Rendered:
        """The group's prompt with the given answers, which need not be its own."""
        typed = self._typed(group, completions)
        if self.template is None:
            return _plain(group, completions, typed)
        return self._templated(group, completions, typed)

    def _typed(self, group: Group, completions: Sequence[Completion]) -> dict[str, str]:
        """A stand-in for every control token that somebody typed; characters that no text of the group holds."""
        texts = _texts(group, completions)
        found = sorted({token for text in texts for token in self.control.findall(text)})
        if not found:
            return {}
        free = (chr(code) for code in _STAND_IN if not any(chr(code) in text for text in texts))
        return dict(zip(free, found, strict=False))

    def _templated(self, group: Group, completions: Sequence[Completion], typed: dict[str, str]) -> Rendered:
        def stand_in_for(text: str) -> str:
            return self.control.sub(lambda match: stand_in[match.group()], text)

        stand_in = {token: character for character, token in typed.items()}
        hide = stand_in_for if typed else None
        asked = _hidden([Message("user", group.prompt)] if isinstance(group.prompt, str) else group.prompt, hide)
        prompt = self._apply(asked, group, hide, answer=False)
        texts, prefaced = [], False
        for completion in completions:
            answer = completion.messages or (Message("assistant", completion.content),)
            text = self._apply([*asked, *_hidden(answer, hide)], group, hide, answer=True)
            if not text.startswith(prompt):
                raise DataError(
                    "data.template_prefix",
                    "the chat template writes the prompt differently once the answer follows, so the two cannot be "
                    f"told apart: it ends {prompt[-40:]!r} before, and the whole goes on {_divergence(prompt, text)!r}",
                    where=group.source,
                    fix="give another template with data.template=FILE, or data.template=plain",
                )
            prefaced |= not text[len(prompt) :].lstrip().startswith(stand_in_for(completion.content).strip())
            texts.append(text)
        return Rendered(prompt, tuple(texts), typed, prefaced)

    def _apply(
        self, messages: Sequence[dict[str, object]], group: Group, hide: Callable[[str], str] | None, *, answer: bool
    ) -> str:
        assert self.template is not None  # plain text does not come here
        tools = [tool if hide is None else _everywhere(tool, hide) for tool in group.tools] or None
        try:
            text = render_chat(
                self.template, messages, tools, prompt_only=not answer, special=self.special, today=self.today
            )
        except (TemplateError, TypeError, ValueError) as error:
            what = f"the chat template refuses these messages: {error}"
            fix = "check the order of the roles; or data.template=FILE for another template"
            raise DataError("data.template", what, where=group.source, fix=fix) from error
        return text

    @property
    def dated(self) -> bool:
        """Whether the template may write the date."""
        return self.template is not None and "strftime_now" in self.template


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Texts that a tokenizer takes for something else than text, the longest first."""
    # Llama 3 marks its header tokens as special without giving them a name; `all_special_tokens` lacks those.
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    return sorted({*map(str, tokenizer.all_special_tokens), *added}, key=len, reverse=True)


def _template(tokenizer: PreTrainedTokenizerBase, template: str) -> str | None:
    if template == "plain":
        return None
    if template == "auto":
        return tokenizer.get_chat_template() if tokenizer.chat_template else None
    return template_of_file(template)


def template_of_file(template: str) -> str:
    """The text of a Jinja file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fix = "auto, plain, or the path of a Jinja file"
        raise ConfigError(
            "data.template_file", f"cannot read the template: {error}", where=template, fix=fix
        ) from error


def _plain(group: Group, completions: Sequence[Completion], typed: dict[str, str]) -> Rendered:
    """Texts as they are; messages as a dialogue. Plain text is encoded without control tokens, so none is hidden."""
    if isinstance(group.prompt, str):
        prompt, answers = group.prompt, [completion.content for completion in completions]
    else:
        _refuse_tools(group)
        prompt = dialogue.to_prompt(group.prompt)
        answers = [dialogue.to_answer(completion.content) for completion in completions]
    return Rendered(prompt, tuple(prompt + answer for answer in answers), typed)


def _refuse_tools(group: Group) -> None:
    assert not isinstance(group.prompt, str)
    messages = [
        *group.prompt,
        *(message for completion in group.completions for message in completion.messages),
    ]
    if group.tools or any(message.extra for message in messages):
        keys = "tools" if group.tools else ", ".join(next(message.extra for message in messages if message.extra))
        what = f"the row has {keys}, which plain text cannot say"
        fix = "give the model's chat template with data.template=FILE"
        raise DataError("data.tools", what, where=group.source, fix=fix)


def _texts(group: Group, completions: Sequence[Completion]) -> list[str]:
    """Every text of the group that came from the data, tool calls included."""
    found: list[str] = []

    def keep(text: str) -> str:
        found.append(text)
        return text

    if group.tools:
        _everywhere(list(group.tools), keep)
    for part in (group.prompt, *(completion.messages or completion.content for completion in completions)):
        if isinstance(part, str):
            found.append(part)
            continue
        for message in part:
            found += (message.role, message.content)
            if message.extra:
                _everywhere(message.extra, keep)
    return found


def _hidden(messages: Sequence[Message], hide: Callable[[str], str] | None) -> list[dict[str, object]]:
    written = [message.as_dict() for message in messages]
    if hide is None:
        return written
    return [{key: _everywhere(value, hide) for key, value in each.items()} for each in written]


def _everywhere(value: object, change: Callable[[str], str]) -> object:
    """The value with every text in it changed, keys aside."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _everywhere(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_everywhere(item, change) for item in value]
    return value


def _divergence(prompt: str, text: str) -> str:
    """Where the whole leaves the prompt's rendering."""
    at = next((i for i, (a, b) in enumerate(zip(prompt, text, strict=False)) if a != b), min(len(prompt), len(text)))
    return text[max(0, at - 10) : at + 30]
