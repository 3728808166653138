"""From text to token ids: where the answer begins, which tokens are scored, and what is cut when it is too long.

Boundary. The prompt is encoded without end token, prompt and answer are encoded together, and the answer begins where
the prompt's ids end, if those are how the whole begins; otherwise at their longest common prefix, counted as a merge.
Encoding the two apart would differ: many tokenizers write the first word of a text in another way.

Begin. The tokenizer's begin token stands once, at the prompt's start, if the tokenizer or the template writes it.

End. Scored are the answer's tokens through the first end token. A template writes one; for plain text we append the
tokenizer's end token, which many tokenizers never write.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from transformers import PreTrainedTokenizerBase

from prefsmith.data.encoded import (
    EncodedCompletion,
    EncodedGroup,
    lend,
    of_used_completions,
    refuse_equal_sides,
)
from prefsmith.data.render import Rendered, Renderer
from prefsmith.data.truncate import Truncation, fit_to_length, prompt_end, shortened
from prefsmith.data.views import View
from prefsmith.errors import ConfigError, DataError
from prefsmith.records import Comparison, Completion, Group

PROBE = "\n"  # merges with little that follows
PLACES = 10  # rows of each kind whose place is kept, so that somebody can look at them


@dataclass(slots=True)
class EncodingCounts:
    """What was done to the rows on their way to ids; each group is counted once per kind.

    `places` has file:line of the first rows of each kind.
    """

    groups: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, kind: str, source: str) -> None:
        """Count a row, and keep its place if it is among the first of its kind."""
        self.kinds[kind] += 1
        places = self.places.setdefault(kind, [])
        if len(places) < PLACES:
            places.append(source)

    def as_dict(self) -> dict[str, int]:
        """For data.json."""
        return {
            "groups": self.groups,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            **dict(sorted(self.kinds.items())),
        }


@dataclass(frozen=True, slots=True)
class Uncut:
    """Lengths of a group in tokens before anything is cut from it.

    Args:
        group: with all of its completions.
        used: places in the group of the completions that are encoded.
        views: the labels of each loss term; indices into the group's completions.
        prompt: tokens that all completions share, begin token included.
        completions: for each of `used`, its scored tokens.
        longest: tokens of the prompt and its longest completion.
    """

    group: Group
    used: Sequence[int]
    views: Sequence[View]
    prompt: int
    completions: tuple[int, ...]
    longest: int


class Encoder:
    """Encodes groups for one model.

    Args:
        tokenizer: of the model.
        renderer: writes a group as text.
        max_length: most tokens of prompt and one completion together; None for no limit.
        truncation: what happens to longer groups.
        end_ids: ids that end an answer, beside the tokenizer's own end token.

    Attributes:
        counts: what was done to rows so far.
        measure: is given the lengths of every group before it is cut or dropped.

    Raises:
        ConfigError: the tokenizer has no end token where plain text needs one.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        renderer: Renderer,
        *,
        max_length: int | None,
        truncation: Truncation = "keep_end",
        end_ids: Collection[int] = (),
    ) -> None:
        self.tokenizer, self.renderer = tokenizer, renderer
        self.max_length = max_length
        self.truncation: Truncation = truncation
        self.begin = _begin_id(tokenizer)
        self.end = cast("int | None", tokenizer.eos_token_id)
        self.ends = frozenset(end_ids) | ({self.end} if self.end is not None else set())
        self.counts = EncodingCounts()
        self.measure: Callable[[Uncut], None] | None = None
        if renderer.template is None and self.end is None:
            raise ConfigError(
                "model.end_token",
                "the tokenizer has no end token, so an answer could never end",
                where=str(tokenizer.name_or_path),
                fix="set eos_token in tokenizer_config.json",
            )

    def encode(
        self, group: Group, views: Sequence[View], compared: Sequence[Comparison] | None = None
    ) -> EncodedGroup | None:
        """Encode the completions that the views use; None where `truncation` drops the group.

        Args:
            group: with all of its completions.
            views: the labels of each loss term; indices into them.
            compared: what the data says of pairs; the group's own comparisons where left out.

        Raises:
            DataError: the template fails, an answer has no token, the prompt is empty and there is no begin token,
                nothing of an answer would fit, or a cut makes both sides of a comparison the same.
        """
        used = sorted(set().union(*(view.completions() for view in views)))
        kinds: set[str] = set()
        rendered = self.renderer.render_completions(group, [group.completions[index] for index in used])
        prompt, completions = self._ids(rendered, group, kinds)
        if self.measure is not None:
            scored = tuple(len(each.ids) - each.unscored for each in completions)
            longest = len(prompt) + max(len(each.ids) for each in completions)
            self.measure(Uncut(group, used, views, len(prompt), scored, longest))
        # The template may write the begin token where the tokenizer does not; either is kept by a cut.
        begin = cast("int | None", self.tokenizer.bos_token_id)
        fitted = fit_to_length(prompt, completions, self.max_length, self.truncation, begin, group.source)
        if fitted is None:
            self.counts.add("dropped for their length", group.source)
            return None
        kinds |= fitted.kinds
        compared = group.comparisons if compared is None else compared
        encoded = of_used_completions(
            group, used, views, compared, fitted.prompt, fitted.completions, whole_prompt=len(prompt)
        )
        refuse_equal_sides(encoded)
        self._count(encoded, kinds)
        return encoded

    def prompt_ids(self, group: Group, *, room: int = 0) -> tuple[int, ...]:
        """The prompt as a model reads it before it answers, with `room` tokens left for the answer.

        A prompt that is too long loses its start, as under `keep_end`.

        Raises:
            DataError: the template fails, or the prompt is empty and there is no begin token.
        """
        rendered = self.renderer.render_completions(group, ())
        ids = self._encode(rendered.prompt, rendered.typed, group.source)
        if not ids:
            raise _no_prompt(group.source)
        if self.max_length is None or len(ids) + room <= self.max_length:
            return ids
        kept = max(1, self.max_length - room)
        begin = cast("int | None", self.tokenizer.bos_token_id)
        return prompt_end(ids, kept, begin)

    def text_after(self, prompt: Sequence[int], ids: Sequence[int]) -> str:
        """What ids behind a prompt say: some tokenizers write the first word of a text in another way."""
        before = str(self.tokenizer.decode(list(prompt), clean_up_tokenization_spaces=False))
        whole = str(self.tokenizer.decode([*prompt, *ids], clean_up_tokenization_spaces=False))
        if whole.startswith(before):
            return whole[len(before) :]
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def add_mismatched(self, asked: EncodedGroup, answers: Sequence[Completion]) -> EncodedGroup:
        """The group with answers to another prompt, encoded anew behind its own; how its prompt was cut stays.

        Raises:
            DataError: as for `encode`.
        """
        source = asked.group.source
        rendered = self.renderer.render_completions(asked.group, answers)
        start, completions = self._ids(rendered, asked.group, set(), shared=asked.whole_prompt)
        asked = lend(asked, asked.whole_prompt - len(start))
        room = None if self.max_length is None else self.max_length - len(asked.prompt)
        return replace(asked, mismatched=tuple(shortened(completion, room, source) for completion in completions))

    def _count(self, encoded: EncodedGroup, kinds: set[str]) -> None:
        self.counts.groups += 1
        for kind in sorted(kinds):
            self.counts.add(kind, encoded.group.source)
        self.counts.prompt_tokens += len(encoded.prompt)
        self.counts.completion_tokens += sum(len(each.ids) - each.unscored for each in encoded.completions)

    def _ids(
        self, rendered: Rendered, group: Group, kinds: set[str], *, shared: int | None = None
    ) -> tuple[tuple[int, ...], list[EncodedCompletion]]:
        """The shared prompt and each completion behind it. `shared` fixes the prompt's length where it is known."""
        if rendered.typed:
            kinds.add("with control tokens kept as text")
        if rendered.prefaced:
            kinds.add("with text of the template in front of the answer, which is scored")
        prompt = self._encode(rendered.prompt, rendered.typed, group.source)
        if not prompt:
            raise _no_prompt(group.source)
        wholes = [self._encode(text, rendered.typed, group.source) for text in rendered.texts]
        boundaries = [_common_prefix(prompt, whole) for whole in wholes]
        if any(boundary < len(prompt) for boundary in boundaries):
            kinds.add("merged at the boundary")
        start = min(boundaries) if shared is None else min(shared, *boundaries)
        if start == 0:
            what = "prompt and answer share no first token, so nothing predicts the answer's first token"
            raise DataError("data.no_prompt", what, where=group.source, fix="give the row a longer prompt")
        completions = []
        for whole, boundary in zip(wholes, boundaries, strict=True):
            ids = self._ended(whole, boundary, kinds)
            if len(ids) <= boundary:
                what = "an answer has no token of its own once it is encoded"
                raise DataError("data.empty", what, where=group.source, fix="drop the row, or data.skip_bad=true")
            completions.append(EncodedCompletion(ids[start:], boundary - start))
        return prompt[:start], completions

    def _ended(self, whole: tuple[int, ...], boundary: int, kinds: set[str]) -> tuple[int, ...]:
        """Through the first end token of the answer, which plain text gets from us."""
        if self.renderer.template is None:
            assert self.end is not None  # checked when the encoder was made
            return (*whole, self.end) if len(whole) > boundary else whole
        ends = (index for index in range(boundary, len(whole)) if whole[index] in self.ends)
        if (first := next(ends, None)) is None:
            kinds.add("without an end token")
            return whole
        return whole[: first + 1]

    def _encode(self, text: str, typed: dict[str, str], source: str) -> tuple[int, ...]:
        """Ids of a text with its begin token. What people typed is never a control token."""
        if self.renderer.template is None:
            ids = self._plain_ids(text, typed, source)
        elif not typed:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            ids = self._pieces(text, typed, source)
        ids = cast("tuple[int, ...]", tuple(ids))
        if self.begin is not None and ids[:1] != (self.begin,):
            return (self.begin, *ids)
        return ids

    def _plain_ids(self, text: str, typed: dict[str, str], source: str) -> list[int]:
        """Ids of text without any control token in it."""
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        # A tokenizer of whole words knows the control token as a word, and has no other way to write it.
        for token in typed.values():
            if self.tokenizer.convert_tokens_to_ids(token) in cast("list[int]", ids):
                what = f"the text holds the control token {token!r}, which this tokenizer cannot write as text"
                fix = "take it out of the text, or data.skip_bad=true"
                raise DataError("data.control_token", what, where=source, fix=fix)
        return cast("list[int]", ids)

    def _pieces(self, text: str, typed: dict[str, str], source: str) -> list[int]:
        """Control tokens of the template as such; the text between them in pieces, stand-ins put back as text."""
        ids: list[int] = []
        position = 0
        for match in [*self.renderer.control.finditer(text), None]:
            piece = text[position : match.start() if match else len(text)]
            for character, token in typed.items():
                piece = piece.replace(character, token)
            if piece:
                ids += self._after_control(piece, typed, source) if ids else self._plain_ids(piece, typed, source)
            if match:
                ids.append(cast("int", self.tokenizer.convert_tokens_to_ids(match.group())))
                position = match.end()
        return ids

    def _after_control(self, piece: str, typed: dict[str, str], source: str) -> list[int]:
        """Ids of a piece behind a control token: some tokenizers write the first word of a text in another way."""
        behind = self._plain_ids(PROBE + piece, typed, source)
        probe = self._plain_ids(PROBE, typed, source)
        return behind[len(probe) :] if behind[: len(probe)] == probe else self._plain_ids(piece, typed, source)


def _begin_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The begin token, if the tokenizer writes it in front of a text."""
    written = cast("list[int]", tokenizer("a", add_special_tokens=True)["input_ids"])
    begin = cast("int | None", tokenizer.bos_token_id)
    return begin if begin is not None and written[:1] == [begin] else None


def _no_prompt(source: str) -> DataError:
    what = "the prompt is empty and the tokenizer writes no begin token, so nothing predicts the first token"
    return DataError("data.no_prompt", what, where=source, fix="give the row a prompt")


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = zip(first, second, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
