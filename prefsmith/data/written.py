"""Rendered groups as ids: control tokens of the template are such, and those that people typed are text.

Begin. The tokenizer's begin token stands once, at the start, if the tokenizer or the template writes it.
"""

from collections.abc import Sequence
from typing import cast

from transformers import PreTrainedTokenizerBase

from prefsmith.data.render import Rendered, Renderer
from prefsmith.data.tokens import Ids, TextEncoder
from prefsmith.errors import DataError

PROBE = "\n"  # merges with little that follows

Written = tuple[Ids, list[Ids]]
"""A prompt, and each text that begins with it, as ids."""


class Writer:
    """Turns rendered groups into ids.

    Args:
        tokenizer: of the model.
        renderer: that rendered them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, renderer: Renderer) -> None:
        self.tokenizer, self.renderer = tokenizer, renderer
        self.texts = TextEncoder(tokenizer)
        self.begin = _begin_id(tokenizer)

    def write(self, rendered: Rendered, source: str) -> Written:
        """Ids of one group.

        Args:
            rendered: its texts.
            source: file:line of the row.

        Raises:
            DataError: the prompt is empty and there is no begin token, or a text holds a control token that the
                tokenizer cannot write as text.
        """
        (written,) = self.write_all([(rendered, source)])
        if isinstance(written, DataError):
            raise written
        return written

    def write_all(self, rows: Sequence[tuple[Rendered, str]]) -> list[Written | DataError]:
        """Ids of many groups, or what is wrong with one."""
        control = self.renderer.template is not None
        # A text with something typed in it is taken apart where the template's own control tokens stand.
        apart = [control and bool(rendered.typed) for rendered, _ in rows]
        together = self.texts.of_prompts(
            [(each.prompt, each.texts) for (each, _), alone in zip(rows, apart, strict=True) if not alone],
            control=control,
        )
        queue, made = iter(together), list[Written | DataError]()
        for (rendered, source), alone in zip(rows, apart, strict=True):
            ids = None if alone else next(queue)
            try:
                made.append(self._checked(rendered, source, ids))
            except DataError as error:
                made.append(error)
        return made

    def _checked(self, rendered: Rendered, source: str, ids: Written | None) -> Written:
        typed = rendered.typed
        prompt = self._pieces(rendered.prompt, typed, source) if ids is None else self._allowed(ids[0], typed, source)
        prompt = self._with_begin(prompt)
        if not prompt:
            what = "the prompt is empty and the tokenizer writes no begin token, so nothing predicts the first token"
            raise DataError("data.no_prompt", what, where=source, fix="give the row a prompt")
        if ids is None:
            wholes = [self._pieces(text, typed, source) for text in rendered.texts]
        else:
            wholes = [self._allowed(each, typed, source) for each in ids[1]]
        return prompt, [self._with_begin(whole) for whole in wholes]

    def _with_begin(self, ids: Ids) -> Ids:
        if self.begin is not None and ids[:1] != (self.begin,):
            return (self.begin, *ids)
        return ids

    def _allowed(self, ids: Ids, typed: dict[str, str], source: str) -> Ids:
        """A tokenizer of whole words knows a control token as a word, and has no other way to write it."""
        for token in typed.values():
            if self.tokenizer.convert_tokens_to_ids(token) in ids:
                what = f"the text holds the control token {token!r}, which this tokenizer cannot write as text"
                fix = "take it out of the text, or data.skip_bad=true"
                raise DataError("data.control_token", what, where=source, fix=fix)
        return ids

    def _plain(self, text: str, typed: dict[str, str], source: str) -> Ids:
        """Ids of text without any control token in it."""
        return self._allowed(self.texts.ids([text], control=False)[0], typed, source)

    def _pieces(self, text: str, typed: dict[str, str], source: str) -> Ids:
        """Control tokens of the template as such; the text between them in pieces, stand-ins put back as text."""
        ids: list[int] = []
        position = 0
        for match in [*self.renderer.control.finditer(text), None]:
            piece = text[position : match.start() if match else len(text)]
            for character, token in typed.items():
                piece = piece.replace(character, token)
            if piece:
                ids += self._after_control(piece, typed, source) if ids else self._plain(piece, typed, source)
            if match:
                ids.append(cast("int", self.tokenizer.convert_tokens_to_ids(match.group())))
                position = match.end()
        return tuple(ids)

    def _after_control(self, piece: str, typed: dict[str, str], source: str) -> Ids:
        """Ids of a piece behind a control token: some tokenizers write the first word of a text in another way."""
        behind = self._plain(PROBE + piece, typed, source)
        probe = self._plain(PROBE, typed, source)
        return behind[len(probe) :] if behind[: len(probe)] == probe else self._plain(piece, typed, source)


def _begin_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The begin token, if the tokenizer writes it in front of a text."""
    written = cast("list[int]", tokenizer("a", add_special_tokens=True)["input_ids"])
    begin = cast("int | None", tokenizer.bos_token_id)
    return begin if begin is not None and written[:1] == [begin] else None
