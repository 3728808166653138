"""Rows, prompts and answers that stand more than once: within a file, and in what is held out or measured on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prefsmith.audit.audited import Audited, AuditedFile
from prefsmith.audit.finding import EXAMPLES, Example, Finding, Proposal
from prefsmith.audit.near import NEAR, Near, Signer, banded, near_clusters, shared, shingles
from prefsmith.audit.texts import completion_text, digest, has_texts, prompt_text
from prefsmith.data.excerpt import excerpt
from prefsmith.records import Group, Vote

CONSTANT_PROMPTS, CONSTANT_SHARE = 5, 0.01
"""Prompts, and share of all, from which one and the same answer is called constant."""
_FEW_WORDS = 4  # an answer of fewer words, such as yes, may well fit many prompts

_ANSWERS = np.dtype([("row", "i8"), ("answer", "u8"), ("won", "i1"), ("short", "?")])


@dataclass(frozen=True, slots=True, eq=False)
class Signatures:
    """What is remembered of the texts of a block.

    Args:
        rows: digest of prompt, answers and labels together, of each row.
        prompts: digest of each prompt.
        answers: of `_ANSWERS`: every answer, whether it won (1) or lost (-1).
        row_bands, row_sketches: of prompt and answers.
        prompt_bands, prompt_sketches: of the prompt alone.
        texts: which rows have answers in the file.
    """

    rows: np.ndarray
    prompts: np.ndarray
    answers: np.ndarray
    row_bands: np.ndarray
    row_sketches: np.ndarray
    prompt_bands: np.ndarray
    prompt_sketches: np.ndarray
    texts: np.ndarray


class Repeated:
    """Exact and near duplicates, prompts of held-out rows and other files that are trained on, constant answers."""

    kind = "repeated"

    def look(self, groups: Sequence[Group]) -> Signatures:
        """Digests and signatures of every text."""
        signer = Signer()
        rows, prompts, answers = [], [], list[tuple[int, int, int, bool]]()
        row_signs, prompt_signs = [], []
        for place, group in enumerate(groups):
            prompts.append(digest(group.prompt_key()))
            names = [digest(completion_text(each)) for each in group.completions]
            rows.append(_row_digest(group, prompts[-1], names))
            if has_texts(group):
                sides = _sides(group)
                for index, (name, each) in enumerate(zip(names, group.completions, strict=True)):
                    if not each.content.strip():
                        continue  # said by what looks for broken rows
                    short = len(each.content.split(None, _FEW_WORDS)) < _FEW_WORDS
                    answers.append((place, name, sides[index], short))
            asked = signer.sign(shingles(prompt_text(group)))
            said = signer.sign(shingles("\n".join(each.content for each in group.completions)))
            prompt_signs.append(asked)
            row_signs.append(np.minimum(asked, said))
        return Signatures(
            np.array(rows, dtype=np.uint64), np.array(prompts, dtype=np.uint64), np.array(answers, dtype=_ANSWERS),
            *banded(row_signs), *banded(prompt_signs), np.array([has_texts(each) for each in groups], dtype=bool),
        )  # fmt: skip

    def findings(self, blocks: Sequence[Signatures], data: Audited) -> Iterator[Finding]:
        """What stands more than once."""
        if not len(data):
            return
        found = _Found(blocks, data)
        yield from _leaks(found)
        yield from _repeated_rows(found)
        yield from _near_rows(found)
        yield from _repeated_prompts(found)
        yield from _constant(found)


class _Found:
    """Rows of all blocks, and which of them are the same or nearly so; each is found when it is asked for."""

    def __init__(self, blocks: Sequence[Signatures], data: Audited) -> None:
        self.blocks, self.data = blocks, data
        self.rows = np.concatenate([block.rows for block in blocks])
        self.prompts = np.concatenate([block.prompts for block in blocks])
        self.texts = np.concatenate([block.texts for block in blocks])
        self.own = ~data.part("other")
        self.held_out = data.part("eval")
        # Each prompt that there is: the row where it stands first, and of each row the number of its prompt.
        _, self.first_rows, self.numbers = np.unique(self.prompts, return_index=True, return_inverse=True)
        self._of = lru_cache(20_000)(self._read)

    @cached_property
    def prompt_clusters(self) -> Near:
        """Which prompts are nearly the same."""
        rows = self.first_rows

        def same(first: int, second: int) -> bool:
            one, other = (self._of(int(rows[each])) for each in (first, second))
            return shared(one.prompt, other.prompt) >= NEAR

        return near_clusters(
            lambda band: np.concatenate([block.prompt_bands[:, band] for block in self.blocks])[rows],
            np.concatenate([block.prompt_sketches for block in self.blocks])[rows],
            same,
        )

    @cached_property
    def copies(self) -> np.ndarray:
        """Rows that are exact copies of one before them in the same part."""
        rows = np.flatnonzero(self.own & self.texts)
        keys = np.stack([self.rows[rows], self.held_out[rows].astype(np.uint64)], axis=1)
        _, first = np.unique(keys, axis=0, return_index=True)
        return np.delete(rows, first)

    def near_rows(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Rows that are nearly the same as another of their part, and a number of the set of each; no copies.

        The last is how many pairs were joined by their signatures alone.
        """
        rows = np.setdiff1d(np.flatnonzero(self.own & self.texts), self.copies, assume_unique=True)

        def same(first: int, second: int) -> bool:
            one, other = (self._of(int(rows[each])) for each in (first, second))
            return all(shared(*texts) >= NEAR for texts in zip(one, other, strict=True))

        near = near_clusters(
            lambda band: np.concatenate([block.row_bands[:, band] for block in self.blocks])[rows],
            np.concatenate([block.row_sketches for block in self.blocks])[rows],
            same,
        )
        names = 2 * near.roots + self.held_out[rows]
        _, sets, sizes = np.unique(names, return_inverse=True, return_counts=True)
        several = sizes[sets] > 1
        return rows[several], names[several], near.estimated

    def _read(self, row: int) -> "_Shingles":
        group = self.data.group(row)
        sides = _sides(group)
        won, others = (
            [each.content for side, each in zip(sides, group.completions, strict=True) if (side > 0) == wins]
            for wins in (True, False)
        )
        return _Shingles(shingles(prompt_text(group)), shingles("\n".join(won)), shingles("\n".join(others)))


class _Shingles(NamedTuple):
    """Shingles of a row: a pair that is turned round is another row."""

    prompt: np.ndarray
    won: np.ndarray
    others: np.ndarray


def _leaks(found: _Found) -> Iterator[Finding]:
    """Prompts that are trained on and stand in rows that are to tell how good the model is."""
    trained = np.zeros(len(found.first_rows), dtype=bool)
    train_rows = np.flatnonzero(found.data.part("train"))
    trained[found.numbers[train_rows]] = True
    others = [file for file in found.data.files if file.part == "other"]
    held_out = [file for file in found.data.files if file.part == "eval"]
    for files in [held_out, *([file] for file in others)]:
        rows = np.concatenate([np.arange(file.first, file.end) for file in files] or [np.empty(0, dtype=np.int64)])
        if not len(rows) or not len(train_rows):
            continue
        exact = trained[found.numbers[rows]]
        if exact.any():
            yield _leak(found, files, rows, rows[exact], found.numbers, train_rows, near=False)
        clusters = found.prompt_clusters.roots[found.numbers]
        reached = np.isin(clusters[rows], clusters[train_rows]) & ~exact
        if reached.any():
            yield _leak(found, files, rows, rows[reached], clusters, train_rows, near=True)


def _leak(
    found: _Found, files: Sequence[AuditedFile], rows: np.ndarray, leaked: np.ndarray, names: np.ndarray,
    train_rows: np.ndarray, *, near: bool,
) -> Finding:  # fmt: skip
    """Args: names: of every row, the number that its prompt shares with those that count as the same."""
    held_out = files[0].part == "eval"
    where = "Held-out rows" if held_out else f"Rows of {excerpt(Path(files[0].name).name, 60)}"
    code = "leaked" if held_out else "leaked_other"
    twins = train_rows[np.isin(names[train_rows], names[leaked])]
    examples = []
    for row in leaked[:EXAMPLES]:
        twin = int(train_rows[np.argmax(names[train_rows] == names[row])])
        text = f"also in {found.data.where(twin)}: {prompt_text(found.data.group(int(row)))}"
        examples.append(found.data.example(int(row), text))
    title = f"{where} have a prompt that is {'nearly one ' if near else ''}trained on"
    return Finding(
        "repeated", f"repeated.{'near_' * near}{code}", "warning" if near else "error", title, len(leaked), len(rows),
        "rows", "what is measured there says how well the model remembers, not how good it is",
        "leave the training rows with these prompts out", tuple(examples),
        {"training_rows": len(twins), "files": [file.name for file in files],
         "by_signature_alone": found.prompt_clusters.estimated if near else 0}, Proposal.drop(twins),
    )  # fmt: skip


def _repeated_rows(found: _Found) -> Iterator[Finding]:
    copies = found.copies
    if len(copies):
        yield Finding(
            "repeated", "repeated.rows", "warning", "Rows are exact copies of one before them", len(copies),
            int((found.own & found.texts).sum()), "rows",
            "a row that stands n times counts n times; where eval is split off by prompt, all go to one side",
            "keep one of each, with the count as its weight if it means something",
            found.data.examples(copies), {}, Proposal.drop(copies),
        )  # fmt: skip


def _near_rows(found: _Found) -> Iterator[Finding]:
    rows, names, estimated = found.near_rows()
    if not len(rows):
        return
    _, first, sets, sizes = np.unique(names, return_index=True, return_inverse=True, return_counts=True)
    surplus = np.delete(np.arange(len(rows)), first)
    examples = tuple(
        found.data.example(int(rows[place]), f"nearly {found.data.where(int(rows[first[sets[place]]]))}: "
                           + prompt_text(found.data.group(int(rows[place])))) for place in surplus[:EXAMPLES]
    )  # fmt: skip
    yield Finding(
        "repeated", "repeated.near_rows", "warning", "Rows are nearly the same as another", len(surplus),
        int((found.own & found.texts).sum()), "rows",
        "what they say counts as often as it is said; prompts that differ may fall on both sides of a split",
        f"look at some: they share {NEAR:.0%} of their word triples",
        examples, {"sets": len(first), "largest": int(sizes.max()), "by_signature_alone": estimated},
        Proposal.weigh(rows, 1.0 / sizes[sets], "audit.yaml lets each set of n such rows count once"),
    )  # fmt: skip


def _repeated_prompts(found: _Found) -> Iterator[Finding]:
    own = np.flatnonzero(found.own)
    names = 2 * found.numbers[own] + found.held_out[own]
    _, of_rows, counts = np.unique(names, return_inverse=True, return_counts=True)
    rows = own[counts[of_rows] > 1]
    if len(rows):
        yield Finding(
            "repeated", "repeated.prompts", "note", "Prompts stand in several rows", len(rows), len(own), "rows",
            "usual where several answers were compared; eval is split off by prompt, so they stay together",
            "nothing, unless every prompt ought to stand once", found.data.examples(rows),
            {"prompts": int((counts > 1).sum()), "most_rows": int(counts.max()), "different_prompts": len(counts)},
        )  # fmt: skip


def _constant(found: _Found) -> Iterator[Finding]:
    """Answers that are given to many prompts."""
    answers = np.concatenate([block.answers for block in found.blocks])
    starts = np.repeat(found.data.blocks[: len(found.blocks)], [len(block.answers) for block in found.blocks])
    answers["row"] += starts.astype(np.int64)
    answers = answers[found.own[answers["row"]]]
    asked = found.numbers[answers["row"]]
    prompts = len(np.unique(asked))
    order = np.lexsort((asked, answers["answer"]))
    names, asked_for = answers["answer"][order], asked[order]
    new = np.r_[True, (names[1:] != names[:-1]) | (asked_for[1:] != asked_for[:-1])]
    texts, given = np.unique(names[new[: len(names)]], return_counts=True)
    constant = (given >= CONSTANT_PROMPTS) & (given >= CONSTANT_SHARE * prompts)
    if not constant.any():
        return
    order = np.argsort(-given[constant], kind="stable")
    table, examples, worst = list[dict[str, object]](), list[Example](), 2
    for text, count in zip(texts[constant][order], given[constant][order], strict=True):
        uses = answers[answers["answer"] == text]
        won = Counter(uses["won"].tolist())
        chosen_for = len(np.unique(found.numbers[uses["row"][uses["won"] > 0]]))
        rank = 2 if uses["short"].all() else 0 if chosen_for > prompts / 2 else 1
        worst = min(worst, rank)
        shown = _answer_text(found.data.group(int(uses["row"][0])), int(text))
        if len(table) < 10:
            table.append({"answer": excerpt(shown, 160), "prompts": int(count), "share": int(count) / prompts,
                          "won": won[1], "lost": won[-1]})  # fmt: skip
        if len(examples) < EXAMPLES:
            examples.append(found.data.example(int(uses["row"][0]), shown))
    rows = np.unique(answers["row"][np.isin(answers["answer"], texts[constant])])
    most = given.max() / prompts
    yield Finding(
        "repeated", "repeated.constant", ("error", "warning", "note")[worst], "One and the same answer to many prompts",
        len(rows), len(np.unique(answers["row"])), "rows",
        f"the commonest stands for {most:.1%} of the prompts; where it wins, the model learns to say it to everything, "
        "and where it loses, to avoid one string",
        "find out where it comes from (a placeholder, a refusal, a broken model), and leave most of these rows out",
        tuple(examples), {"answers": table, "prompts": prompts},
    )  # fmt: skip


def _answer_text(group: Group, name: int) -> str:
    return next((each.content for each in group.completions if digest(completion_text(each)) == name), "")


def _sides(group: Group) -> list[int]:
    """Of each completion, 1 where it won or is desirable, -1 where it lost, 0 where it is neither or both."""
    won = [0] * len(group.completions)
    for each in group.comparisons:
        sign = (each.prob > 0.5) - (each.prob < 0.5)
        won[each.better] += sign
        won[each.worse] -= sign
    for rating in group.ratings:
        won[rating.completion] += (rating.value > 0.5) - (rating.value < 0.5)
    if group.ranking and not group.comparisons and len(group.ranking) > 1:
        for index in group.ranking[0]:
            won[index] = 1
        for index in group.ranking[-1]:
            won[index] = -1
    return [(each > 0) - (each < 0) for each in won]


def _row_digest(group: Group, prompt: int, names: Sequence[int]) -> int:
    """The same for rows that teach the same, whatever the order of their answers in the file."""
    compared = sorted(max((names[each.better], names[each.worse], each.prob),
                          (names[each.worse], names[each.better], 1 - each.prob), key=itemgetter(2, 0))
                      for each in group.comparisons)  # fmt: skip
    rated = sorted((names[each.completion], each.value) for each in group.ratings)
    ranked = [sorted(names[index] for index in tier) for tier in group.ranking]
    votes = sorted(repr(_said(each, names)) for each in group.votes)
    return digest(repr((prompt, sorted(names), compared, rated, ranked, votes, sorted(group.tags))))


def _said(vote: Vote, names: Sequence[int]) -> tuple[str, int | None, list[int], str | int]:
    """What a vote says in names: who, what was shown first where that is known, of which two, and which is better."""
    sides = [names[vote.left], names[vote.right]]
    verdict = {"left": sides[0], "right": sides[1]}.get(vote.verdict, vote.verdict)
    return vote.annotator, None if vote.order is None else sides[0], sorted(sides), verdict
