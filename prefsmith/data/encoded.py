"""Groups as token ids: what encoding makes and batches are packed from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prefsmith.data.views import View
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Group


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
        compared: what the data says of pairs whose two completions are here, for metrics.
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


def of_used_completions(
    group: Group,
    used: Sequence[int],
    views: Sequence[View],
    compared: Sequence[Comparison],
    prompt: tuple[int, ...],
    completions: Sequence[EncodedCompletion],
    *,
    whole_prompt: int,
) -> EncodedGroup:
    """The group with those of its completions that some loss uses; all indices count these."""
    if len(used) == len(group.completions):
        return EncodedGroup(group, prompt, tuple(completions), tuple(views), tuple(compared), whole_prompt)
    place = {old: new for new, old in enumerate(used)}
    kept = (tuple(place[index] for index in tier if index in place) for tier in group.ranking)
    return EncodedGroup(
        group=replace(
            group,
            completions=tuple(group.completions[index] for index in used),
            ranking=tuple(tier for tier in kept if tier),
        ),
        prompt=prompt,
        completions=tuple(completions),
        views=tuple(_moved(view, place) for view in views),
        compared=tuple(
            _moved_comparison(each, place) for each in compared if {each.better, each.worse} <= place.keys()
        ),
        whole_prompt=whole_prompt,
    )


def lend(group: EncodedGroup, count: int) -> EncodedGroup:
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


def refuse_equal_sides(encoded: EncodedGroup) -> None:
    """A pair whose sides became the same teaches nothing, nor does a list whose answers did.

    Raises:
        DataError: with the row.
    """
    together = [(comparison.better, comparison.worse) for comparison in encoded.compared]
    together += [ranking.order for view in encoded.views for ranking in view.rankings]
    if all(len({encoded.completions[index] for index in each}) == len(each) for each in together):
        return
    fix = "raise data.max_length, or data.skip_bad=true"
    if encoded.group.ranking:
        what = "two of the ranked answers are the same tokens once encoded and cut, so comparing them teaches nothing"
        raise DataError("data.identical_tokens", what, where=encoded.group.source, fix=fix)
    what = "chosen and rejected are the same tokens once encoded and cut, so the pair teaches nothing"
    raise DataError("data.identical_tokens", what, where=encoded.group.source, fix=fix)


def _moved(view: View, place: dict[int, int]) -> View:
    return replace(
        view,
        comparisons=tuple(_moved_comparison(comparison, place) for comparison in view.comparisons),
        ratings=tuple(replace(rating, completion=place[rating.completion]) for rating in view.ratings),
        rankings=tuple(
            replace(ranking, order=tuple(place[index] for index in ranking.order)) for ranking in view.rankings
        ),
    )


def _moved_comparison(comparison: Comparison, place: dict[int, int]) -> Comparison:
    return replace(comparison, better=place[comparison.better], worse=place[comparison.worse])
