"""What one row of a target holds: a pair, one answer, or a list. It is made of a group, whatever its file was."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from prefsmith.data.ranking import Pairs, compare
from prefsmith.data.schema import PAIRS, Schema
from prefsmith.data.targets.account import Account
from prefsmith.records import Comparison, Completion, Group, Message, Vote

Kind = Literal["pair", "rating", "example", "list"]
Prompt = str | tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One row to be.

    Args:
        kind: what it holds.
        prompt: a text, or messages.
        answers: chosen and rejected; one; or those of a list, in the order of the file.
        beside: labels and descriptions under our names, JSON-ready. Each is in every item of a file or in none, but
            for `id` and `tags`.
        label: whether a rated answer is desirable.
        tools: JSON schemas.
        foreign: columns that the reader did not look at, as they are in the file.
        renamed: whether chosen and rejected are others than in the file: what a vote names is then no longer there.
    """

    kind: Kind
    prompt: Prompt
    answers: tuple[Completion, ...]
    beside: Mapping[str, object] = field(default_factory=dict)
    label: bool | None = None
    tools: tuple[Mapping[str, object], ...] = ()
    foreign: Mapping[str, object] = field(default_factory=dict)
    renamed: bool = False

    @property
    def is_text(self) -> bool:
        """Whether there are no turns in it."""
        return isinstance(self.prompt, str) and all(each.text is not None for each in self.answers) and not self.tools

    def messages(self) -> tuple[Message, ...]:
        """The prompt as turns; a text is what the user says."""
        return (Message("user", self.prompt),) if isinstance(self.prompt, str) else self.prompt

    def said(self) -> tuple[Message, ...]:
        """Each answer as what the assistant says."""
        return tuple(each.messages[0] if each.messages else Message("assistant", each.content) for each in self.answers)


def kind_of(schema: Schema, *, lists: bool) -> Kind:
    """What the items of a file are.

    Args:
        schema: of the file.
        lists: whether the target has lists.
    """
    if schema.format in PAIRS or (schema.listing is not None and not lists):
        return "pair"
    return "list" if schema.listing is not None else "rating" if schema.format == "rating" else "example"


def items_of(group: Group, schema: Schema, account: Account, *, pairs: Pairs, lists: bool) -> Iterator[Item]:
    """The items of a group.

    Args:
        group: as it was read.
        schema: of its file.
        account: of the row; counts what is changed and left out.
        pairs: which answers of a list are compared.
        lists: whether the target has lists, and ties and doubts with them: ours alone.
    """
    kind = kind_of(schema, lists=lists)
    if kind == "pair":
        comparisons = group.comparisons or compare(group, pairs)
        if not group.comparisons:
            account.changed["lists as pairs of their answers"] += 1
        for comparison in comparisons:
            if lists or comparison.prob != 0.5:
                yield _pair(group, comparison, schema, account, keep=lists)
            else:
                account.left_out["a tie"] += 1
        return
    weight = (
        {"weight": group.weight if kind == "list" else group.ratings[0].weight} if "weight" in schema.columns else {}
    )
    beside = {**_described(group, group.id), **weight}
    if kind == "list":
        beside |= _order(group)
    label = bool(group.ratings[0].value) if kind == "rating" else None
    yield Item(kind, group.prompt, group.completions, beside, label, group.tools)


def _pair(group: Group, comparison: Comparison, schema: Schema, account: Account, *, keep: bool) -> Item:
    """Chosen is the likelier one, but where the target knows probabilities."""
    renamed = schema.listing is not None or schema.columns.get("chosen") != "chosen" or schema.sides is not None
    if comparison.prob < 0.5 and not keep:
        renamed = True
        account.changed["turned round, since rejected is the likelier one"] += 1
        gap = None if comparison.score_gap is None else -comparison.score_gap
        turned = replace(comparison, better=comparison.worse, worse=comparison.better, prob=1 - comparison.prob)
        comparison = replace(turned, score_gap=gap)
    answers = group.completions[comparison.better], group.completions[comparison.worse]
    listed, columns = schema.listing is not None, schema.columns
    name = f"{group.id} {comparison.better}-{comparison.worse}" if listed and group.id != group.source else group.id
    beside = _described(group, name)
    if "prob" in columns or schema.sides is not None:
        beside["prob"] = comparison.prob
    if "weight" in columns or listed:
        beside["weight"] = comparison.weight
    if "score_chosen" in columns or (listed and None not in (each.score for each in answers)):
        beside |= {"score_chosen": answers[0].score, "score_rejected": answers[1].score}
    elif "margin" in columns:
        beside["margin"] = comparison.score_gap
    return Item("pair", group.prompt, answers, beside, None, group.tools, renamed=renamed)


def _described(group: Group, name: str) -> dict[str, object]:
    found: dict[str, object] = {} if group.id == group.source else {"id": name}
    if group.tags:
        found["tags"] = list(group.tags)
    return found | ({"votes": [_vote(each) for each in group.votes]} if group.votes else {})


def _vote(vote: Vote) -> dict[str, object]:
    said: dict[str, object] = {
        "left": vote.left,
        "right": vote.right,
        "verdict": vote.verdict,
        "annotator": vote.annotator,
    }
    return said | ({} if vote.order is None else {"order": vote.order})


def _order(group: Group) -> dict[str, object]:
    """Scores where the answers have them; else ranks, from 1, with which ties share a place."""
    scores = [each.score for each in group.completions]
    if None not in scores:
        return {"scores": scores}
    ranks = {
        place: 1 + sum(map(len, group.ranking[:tier])) for tier, each in enumerate(group.ranking) for place in each
    }
    return {"ranks": [ranks[place] for place in range(len(scores))]}
