"""From text to token ids: where the answer begins, which tokens are scored, and what is cut when it is too long.

Boundary. The prompt is encoded without end token, prompt and answer are encoded together, and the answer begins where
the prompt's ids end, if those are how the whole begins; otherwise at their longest common prefix, counted as a merge.
Encoding the two apart would differ: many tokenizers write the first word of a text in another way.

End. Scored are the answer's tokens through the first end token. A template writes one; for plain text we append the
tokenizer's end token, which many tokenizers never write.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import cast

from transformers import PreTrainedTokenizerBase

from prefsmith.data.counts import EncodingCounts
from prefsmith.data.encoded import (
    EncodedCompletion,
    EncodedGroup,
    lend,
    of_used_completions,
    refuse_equal_sides,
)
from prefsmith.data.render import Rendered, Renderer
from prefsmith.data.truncate import Truncation, fit_to_length, prompt_end, shortened
from prefsmith.data.views import Labelled, View
from prefsmith.data.written import Writer, Written
from prefsmith.errors import ConfigError, DataError
from prefsmith.records import Comparison, Completion, Group

DROPPED = "dropped for their length"


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row.

    Args:
        encoded: the row as ids; None where it was dropped or is refused.
        kinds: what was done to it.
        error: why it is refused.
        uncut: its lengths; None where it is refused before they are known.
    """

    encoded: EncodedGroup | None = None
    kinds: frozenset[str] = frozenset()
    error: DataError | None = None
    uncut: Uncut | None = None


class Encoder:
    """Encodes groups for one model.

    Args:
        tokenizer: of the model.
        renderer: writes a group as text.
        max_length: most tokens of prompt and one completion together; None for no limit.
        truncation: what happens to longer groups.
        end_ids: ids that end an answer, beside the tokenizer's own end token.

    Attributes:
        counts: what `encode` did to rows so far.

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
        self.writer = Writer(tokenizer, renderer)
        self.begin = self.writer.begin
        self.end = cast("int | None", tokenizer.eos_token_id)
        # The template may write the begin token where the tokenizer does not; either is kept by a cut.
        self.known_begin = cast("int | None", tokenizer.bos_token_id)
        self.ends = frozenset(end_ids) | ({self.end} if self.end is not None else set())
        self.counts = EncodingCounts()
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
        compared = group.comparisons if compared is None else compared
        (outcome,) = self.encode_all([Labelled(group, tuple(views), tuple(compared))])
        if outcome.error is not None:
            raise outcome.error
        self.counts.count(outcome.encoded, outcome.kinds, group.source)
        return outcome.encoded

    def encode_all(self, rows: Sequence[Labelled]) -> list[Outcome]:
        """The same for many rows, each with a label, in few calls of the tokenizer; nothing is counted."""
        outcomes: dict[int, Outcome] = {}
        rendered: dict[int, tuple[Rendered, str]] = {}
        used = [sorted(set().union(*(view.completions() for view in row.views))) for row in rows]
        for place, row in enumerate(rows):
            completions = [row.group.completions[index] for index in used[place]]
            try:
                rendered[place] = self.renderer.render_completions(row.group, completions), row.group.source
            except DataError as error:
                outcomes[place] = Outcome(error=error)
        for place, written in zip(rendered, self.writer.write_all(list(rendered.values())), strict=True):
            if isinstance(written, DataError):
                outcomes[place] = Outcome(error=written)
            else:
                outcomes[place] = self._outcome(rows[place], used[place], rendered[place][0], written)
        return [outcomes[place] for place in range(len(rows))]

    def prompt_ids(self, group: Group, *, room: int = 0) -> tuple[int, ...]:
        """The prompt as a model reads it before it answers, with `room` tokens left for the answer.

        A prompt that is too long loses its start, as under `keep_end`.

        Raises:
            DataError: the template fails, or the prompt is empty and there is no begin token.
        """
        ids, _ = self.writer.write(self.renderer.render_completions(group, ()), group.source)
        if self.max_length is None or len(ids) + room <= self.max_length:
            return ids
        return prompt_end(ids, max(1, self.max_length - room), self.known_begin)

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
        written = self.writer.write(rendered, source)
        start, completions = self._divided(written, source, set(), shared=asked.whole_prompt)
        asked = lend(asked, asked.whole_prompt - len(start))
        room = None if self.max_length is None else self.max_length - len(asked.prompt)
        return replace(asked, mismatched=tuple(shortened(completion, room, source) for completion in completions))

    def _outcome(self, row: Labelled, used: Sequence[int], rendered: Rendered, written: Written) -> Outcome:
        """Divide, cut, and check a row."""
        group, kinds, uncut = row.group, set[str](), None
        if rendered.typed:
            kinds.add("with control tokens kept as text")
        if rendered.prefaced:
            kinds.add("with text of the template in front of the answer, which is scored")
        try:
            prompt, completions = self._divided(written, group.source, kinds)
            scored = tuple(len(each.ids) - each.unscored for each in completions)
            longest = len(prompt) + max(len(each.ids) for each in completions)
            uncut = Uncut(group, used, row.views, len(prompt), scored, longest)
            fitted = fit_to_length(
                prompt, completions, self.max_length, self.truncation, self.known_begin, group.source
            )
            if fitted is None:
                return Outcome(kinds=frozenset({DROPPED}), uncut=uncut)
            encoded = of_used_completions(
                group, used, row.views, row.compared, fitted.prompt, fitted.completions, whole_prompt=len(prompt)
            )
            refuse_equal_sides(encoded)
        except DataError as error:
            return Outcome(error=error, uncut=uncut)
        return Outcome(encoded, frozenset(kinds) | fitted.kinds, uncut=uncut)

    def _divided(
        self, written: Written, source: str, kinds: set[str], *, shared: int | None = None
    ) -> tuple[tuple[int, ...], list[EncodedCompletion]]:
        """The shared prompt and each completion behind it. `shared` fixes the prompt's length where it is known."""
        prompt, wholes = written
        boundaries = [_common_prefix(prompt, whole) for whole in wholes]
        if any(boundary < len(prompt) for boundary in boundaries):
            kinds.add("merged at the boundary")
        start = min(boundaries) if shared is None else min(shared, *boundaries)
        if start == 0:
            what = "prompt and answer share no first token, so nothing predicts the answer's first token"
            raise DataError("data.no_prompt", what, where=source, fix="give the row a longer prompt")
        completions = []
        for whole, boundary in zip(wholes, boundaries, strict=True):
            ids = self._ended(whole, boundary, kinds)
            if len(ids) <= boundary:
                what = "an answer has no token of its own once it is encoded"
                raise DataError("data.empty", what, where=source, fix="drop the row, or data.skip_bad=true")
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


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    if second[: len(first)] == first:
        return len(first)
    pairs = zip(first, second, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
