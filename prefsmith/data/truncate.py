"""What is cut from a group that is too long: the prompt at one end, once for the group; an answer at its end only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prefsmith.data.encoded import EncodedCompletion
from prefsmith.errors import DataError

Truncation = Literal["keep_end", "keep_start", "drop", "refuse"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A group that fits. `kinds` says what was cut."""

    prompt: tuple[int, ...]
    completions: list[EncodedCompletion]
    kinds: frozenset[str] = frozenset()


def fit_to_length(
    prompt: tuple[int, ...],
    completions: Sequence[EncodedCompletion],
    max_length: int | None,
    rule: Truncation,
    begin: int | None,
    source: str,
) -> Fitted | None:
    """Bring a prompt with any of its completions to at most `max_length` tokens.

    Args:
        prompt: ids that all completions share.
        completions: the group's own.
        max_length: None for no limit.
        rule: `keep_end` cuts the prompt at its start, for the longest completion, keeping the begin token and at least
            one token; `keep_start` leaves the prompt whole. Either then cuts completions at their end where they still
            do not fit, so that a cut one has lost its end token. `drop` gives None, `refuse` raises.
        begin: id of the begin token.
        source: file:line of the row.

    Raises:
        DataError: the rule is `refuse`, or no token of an answer would be left.
    """
    longest = max(len(completion.ids) for completion in completions)
    if max_length is None or len(prompt) + longest <= max_length:
        return Fitted(prompt, list(completions))
    if rule == "drop":
        return None
    if rule == "refuse":
        what = f"the row has {len(prompt) + longest} tokens, more than data.max_length={max_length}"
        raise DataError("data.too_long", what, where=source, fix="raise data.max_length, or data.truncation=keep_end")
    kinds: set[str] = set()
    if rule == "keep_end":
        whole, prompt = prompt, prompt_end(prompt, max_length - longest, begin)
        kinds |= {"with a prompt cut"} if len(prompt) < len(whole) else set()
        kinds |= {"with no more than one token left of the prompt"} if len(prompt) == 1 < len(whole) else set()
    cut = [shortened(completion, max_length - len(prompt), source) for completion in completions]
    kinds |= {"with an answer cut"} if cut != list(completions) else set()
    return Fitted(prompt, cut, frozenset(kinds))


def shortened(completion: EncodedCompletion, room: int | None, source: str) -> EncodedCompletion:
    """The completion, cut at its end to `room` tokens where it is longer.

    Raises:
        DataError: no scored token would be left.
    """
    if room is None or len(completion.ids) <= room:
        return completion
    if room <= completion.unscored:
        what = "the prompt takes all of data.max_length, so no token of the answer would be left"
        fix = "raise data.max_length; with data.truncation=keep_end the prompt makes room"
        raise DataError("data.too_long", what, where=source, fix=fix)
    return EncodedCompletion(completion.ids[:room], completion.unscored)


def prompt_end(prompt: tuple[int, ...], room: int, begin: int | None) -> tuple[int, ...]:
    """The last `room` tokens, at least one, the begin token kept in front."""
    room = max(room, 1)
    if room >= len(prompt):
        return prompt
    if begin is not None and prompt[0] == begin:
        return (begin, *prompt[len(prompt) - room + 1 :])
    return prompt[len(prompt) - room :]
