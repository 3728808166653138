"""Labels that contradict each other: over all rows, whatever their order, by digests of prompts and completions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prefsmith.audit.audited import Audited
from prefsmith.audit.cycles import find_cycles
from prefsmith.audit.finding import EXAMPLES, Example, Finding, Proposal
from prefsmith.audit.texts import completion_text, digest, prompt_text, verdicts
from prefsmith.data.excerpt import excerpt
from prefsmith.records import Group

_MINORITY = "audit.yaml leaves the minority out, and both where there is none"
_VERDICTS = np.dtype(
    [("row", "i8"), ("prompt", "u8"), ("better", "u8"), ("worse", "u8"), ("tie", "?"), ("listed", "?")]
)
_RATED = np.dtype([("row", "i8"), ("prompt", "u8"), ("completion", "u8"), ("good", "i1")])


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of a block.

    Args:
        size: rows of the block.
        verdicts: of `_VERDICTS`; rows count within the block.
        ratings: of `_RATED`; `good` is 1, -1, or 0 for neither.
        equal: rows whose scores are equal and whose label is none of a tie.
        against: rows whose scores say the opposite of the label.
        scored: rows with scores.
    """

    size: int
    verdicts: np.ndarray
    ratings: np.ndarray
    equal: np.ndarray
    against: np.ndarray
    scored: np.ndarray


class Contradictory:
    """The same pair both ways, cycles, one completion chosen and rejected, ties labelled as wins."""

    kind = "contradictory"

    def look(self, groups: Sequence[Group]) -> Labels:
        """Digests of what is compared, and who won."""
        compared: list[tuple[int, int, int, int, bool, bool]] = []
        rated: list[tuple[int, int, int, int]] = []
        equal, against, scored = set[int](), set[int](), set[int]()
        for row, group in enumerate(groups):
            prompt = digest(group.prompt_key())
            names = [digest(completion_text(each)) for each in group.completions]
            for each in verdicts(group):
                compared.append((row, prompt, names[each.better], names[each.worse], each.tie, bool(group.ranking)))
                if each.gap is not None and not group.ranking:
                    scored.add(row)
                    if not each.tie and each.gap <= 0:
                        (against if each.gap else equal).add(row)
            for rating in group.ratings:
                rated.append((row, prompt, names[rating.completion], (rating.value > 0.5) - (rating.value < 0.5)))
        return Labels(
            len(groups), np.array(compared, _VERDICTS), np.array(rated, _RATED), _sorted(equal), _sorted(against),
            _sorted(scored),
        )  # fmt: skip

    def findings(self, blocks: Sequence[Labels], data: Audited) -> Iterator[Finding]:
        """What contradicts what, in training and held-out rows together."""
        kept = ~data.part("other")
        told = _joined([block.verdicts for block in blocks], data, kept)
        rated = _joined([block.ratings for block in blocks], data, kept)
        told = told[told["better"] != told["worse"]]
        if len(told):
            pairs = Pairs(told)
            yield from _both_ways(pairs, data)
            yield from _tied_elsewhere(pairs, data)
            yield from _cycles(pairs, data)
            yield from _both_sides(pairs, data)
        if len(rated):
            yield from _rated_both_ways(rated, data)
        scored = len(_numbered([block.scored for block in blocks], data, kept))
        equal = _numbered([block.equal for block in blocks], data, kept)
        against = _numbered([block.against for block in blocks], data, kept)
        if len(equal):
            yield _tie_as_win(equal, scored, data)
        if len(against):
            yield _against_scores(against, scored, data)


class Pairs:
    """Verdicts by what they compare.

    Args:
        told: of `_VERDICTS`, with rows over all files.

    Attributes:
        told: sorted so that verdicts on the same two completions of a prompt stand behind each other.
        pair: of each verdict, the number of its two completions.
        low, high: of each two completions, their nodes.
        first: of each two completions, how many verdicts say that `low` is better.
        second: likewise `high`.
        ties: likewise neither.
        prompt: of each two completions, the digest of their prompt.
    """

    def __init__(self, told: np.ndarray) -> None:
        better, worse = _node(told["prompt"], told["better"]), _node(told["prompt"], told["worse"])
        low, high = np.minimum(better, worse), np.maximum(better, worse)
        order = np.lexsort((told["row"], high, low))
        self.told, low, high = told[order], low[order], high[order]
        new = np.r_[True, (low[1:] != low[:-1]) | (high[1:] != high[:-1])]
        self.pair = np.cumsum(new) - 1
        self.low, self.high, self.prompt = low[new], high[new], self.told["prompt"][new]
        self.wins = np.where(self.told["tie"], 0, np.where(better[order] == low, 1, -1))
        self.first, self.second, self.ties = (
            np.bincount(self.pair[self.wins == sign], minlength=len(self.low)) for sign in (1, -1, 0)
        )

    def rows(self, pairs: np.ndarray) -> np.ndarray:
        """Rows with a verdict on one of some pairs, a mask."""
        return np.unique(self.told["row"][pairs[self.pair]])


def _both_ways(pairs: Pairs, data: Audited) -> Iterator[Finding]:
    """The same two completions of a prompt with either as the winner."""
    reversed_ = (pairs.first > 0) & (pairs.second > 0)
    if not reversed_.any():
        return
    rows = pairs.rows(reversed_)
    majority = np.sign(pairs.first - pairs.second)[pairs.pair]  # 0 where both have as many
    minority = reversed_[pairs.pair] & (pairs.wins != 0) & (pairs.wins != majority) & ~pairs.told["listed"]
    even = reversed_ & (pairs.first == pairs.second)
    numbers = {"pairs": int(reversed_.sum()), "without_majority": int(even.sum())}
    yield Finding(
        "contradictory", "contradictory.both_ways", "warning", "The same pair is labelled both ways", len(rows),
        len(np.unique(pairs.told["row"])), "rows",
        "the labels pull against each other: the pair is learned as an even chance, at the cost of its steps",
        "keep one row for the pair with the share of its labels as prob",
        _pair_examples(pairs, reversed_, data), numbers, Proposal.drop(pairs.told["row"][minority], _MINORITY),
    )  # fmt: skip


def _tied_elsewhere(pairs: Pairs, data: Audited) -> Iterator[Finding]:
    """A tie in one row and a win in another."""
    mixed = (pairs.ties > 0) & ((pairs.first > 0) != (pairs.second > 0))
    if mixed.any():
        rows = pairs.rows(mixed)
        yield Finding(
            "contradictory", "contradictory.tie_and_win", "note", "The same pair is a tie here and a win there",
            len(rows), len(np.unique(pairs.told["row"])), "rows", "the pair is learned as less than certain",
            "keep one row for the pair with the share of its labels as prob", _pair_examples(pairs, mixed, data),
            {"pairs": int(mixed.sum())},
        )  # fmt: skip


def _cycles(pairs: Pairs, data: Audited) -> Iterator[Finding]:
    """Completions of a prompt of which each is better than the next one, round and round."""
    told_apart = pairs.first != pairs.second
    ahead = (pairs.first > pairs.second)[told_apart]
    low, high = pairs.low[told_apart], pairs.high[told_apart]
    better, worse = np.where(ahead, low, high), np.where(ahead, high, low)
    prompts = pairs.prompt[told_apart]
    found = find_cycles(better, worse, prompts)
    if not found.edges.any():
        return
    edges = np.zeros(len(pairs.low), dtype=bool)
    edges[np.flatnonzero(told_apart)[found.edges]] = True
    numbers = {
        "prompts": len(np.unique(prompts[found.edges])),
        "comparisons": int(edges.sum()),
        "of_comparisons": int(told_apart.sum()),
        "cyclic_triples": found.cyclic,
        "transitive_triples": found.transitive,
    }
    yield Finding(
        "contradictory", "contradictory.cycle", "warning",
        "Comparisons go round: a beats b, b beats c, c beats a", len(pairs.rows(edges)),
        len(np.unique(pairs.told["row"])), "rows",
        "no reward has this order, so at least one comparison of each cycle is learned against the others",
        "look at some; where people vote, train on the share of votes, which such rows show to be uncertain",
        _pair_examples(pairs, edges, data), numbers,
    )  # fmt: skip


def _both_sides(pairs: Pairs, data: Audited) -> Iterator[Finding]:
    """Completions that win in one row and lose in another to a third."""
    hard = (pairs.wins != 0) & ~pairs.told["listed"]
    told = pairs.told[hard]
    better, worse = _node(told["prompt"], told["better"]), _node(told["prompt"], told["worse"])
    reversed_ = ((pairs.first > 0) & (pairs.second > 0))[pairs.pair][hard]
    both = np.intersect1d(better[~reversed_], worse[~reversed_])
    if not len(both):
        return
    first = np.flatnonzero(np.isin(better, both))[:EXAMPLES]
    texts = (_side(data.group(int(told["row"][place])), int(told["better"][place])) for place in first)
    yield Finding(
        "contradictory", "contradictory.both_sides", "note", "A completion is chosen here and rejected there",
        len(both), len(np.unique(np.r_[better, worse])), "completions",
        "usual where several answers to a prompt were compared; its likelihood is pushed both ways",
        "nothing, where the comparisons come from a ranking; otherwise look at some",
        tuple(data.example(int(told["row"][place]), text) for place, text in zip(first, texts, strict=True)),
        {}, None,
    )  # fmt: skip


def _rated_both_ways(rated: np.ndarray, data: Audited) -> Iterator[Finding]:
    """One completion of a prompt desirable in one row and undesirable in another."""
    nodes, names = np.unique(_node(rated["prompt"], rated["completion"]), return_inverse=True)
    good = np.bincount(names[rated["good"] > 0], minlength=len(nodes))
    bad = np.bincount(names[rated["good"] < 0], minlength=len(nodes))
    both = ((good > 0) & (bad > 0))[names]
    if not both.any():
        return
    majority = np.sign(good - bad)[names]
    minority = rated["row"][both & (rated["good"] != majority)]
    yield Finding(
        "contradictory", "contradictory.rated_both_ways", "warning",
        "A completion is desirable here and undesirable there", int(both.sum()), len(rated), "rows",
        "the labels pull against each other and cancel", "keep one row for each",
        data.examples(rated["row"][both]), {}, Proposal.drop(minority, _MINORITY),
    )  # fmt: skip


def _tie_as_win(rows: np.ndarray, scored: int, data: Audited) -> Finding:
    return Finding(
        "contradictory", "contradictory.tie_as_win", "warning", "A tie is labelled as a win: the scores are equal",
        len(rows), scored, "rows", "the pair is taught as certain, and its judge saw no difference",
        "give these rows prob 0.5, or leave them out", _gap_examples(rows, data), {}, Proposal.drop(rows),
    )  # fmt: skip


def _against_scores(rows: np.ndarray, scored: int, data: Audited) -> Finding:
    share = len(rows) / scored
    return Finding(
        "contradictory", "contradictory.against_scores", "error" if share > 0.5 else "warning",
        "The scores say the opposite of the label", len(rows), scored, "rows",
        "one of the two is wrong" + ("; with so many, the columns are probably the wrong way round" if share > 0.5
                                     else ", and training follows the label"),
        "find out which is right; swap the columns, or leave the rows out", _gap_examples(rows, data), {},
        None if share > 0.5 else Proposal.drop(rows),
    )  # fmt: skip


def _node(prompt: np.ndarray, completion: np.ndarray) -> np.ndarray:
    """A completion of a prompt as one number."""
    return prompt * np.uint64(0x9E3779B97F4A7C15) ^ completion * np.uint64(0xC2B2AE3D27D4EB4F)


def _joined(parts: Sequence[np.ndarray], data: Audited, kept: np.ndarray) -> np.ndarray:
    """The labels of all blocks, with rows over all files; those of kept rows."""
    whole = np.concatenate(parts) if parts else np.empty(0, _VERDICTS)
    whole["row"] += np.repeat(np.asarray(data.blocks[: len(parts)], dtype=np.int64), [len(part) for part in parts])
    return whole[kept[whole["row"]]]


def _numbered(parts: Sequence[np.ndarray], data: Audited, kept: np.ndarray) -> np.ndarray:
    """Rows of all blocks over all files; those that are kept."""
    rows = np.concatenate([part + start for part, start in zip(parts, data.blocks, strict=False)] or [_sorted(set())])
    return rows[kept[rows]]


def _sorted(rows: set[int]) -> np.ndarray:
    return np.array(sorted(rows), dtype=np.int64)


def _pair_examples(pairs: Pairs, wanted: np.ndarray, data: Audited) -> tuple[Example, ...]:
    """Of the first pairs that are wanted, both rows where there are two."""
    first = np.flatnonzero(wanted[pairs.pair])[: EXAMPLES + 1]
    found = []
    for place in first:
        told = pairs.told[place]
        group = data.group(int(told["row"]))
        better, worse = (excerpt(_side(group, int(told[side])), 60) for side in ("better", "worse"))
        sign = "ties with" if told["tie"] else "beats"
        found.append(Example(group.source, f"“{better}” {sign} “{worse}”"))
    return tuple(found)


def _side(group: Group, name: int) -> str:
    """The completion that has a digest."""
    return next((completion_text(each) for each in group.completions if digest(completion_text(each)) == name), "")


def _gap_examples(rows: np.ndarray, data: Audited) -> tuple[Example, ...]:
    found = []
    for row in rows[:EXAMPLES]:
        group = data.group(int(row))
        verdict = next(verdicts(group))
        scores = [group.completions[each].score for each in (verdict.better, verdict.worse)]
        shown = f"chosen {scores[0]:g}, rejected {scores[1]:g}: " if None not in scores else f"margin {verdict.gap:g}: "
        found.append(data.example(int(row), shown + prompt_text(group)))
    return tuple(found)
