"""The texts of a row as checks read them, and digests by which equal ones are found."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from prefsmith.audit.decided import decided
from prefsmith.data.ranking import compare
from prefsmith.records import Completion, Group


class Verdict(NamedTuple):
    """What a row says of two of its completions.

    Args:
        better: index of the one that won; of a tie, one of both.
        worse: index of the other.
        tie: whether neither won.
        gap: score of better minus score of worse, where there are scores.
    """

    better: int
    worse: int
    tie: bool
    gap: float | None


def digest(text: str) -> int:
    """64 bits of a text: two of a million texts share them once in forty million times."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def prompt_text(group: Group) -> str:
    """What was said before the answer, without roles."""
    if isinstance(group.prompt, str):
        return group.prompt
    return "\n".join(message.content for message in group.prompt)


def completion_text(completion: Completion) -> str:
    """What was answered, with the tool calls that belong to it; the name of an answer that is only named."""
    extras = [repr(sorted(message.extra.items())) for message in completion.messages if message.extra]
    extras += completion.media
    return "\n".join([completion.content, *extras]) if extras else completion.content


def has_texts(group: Group) -> bool:
    """Whether the answers are in the file; files of votes may only name them."""
    return any(completion.text != "" or not completion.media for completion in group.completions)


def verdicts(group: Group) -> Iterator[Verdict]:
    """Every comparison of a row, the winner first; of votes what most said, unless that is a tie."""
    if group.votes:
        for better, worse in decided(group):
            yield Verdict(better, worse, False, None)
        return
    for each in group.comparisons or (compare(group, "all") if group.ranking else ()):
        turned = each.prob < 0.5
        better, worse = (each.worse, each.better) if turned else (each.better, each.worse)
        gap = None if each.score_gap is None else -each.score_gap if turned else each.score_gap
        yield Verdict(better, worse, each.prob == 0.5, gap)
