"""What the training prompts are about, and what is thin: topics, tags, turns, languages."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt64

from prefsmith.audit.audited import Audited, Part
from prefsmith.audit.finding import EXAMPLES, Example, Finding
from prefsmith.audit.languages import languages
from prefsmith.audit.topics import Topic, topics
from prefsmith.data.excerpt import excerpt
from prefsmith.data.split import prompt_digest
from prefsmith.records import Group
from prefsmith.stats import wilson

KIND = "uncovered"
SAMPLED = 20_000
"""Most different prompts that topics are told of."""
READ = 4000
"""Characters of a prompt that are looked at: its end."""
OF_LANGUAGES = 2000
FEW = 30
"""Rows of a tag below which a model learns little of it, and no number about it is sharp."""
SHOWN = 60
BESIDE = 4.0
"""How many times as frequent a topic is in evaluation than in training, at least, to be said to be missing."""
FREQUENT = 0.02
"""Share of the evaluation that a topic needs for that."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is remembered of the prompts of some rows.

    Args:
        prompt: digest of each row's prompt.
        turns: how often the user speaks, how many rows.
        tags: of how many rows.
        tagged: rows that have any.
    """

    prompt: UInt64[np.ndarray, " row"]
    turns: Counter[int]
    tags: Counter[str]
    tagged: int


class Uncovered:
    """Coverage of the training files.

    Args:
        seed: of the samples and the clusters.
    """

    kind = KIND

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def look(self, groups: Sequence[Group]) -> Seen:
        """Which prompts these are, how long their dialogues, how they are tagged."""
        return Seen(
            prompt=np.frombuffer(b"".join(prompt_digest(group)[:8] for group in groups), dtype=np.uint64),
            turns=Counter(_turns(group) for group in groups),
            tags=Counter(tag for group in groups for tag in set(group.tags)),
            tagged=sum(bool(group.tags) for group in groups),
        )

    def findings(self, blocks: Sequence[Seen], data: Audited) -> Iterator[Finding]:
        """What the training rows are about, and what of the evaluation they hardly hold."""
        train = [block for block, part in zip(blocks, _parts(data), strict=True) if part == "train"]
        if not train:
            return
        rows = self._sampled(blocks, data, "train")
        texts = [_asked(data.group(int(row))) for row in rows]
        evaluated = self._sampled(blocks, data, "eval")
        yield from self._topics(texts, rows, [_asked(data.group(int(row))) for row in evaluated], evaluated, data)
        yield from _tags(train)
        yield from _by_turns(train)
        some = np.random.default_rng(self.seed).permutation(len(texts))[:OF_LANGUAGES]
        yield from _languages([texts[place] for place in some], [int(rows[place]) for place in some], self.seed, data)

    def _sampled(self, blocks: Sequence[Seen], data: Audited, part: Part) -> Int[np.ndarray, " row"]:
        """Rows of different prompts of a part, rising; a seeded sample where they are many."""
        own = [
            (block.prompt, start)
            for block, start, theirs in zip(blocks, data.blocks, _parts(data), strict=False)
            if theirs == part
        ]
        if not own:
            return np.zeros(0, dtype=np.int64)
        prompts = np.concatenate([prompt for prompt, _ in own])
        rows = np.concatenate([start + np.arange(len(prompt)) for prompt, start in own])
        first = rows[np.unique(prompts, return_index=True)[1]]
        if len(first) > SAMPLED:
            first = np.random.default_rng(self.seed).choice(first, SAMPLED, replace=False)
        return np.sort(first)

    def _topics(
        self, texts: list[str], rows: np.ndarray, evaluated: list[str], eval_rows: np.ndarray, data: Audited
    ) -> Iterator[Finding]:
        found = topics(texts, evaluated, self.seed)
        if not found:
            return
        thin = [each for each in found if each.thin]
        yield Finding(
            kind=KIND, code="uncovered.topics", severity="note",
            title="Thin topics",
            count=len(thin), of=len(found), unit="topics",
            effect="of a thin topic little is learnt, and what is measured on it is not sharp" if thin else "",
            cure="add prompts of the thin topics, if they matter" if thin else "nothing has to be done",
            examples=tuple(_example(data, int(rows[each.members[0]])) for each in thin[:EXAMPLES] if each.members),
            numbers={"topics": [each.to_json() for each in found], "prompts": len(texts), "seed": self.seed,
                     "effective_topics": _effective([each.prompts for each in found])},
        )  # fmt: skip
        if not evaluated:
            return
        missing = [each for each in found if _missing(each, len(texts), len(evaluated))]
        places = [int(eval_rows[each.evaluated_members[0]]) for each in missing]
        yield Finding(
            kind=KIND, code="uncovered.evaluated", severity="warning" if missing else "note",
            title="Topics that are evaluated are hardly trained on",
            count=sum(each.evaluated for each in missing), of=len(evaluated), unit="evaluated prompts",
            effect="the evaluation measures what the training data do not teach" if missing else "",
            cure="add training prompts of these topics, or evaluate on what is trained" if missing else
            "nothing has to be done",
            examples=tuple(_example(data, row) for row in places[:EXAMPLES]),
            numbers={"missing": [each.to_json() for each in missing], "times_as_frequent": BESIDE},
        )  # fmt: skip


def _parts(data: Audited) -> list[Part]:
    """Of each block."""
    return [data.file_of(start).part for start in data.blocks[:-1]]


def _turns(group: Group) -> int:
    return 1 if isinstance(group.prompt, str) else sum(message.role == "user" for message in group.prompt)


def _asked(group: Group) -> str:
    """What the user said, the end of it."""
    if isinstance(group.prompt, str):
        return group.prompt[-READ:]
    return "\n".join(message.content for message in group.prompt if message.role == "user")[-READ:]


def _example(data: Audited, row: int) -> Example:
    return data.example(row, _asked(data.group(row)))


def _missing(topic: Topic, trained: int, evaluated: int) -> bool:
    """Whether a topic is told to be much more frequent in evaluation than in training."""
    if not topic.evaluated_members:
        return False
    own, theirs = wilson(topic.evaluated, evaluated), wilson(topic.prompts, trained)
    return own.value >= FREQUENT and own.low > BESIDE * theirs.high


def _effective(counts: Sequence[int]) -> float:
    """How many topics of one size are as even as these: e to the entropy of their shares."""
    shares = np.array([count for count in counts if count], dtype=np.float64)
    shares /= shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _tags(blocks: Sequence[Seen]) -> Iterator[Finding]:
    counts = sum((block.tags for block in blocks), Counter[str]())
    if not counts:
        return
    rows = sum(len(block.prompt) for block in blocks)
    thin = [tag for tag, count in counts.items() if count < FEW]
    yield Finding(
        kind=KIND, code="uncovered.tags", severity="note", title="Thin tags",
        count=len(thin), of=len(counts), unit="tags",
        effect="of a thin tag little is learnt, and what is measured on it is not sharp" if thin else "",
        cure="add rows of the thin tags, if they matter" if thin else "nothing has to be done",
        numbers={"tags": _table("tag", counts, rows, FEW), "few": FEW,
                 "rows_without": rows - sum(block.tagged for block in blocks)},
    )  # fmt: skip


def _by_turns(blocks: Sequence[Seen]) -> Iterator[Finding]:
    counts = sum((block.turns for block in blocks), Counter[int]())
    rows = counts.total()
    several = rows - counts[1] - counts[0]
    yield Finding(
        kind=KIND, code="uncovered.turns", severity="note", title="Dialogues of several turns", count=several, of=rows,
        unit="rows",
        effect="a policy that is trained on single turns alone is not trained for a dialogue's later ones"
        if not several else "",
        cure="add dialogues, if the model is to hold any" if not several else "nothing has to be done",
        numbers={"turns": _table("turns", Counter({str(turns): count for turns, count in sorted(counts.items())}), rows,
                                 0, by_count=False)},
    )  # fmt: skip


def _languages(texts: list[str], rows: list[int], seed: int, data: Audited) -> Iterator[Finding]:
    found = languages(texts)
    counts = Counter(found)
    if not counts:
        return
    most = max((name for name in counts if name), key=lambda name: (counts[name], name), default="")
    others = [place for place, name in enumerate(found) if name not in ("", most)]
    yield Finding(
        kind=KIND, code="uncovered.languages", severity="note",
        title="Prompts in other languages than most",
        count=len(others), of=len(found), unit="sampled prompts",
        effect="what is learnt in one language carries over to others in part" if others else "",
        cure="add prompts of the languages that matter" if others else "nothing has to be done",
        examples=tuple(data.example(rows[place], f"{found[place]}: {excerpt(texts[place], 120)}")
                       for place in others[:EXAMPLES]),
        numbers={"languages": _table("language", Counter(name or "not sure" for name in found), len(found), 0),
                 "seed": seed},
    )  # fmt: skip


def _table(name: str, counts: Counter[str], of: int, few: int, *, by_count: bool = True) -> list[dict[str, object]]:
    """Rows of a table; the most frequent first, or as they come."""
    order = sorted(counts, key=lambda each: (-counts[each], each)) if by_count else list(counts)
    found: list[dict[str, object]] = []
    for each in order[:SHOWN]:
        own = wilson(counts[each], of)
        share = {"value": own.value, "low": own.low, "high": own.high, "n": of}
        found.append({name: each, "rows": counts[each], "share": share, "thin": counts[each] < few})
    return found
