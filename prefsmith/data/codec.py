"""A group as a line of JSON and back, exactly."""

import json
from collections.abc import Mapping
from typing import Any

from prefsmith.records import Comparison, Completion, Group, Message, Rating, Vote

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_PLAIN = (str, int, float, bool, type(None))


def group_to_line(group: Group) -> bytes | None:
    """The group without a line end; None where it holds what JSON cannot say, such as bytes in a tool call."""
    prompt = group.prompt
    values = [
        None if group.id == group.source else group.id,
        group.source,
        prompt if isinstance(prompt, str) else [_of_message(each) for each in prompt],
        [_of_completion(each) for each in group.completions],
        [(each.better, each.worse, each.prob, each.weight, each.score_gap) for each in group.comparisons],
        [(each.completion, each.value, each.weight) for each in group.ratings],
        group.ranking,
        [(each.left, each.right, each.verdict, each.annotator, each.order, each.seconds) for each in group.votes],
        group.tags,
        group.tools,
        group.weight,
    ]
    messages = [] if isinstance(prompt, str) else [*prompt]
    for completion in group.completions:
        messages += completion.messages
    if not all(_is_plain(each.extra) for each in messages if each.extra) or not _is_plain(list(group.tools)):
        return None
    return _write(values).encode("utf-8", "surrogatepass")


def group_of_line(line: bytes) -> Group:
    """What `group_to_line` wrote."""
    values = json.loads(line.decode("utf-8", "surrogatepass"))
    identity, source, prompt, completions, comparisons, ratings, ranking, votes, tags, tools, weight = values
    return Group(
        id=source if identity is None else identity,
        source=source,
        prompt=prompt if isinstance(prompt, str) else tuple(_to_message(each) for each in prompt),
        completions=tuple(_to_completion(each) for each in completions),
        comparisons=tuple(Comparison(*each) for each in comparisons),
        ratings=tuple(Rating(*each) for each in ratings),
        ranking=tuple(tuple(tier) for tier in ranking),
        votes=tuple(Vote(*each) for each in votes),
        tags=tuple(tags),
        tools=tuple(tools),
        weight=weight,
    )


def _of_message(message: Message) -> list[object]:
    return [message.role, message.content, message.extra] if message.extra else [message.role, message.content]


def _to_message(values: list[Any]) -> Message:
    return Message(*values)


def _of_completion(completion: Completion) -> list[object]:
    messages = [_of_message(each) for each in completion.messages]
    values: list[object] = [completion.text, messages, completion.score, completion.media]
    return values if completion.writer is None else [*values, completion.writer]


def _to_completion(values: list[Any]) -> Completion:
    text, messages, score, media, *writer = values
    return Completion(text, tuple(_to_message(each) for each in messages), score, tuple(media), *writer)


def _is_plain(value: object) -> bool:
    """Whether JSON gives the value back as it is."""
    if type(value) in _PLAIN:
        return True
    if type(value) is list:
        return all(map(_is_plain, value))
    return isinstance(value, Mapping) and all(type(key) is str and _is_plain(item) for key, item in value.items())
