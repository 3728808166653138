"""From text to token ids: where the answer begins, which tokens are scored, and what is cut when it is too long.

Boundary. The prompt is encoded without end token, prompt and answer are encoded together, and the answer begins where
the prompt's ids end, if those are how the whole begins; otherwise at their longest common prefix, counted as a merge.
Encoding the two apart would differ: many tokenizers write the first word of a text in another way.

Begin. The tokenizer's begin token stands once, at the prompt's start, if the tokenizer or the template writes it.

End. Scored are the answer's tokens through the first end token. A template writes one; for plain text we append the
tokenizer's end token, which many tokenizers never write.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from transformers import PreTrainedTokenizerBase

from prefsmith.data.render import Rendered, Renderer
from prefsmith.data.views import View
from prefsmith.errors import ConfigError, DataError
from prefsmith.records import Comparison, Completion, Group

Truncation = Literal["keep_end", "keep_start", "drop", "refuse"]


@dataclass(frozen=True, slots=True)
class EncodedCompletion:
    """The tokens behind the shared prompt. The first `unscored` of them still belong to the prompt."""

    ids: tuple[int, ...]
    unscored: int = 0


@dataclass(frozen=True, slots=True)
class EncodedGroup:
    """A group as token ids.

    Args:
        group: where it comes from; its completions are those that `completions` encodes, in that order.
        prompt: ids that all completions share, begin token included.
        completions: one per completion that some loss uses.
        views: the labels of each loss term; indices into `completions`.
        compared: every comparison whose two completions are here, for metrics.
        mismatched: answers to another prompt, encoded behind this one; they carry no label.
        whole_prompt: length of the prompt before it was cut.
    """

    group: Group
    prompt: tuple[int, ...]
    completions: tuple[EncodedCompletion, ...]
    views: tuple[View, ...]
    compared: tuple[Comparison, ...]
    whole_prompt: int
    mismatched: tuple[EncodedCompletion, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens that the group takes in a batch, its prompt once."""
        return len(self.prompt) + sum(len(each.ids) for each in (*self.completions, *self.mismatched))

    @property
    def longest(self) -> int:
        """Tokens of the prompt and its longest completion."""
        return len(self.prompt) + max(len(each.ids) for each in (*self.completions, *self.mismatched))


@dataclass(slots=True)
class EncodingCounts:
    """What was done to the rows on their way to ids; each group is counted once per kind."""

    groups: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def as_dict(self) -> dict[str, int]:
        """For data.json."""
        return {
            "groups": self.groups,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            **dict(sorted(self.kinds.items())),
        }


class Encoder:
    """Encodes groups for one model.

    Args:
        tokenizer: of the model.
        renderer: writes a group as text.
        max_length: most tokens of prompt and one completion together; None for no limit.
        truncation: what happens to longer groups.
        end_ids: ids that end an answer, beside the tokenizer's own end token.

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
        self.max_length, self.truncation = max_length, truncation
        self.begin = _begin_id(tokenizer)
        self.end = cast("int | None", tokenizer.eos_token_id)
        self.ends = frozenset(end_ids) | ({self.end} if self.end is not None else set())
        self.counts = EncodingCounts()
        if renderer.template is None and self.end is None:
            raise ConfigError(
                "model.end_token",
                "the tokenizer has no end token, so an answer could never end",
                where=str(tokenizer.name_or_path),
                fix="set eos_token in tokenizer_config.json",
            )

    def encode(self, group: Group, views: Sequence[View]) -> EncodedGroup | None:
        """Encode the completions that the views use; None where `truncation` drops the group.

        Raises:
            DataError: the template fails, an answer has no token, the prompt is empty and there is no begin token,
                nothing of an answer would fit, or a cut makes both sides of a comparison the same.
        """
        used = sorted(set().union(*(view.completions() for view in views)))
        kinds: set[str] = set()
        rendered = self.renderer.render_completions(group, [group.completions[index] for index in used])
        prompt, completions = self._ids(rendered, group, kinds)
        cut = self._cut(prompt, completions, group, kinds)
        if cut is None:
            self.counts.kinds["dropped for their length"] += 1
            return None
        place = {old: new for new, old in enumerate(used)}
        encoded = EncodedGroup(
            group=replace(group, completions=tuple(group.completions[index] for index in used)),
            prompt=cut[0],
            completions=tuple(cut[1]),
            views=tuple(_moved(view, place) for view in views),
            compared=tuple(
                _moved_comparison(each, place)
                for each in group.comparisons
                if {each.better, each.worse} <= place.keys()
            ),
            whole_prompt=len(prompt),
        )
        _refuse_equal_sides(encoded)
        self._count(encoded, kinds)
        return encoded

    def add_mismatched(self, asked: EncodedGroup, answers: Sequence[Completion]) -> EncodedGroup:
        """The group with answers to another prompt, encoded anew behind its own; how its prompt was cut stays.

        Raises:
            DataError: as for `encode`.
        """
        source = asked.group.source
        rendered = self.renderer.render_completions(asked.group, answers)
        start, completions = self._ids(rendered, asked.group, set(), shared=asked.whole_prompt)
        asked = _lend(asked, asked.whole_prompt - len(start))
        room = None if self.max_length is None else self.max_length - len(asked.prompt)
        return replace(asked, mismatched=tuple(_shortened(completion, room, source)[0] for completion in completions))

    def _count(self, encoded: EncodedGroup, kinds: set[str]) -> None:
        self.counts.groups += 1
        self.counts.kinds.update(kinds)
        self.counts.prompt_tokens += len(encoded.prompt)
        self.counts.completion_tokens += sum(len(each.ids) - each.unscored for each in encoded.completions)

    def _ids(
        self, rendered: Rendered, group: Group, kinds: set[str], *, shared: int | None = None
    ) -> tuple[tuple[int, ...], list[EncodedCompletion]]:
        """The shared prompt and each completion behind it. `shared` fixes the prompt's length where it is known."""
        if rendered.typed:
            kinds.add("with control tokens kept as text")
        prompt = self._encode(rendered.prompt, rendered.typed)
        if not prompt:
            what = "the prompt is empty and the tokenizer writes no begin token, so nothing predicts the first token"
            raise DataError("data.no_prompt", what, where=group.source, fix="give the row a prompt")
        wholes = [self._encode(text, rendered.typed) for text in rendered.texts]
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

    def _encode(self, text: str, typed: dict[str, str]) -> tuple[int, ...]:
        """Ids of a text with its begin token. What people typed is never a control token."""
        if self.renderer.template is None:
            ids = self._plain_ids(text)
        elif not typed:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            ids = self._pieces(text, typed)
        ids = cast("tuple[int, ...]", tuple(ids))
        if self.begin is not None and ids[:1] != (self.begin,):
            return (self.begin, *ids)
        return ids

    def _plain_ids(self, text: str) -> list[int]:
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return cast("list[int]", ids)

    def _pieces(self, text: str, typed: dict[str, str]) -> list[int]:
        """Control tokens of the template as such; the text between them in pieces, stand-ins put back as text."""
        ids: list[int] = []
        position = 0
        for match in [*self.renderer.control.finditer(text), None]:
            piece = text[position : match.start() if match else len(text)]
            for character, token in typed.items():
                piece = piece.replace(character, token)
            if piece:
                ids += self._plain_ids(piece)
            if match:
                ids.append(cast("int", self.tokenizer.convert_tokens_to_ids(match.group())))
                position = match.end()
        return ids

    def _cut(
        self, prompt: tuple[int, ...], completions: list[EncodedCompletion], group: Group, kinds: set[str]
    ) -> tuple[tuple[int, ...], list[EncodedCompletion]] | None:
        """Bring the group to `max_length`; None drops it."""
        longest = max(len(completion.ids) for completion in completions)
        if self.max_length is None or len(prompt) + longest <= self.max_length:
            return prompt, completions
        if self.truncation == "drop":
            return None
        if self.truncation == "refuse":
            what = f"the row has {len(prompt) + longest} tokens, more than data.max_length={self.max_length}"
            fix = "raise data.max_length, or data.truncation=keep_end"
            raise DataError("data.too_long", what, where=group.source, fix=fix)
        if self.truncation == "keep_end":
            # The template may write the begin token where the tokenizer does not; either is kept.
            begin = cast("int | None", self.tokenizer.bos_token_id)
            shorter = _prompt_end(prompt, self.max_length - longest, begin)
            if len(shorter) < len(prompt):
                kinds.add("with a prompt cut")
            prompt = shorter
        cut = [_shortened(completion, self.max_length - len(prompt), group.source) for completion in completions]
        if any(was_cut for _, was_cut in cut):
            kinds.add("with an answer cut")
        return prompt, [completion for completion, _ in cut]


def _begin_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The begin token, if the tokenizer writes it in front of a text."""
    written = cast("list[int]", tokenizer("a", add_special_tokens=True)["input_ids"])
    begin = cast("int | None", tokenizer.bos_token_id)
    return begin if begin is not None and written[:1] == [begin] else None


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = zip(first, second, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _prompt_end(prompt: tuple[int, ...], room: int, begin: int | None) -> tuple[int, ...]:
    """The last `room` tokens, at least one, the begin token kept in front."""
    room = max(room, 1)
    if room >= len(prompt):
        return prompt
    if begin is not None and prompt[0] == begin:
        return (begin, *prompt[len(prompt) - room + 1 :])
    return prompt[len(prompt) - room :]


def _shortened(completion: EncodedCompletion, room: int | None, source: str) -> tuple[EncodedCompletion, bool]:
    """The completion cut at its end to `room` tokens, and whether it was; a cut one has lost its end token."""
    if room is None or len(completion.ids) <= room:
        return completion, False
    if room <= completion.unscored:
        what = "the prompt takes all of data.max_length, so no token of the answer would be left"
        raise DataError("data.too_long", what, where=source, fix="raise data.max_length, or data.truncation=keep_end")
    return EncodedCompletion(completion.ids[:room], completion.unscored), True


def _lend(group: EncodedGroup, count: int) -> EncodedGroup:
    """The same sequences, where the prompt's last `count` tokens stand unscored in front of every completion."""
    if count == 0:
        return group
    if count >= len(group.prompt):
        what = "a mismatched answer shares no token with the prompt as it was cut"
        raise DataError("data.too_long", what, where=group.group.source, fix="raise data.max_length")
    lent = group.prompt[len(group.prompt) - count :]
    completions = (EncodedCompletion((*lent, *each.ids), each.unscored + count) for each in group.completions)
    return replace(
        group,
        prompt=group.prompt[: len(group.prompt) - count],
        completions=tuple(completions),
        whole_prompt=group.whole_prompt - count,
    )


def _refuse_equal_sides(encoded: EncodedGroup) -> None:
    for comparison in encoded.compared:
        if encoded.completions[comparison.better] == encoded.completions[comparison.worse]:
            raise DataError(
                "data.identical_tokens",
                "chosen and rejected are the same tokens once encoded and cut, so the pair teaches nothing",
                where=encoded.group.source,
                fix="raise data.max_length, or data.skip_bad=true",
            )


def _moved(view: View, place: dict[int, int]) -> View:
    return View(
        comparisons=tuple(_moved_comparison(comparison, place) for comparison in view.comparisons),
        ratings=tuple(replace(rating, completion=place[rating.completion]) for rating in view.ratings),
    )


def _moved_comparison(comparison: Comparison, place: dict[int, int]) -> Comparison:
    return replace(comparison, better=place[comparison.better], worse=place[comparison.worse])
