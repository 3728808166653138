"""Pairs that wait for a label, out of any file with two answers to a prompt; what it says of them is not looked at.

Two pairs are the same where prompt and answers are, whichever answer stands first: labels come back with another order.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, islice
from pathlib import Path

from prefsmith.data import dialogue
from prefsmith.data.containers import open_container
from prefsmith.data.excerpt import excerpt, excerpt_names
from prefsmith.data.listing import COLUMNS, list_of
from prefsmith.data.parse import parse_row
from prefsmith.data.prompts import in_turns
from prefsmith.data.ranking import Pairs, compare
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.schema import DESCRIBING, LABELLING, PAIRS, SYNONYMS, Schema, asking_columns, recognise
from prefsmith.data.winner import unjudged_sides
from prefsmith.errors import DataError
from prefsmith.records import Completion, Group

_VERDICTS = tuple(each for name in LABELLING for each in (name, *SYNONYMS.get(name, ())))
"""Columns that say which answer is better."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that could be labelled.

    Args:
        group: two completions, and neither labels nor votes.
        key: the same for the same pair, in either order.
        turned: whether its first answer is the second one of the key.
        features: numbers that the file has for it, of the first answer less the second; empty where it has none.
    """

    group: Group
    key: str
    turned: bool
    features: tuple[float, ...] = ()


@dataclass(slots=True)
class Pool:
    """A file of pairs, each once.

    Args:
        candidates: in the order of the file.
        described: what was recognised.
        repeated: pairs that are there again.
        rows: that were read.
        refused: rows that cannot be used, by the code of their error.
    """

    candidates: list[Candidate] = field(default_factory=list)
    described: str = ""
    repeated: int = 0
    rows: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


def read_pool(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    features: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
) -> Pool:
    """Read the pairs of a file.

    Args:
        path: what `read_groups` takes: pairs in any form, with a label or without; lists of answers, of which every
            two are a pair.
        columns: our name of a column -> the file's.
        features: the column of numbers.
        limit: most rows.
        skip_bad: count rows that cannot be used and go on.

    Raises:
        DataError: the file cannot be read, has no pairs, or (unless they are skipped) a row is bad.
        ConfigError: `columns` names something that we do not know.
    """
    rejects, pool, seen, ids = Rejects(skip=skip_bad), Pool(), set[str](), dict[str, str]()
    rows = open_container(path).rows(rejects)
    first = next(rows, None)
    if first is None:
        fix = "is it the right file, and was it written to its end?"
        raise DataError("data.no_rows", "the file has no rows", where=str(path), fix=fix)
    pairs_of = _reader(first, columns or {})
    pool.described = pairs_of.described
    for row in islice(chain([first], rows), limit):
        try:
            groups = list(pairs_of.pairs(row))
            numbers = _numbers(row, features)
            _note_ids(groups, ids)
        except DataError as error:
            rejects.refuse(error, row.values)
            continue
        pool.rows += 1
        for group in groups:
            key, turned = pair_key(group)
            pool.repeated += int(key in seen)
            if key not in seen:
                pool.candidates.append(Candidate(group, key, turned, numbers))
            seen.add(key)
    pool.rows += len(rejects.rows)
    pool.refused = rejects.counts()
    if not pool.candidates:
        what, fix = f"none of {pool.rows:,} rows can be used", "without --skip-bad the first bad row is named"
        raise DataError("data.no_rows", what, where=str(path), fix=fix)
    return pool


def _note_ids(groups: Sequence[Group], seen: dict[str, str]) -> None:
    for group in groups:
        if (before := seen.setdefault(group.id, group.source)) != group.source:
            what = f"the id {group.id!r} is also that of {before}"
            fix = "ids name pairs, so each stands once; or drop the column"
            raise DataError("data.id", what, where=group.source, fix=fix)


def pair_key(group: Group) -> tuple[str, bool]:
    """What names a pair by its content, and whether its first answer is the second one there."""
    prompt = in_turns(group.prompt)
    turns = [["user", prompt]] if isinstance(prompt, str) else [[each.role, each.content] for each in prompt]
    sides = [_said(completion) for completion in group.completions]
    text = json.dumps([turns, *sorted(sides)])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest(), sides[0] > sides[1]


def as_asked(group: Group, *, turned: bool) -> dict[str, object]:
    """A pair as the row that an annotator fills in: its votes name response_a or response_b.

    Args:
        group: of two completions.
        turned: whether its second answer is shown first.
    """
    prompt, answers = _in_text(group)
    first, second = reversed(answers) if turned else answers
    row: dict[str, object] = {"id": group.id, "prompt": prompt, "response_a": first, "response_b": second, "votes": []}
    return row | ({"tags": list(group.tags)} if group.tags else {})


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes pairs of a row."""

    schema: Schema
    column: str
    """Of a list of answers without numbers; empty where there is none."""

    @property
    def described(self) -> str:
        if self.column:
            return f"lists of answers in {excerpt(self.column)}, of which every two are a pair"
        return f"pairs ({', '.join(map(excerpt, self.schema.columns.values()))})"

    def pairs(self, row: Row) -> Iterator[Group]:
        if self.column:
            yield from self._of_list(row)
            return
        group = parse_row(row, self.schema, Counter())
        named = group.id != group.source
        group = replace(group, id=group.id if named else row.source.rpartition("/")[2])
        if self.schema.format in PAIRS:
            yield _bare(group, (0, 1), group.id)
        else:
            yield from _of_ranking(group, "all")

    def _of_list(self, row: Row) -> Iterator[Group]:
        entries = list_of(row.values.get(self.column))
        if entries is None or len(entries) < 2:
            what = f"{excerpt(self.column)} is no list of at least two answers"
            raise DataError("data.ranking", what, where=row.source, fix="drop the row, or --skip-bad")
        for first, second in combinations(range(len(entries)), 2):
            values = {**row.values, "chosen": entries[first], "rejected": entries[second]}
            group = parse_row(Row(row.source, values, row.typed), self.schema, Counter())
            name = group.id if group.id != group.source else row.source.rpartition("/")[2]
            yield _bare(group, (0, 1), name if len(entries) == 2 else f"{name} {first}-{second}")


def _reader(first: Row, columns: Mapping[str, str]) -> _Reader:
    """The form of the rows: a labelled one, or the same without a label."""
    prompt = columns.get("prompt") or next(
        (name for name in ("prompt", *SYNONYMS["prompt"]) if name in first.values), ""
    )
    sides = (columns["chosen"], columns["rejected"]) if {"chosen", "rejected"} <= columns.keys() else None
    sides = sides or (unjudged_sides(first.values) if not {"chosen", "rejected"} <= first.values.keys() else None)
    found = {"prompt": prompt}
    found |= {name: columns.get(name, name) for name in asking_columns(prompt, first.values, columns)}
    found |= {name: name for name in DESCRIBING if name in first.values}
    if prompt and sides is not None and all(name in first.values for name in sides):
        return _Reader(_unjudged({**found, "chosen": sides[0], "rejected": sides[1]}), "")
    lists = [name for name in COLUMNS if list_of(first.values.get(name)) is not None]
    if prompt and lists and not {"scores", "ranks", "chosen", "rejected"} & {*first.values, *columns}:
        entries = list_of(first.values[lists[0]]) or []
        if not any(isinstance(each, dict) and "role" not in each for each in entries):
            return _Reader(_unjudged({**found, "chosen": "chosen", "rejected": "rejected"}), lists[0])
    schema = recognise(first, "auto", columns)
    if schema.format not in (*PAIRS, "ranked"):
        what = f"these rows are no pairs: the row has {excerpt_names(first.values)}"
        fix = "give prompt, response_a and response_b; prompt, chosen and rejected; or prompt and completions"
        raise DataError("data.no_pairs", what, where=first.source, fix=fix)
    kept = {ours: theirs for ours, theirs in schema.columns.items() if ours not in LABELLING}
    return _Reader(replace(schema, sides=None, columns=kept, unused=_VERDICTS), "")


def _unjudged(columns: Mapping[str, str]) -> Schema:
    """Pairs whose labels, if any, are read past."""
    return Schema("preference", columns, _VERDICTS)


def _of_ranking(group: Group, pairs: Pairs) -> Iterator[Group]:
    for each in compare(group, pairs):
        places = (min(each.better, each.worse), max(each.better, each.worse))
        yield _bare(group, places, f"{group.id} {places[0]}-{places[1]}")


def _bare(group: Group, places: Sequence[int], name: str) -> Group:
    """Two answers of a group, without what is known of them."""
    answers = tuple(replace(group.completions[place], score=None) for place in places)
    return Group(name, group.source, group.prompt, answers, tags=group.tags, tools=group.tools)


def _numbers(row: Row, column: str | None) -> tuple[float, ...]:
    if column is None:
        return ()
    values = list_of(row.values.get(column))
    numbers = [each for each in values or [] if isinstance(each, int | float) and not isinstance(each, bool)]
    if values is None or not values or len(numbers) != len(values) or not all(abs(each) < 1e100 for each in numbers):
        what = f"{excerpt(column)} is {excerpt(repr(row.values.get(column)))}, and no list of finite numbers"
        raise DataError(
            "label.features", what, where=row.source, fix="give every row as many numbers, or leave --features out"
        )
    return tuple(map(float, numbers))


def _said(completion: Completion) -> str:
    calls = [dict(each.extra) for each in completion.messages if each.extra]
    return completion.content.strip() + (json.dumps(calls, sort_keys=True, default=repr) if calls else "")


def _in_text(group: Group) -> tuple[object, tuple[object, object]]:
    """Prompt and answers as texts; as messages where a text would not say the same."""
    answers = [each.content for each in group.completions]
    plain = not any(message.extra for each in group.completions for message in each.messages)
    if isinstance(group.prompt, str):
        return group.prompt, (answers[0], answers[1])
    plain = plain and not any(message.extra for message in group.prompt)
    if plain and [each.role for each in group.prompt] == ["user"]:
        return group.prompt[0].content, (answers[0], answers[1])
    text = dialogue.to_prompt(group.prompt)
    if plain and dialogue.to_messages(text) == group.prompt:
        return text, (dialogue.to_answer(answers[0]), dialogue.to_answer(answers[1]))
    said = [[each.as_dict() for each in completion.messages] or completion.content for completion in group.completions]
    return [message.as_dict() for message in group.prompt], (said[0], said[1])
