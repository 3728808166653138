"""Votes that cannot be trusted: how far annotators agree, who votes like a coin or the wrong way round, doubtful pairs.

Axes
  vote   what one annotator said of two completions of a row
  pair   two completions of a row that were compared
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64, Int, Int8, UInt64

from prefsmith.audit.annotators import annotators
from prefsmith.audit.audited import Audited
from prefsmith.audit.ballot import LABELS, NONE, TIE, Ballot, Seats, majority
from prefsmith.audit.decided import in_order as said_in_order
from prefsmith.audit.effects import Estimate, in_order, jackknife, rate
from prefsmith.audit.finding import EXAMPLES, HALF, HALVED, Finding, Proposal
from prefsmith.audit.places import places_are_columns
from prefsmith.data.split import prompt_digest
from prefsmith.kappa import alpha
from prefsmith.records import Group
from prefsmith.stats import Z95

KIND = "unreliable"
LOW = 0.4
"""Krippendorff's alpha below which labels are more noise than agreement."""
SPLIT = 0.2
"""Share of pairs without a majority from which it costs quality."""
UNSURE = 2 / 3
"""Share of a pair's votes up to which its majority is in doubt."""
SHOWN = 40
_CODES = {"left": 0, "right": 1, "tie": TIE}


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The votes of some rows.

    Args:
        names: of the annotators in them.
        categories: tags in them, of the form column=value.
        pair: of each vote, counted from the first of these.
        annotator: of each vote: place in `names`.
        verdict: of each vote: 0 for the completion of the lower index, 1 for the other, 2 for a tie.
        row: of each pair, counted from the first of these.
        prompt: digest of each pair's prompt.
        tagged: pairs and the place of a category that each has, as two columns.
        invalid: votes that say nothing.
    """

    names: tuple[str, ...]
    categories: tuple[str, ...]
    pair: Int[np.ndarray, " vote"]
    annotator: Int[np.ndarray, " vote"]
    verdict: Int8[np.ndarray, " vote"]
    row: Int[np.ndarray, " pair"]
    prompt: UInt64[np.ndarray, " pair"]
    tagged: Int[np.ndarray, "tagged 2"]
    invalid: int


class Unreliable:
    """The votes of the training files.

    Args:
        seed: not used: nothing is drawn.
    """

    kind = KIND

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def look(self, groups: Sequence[Group]) -> Seen:
        """Every vote, as numbers."""
        names: dict[str, int] = {}
        categories: dict[str, int] = {}
        votes: list[tuple[int, int, int]] = []
        rows: list[int] = []
        prompts: list[bytes] = []
        tagged: list[tuple[int, int]] = []
        invalid = 0
        for row, group in enumerate(groups):
            if not group.votes:
                continue
            pairs: dict[tuple[int, int], int] = {}
            for vote in group.votes:
                said = said_in_order(vote)
                if said is None:
                    invalid += 1
                    continue
                pair = pairs.setdefault((min(vote.left, vote.right), max(vote.left, vote.right)), len(rows))
                if pair == len(rows):
                    rows.append(row)
                    prompts.append(prompt_digest(group)[:8])
                    tagged += [(pair, categories.setdefault(tag, len(categories))) for tag in group.tags]
                votes.append((pair, names.setdefault(vote.annotator, len(names)), _CODES[said]))
        table = np.array(votes, dtype=np.int64).reshape(-1, 3)
        return Seen(
            names=tuple(names),
            categories=tuple(categories),
            pair=table[:, 0].astype(np.int32),
            annotator=table[:, 1].astype(np.int32),
            verdict=table[:, 2].astype(np.int8),
            row=np.array(rows, dtype=np.int32),
            prompt=np.frombuffer(b"".join(prompts), dtype=np.uint64),
            tagged=np.array(tagged, dtype=np.int32).reshape(-1, 2),
            invalid=invalid,
        )

    def findings(self, blocks: Sequence[Seen], data: Audited) -> Iterator[Finding]:
        """What the votes of the training files say about themselves; nothing where there are none."""
        train = data.part("train")
        own = [
            (block, start, not places_are_columns(data.file_of(start)))
            for block, start in zip(blocks, data.blocks, strict=False)
            if start < len(train) and train[start] and len(block.pair)
        ]  # fmt: skip
        if not own:
            return
        ballot = _joined(own)
        counts, seats = ballot.counts(), ballot.seats()
        heard = _heard(ballot, seats)
        if not (heard.members > 1).any():
            yield _alone(ballot)
            yield from _without_majority(ballot, counts, data)
            return
        yield _agreement(ballot, counts, heard)
        yield from _without_majority(ballot, counts, data)
        yield from annotators(ballot, seats)
        yield from _doubted(ballot, counts, data)


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """What different annotators say of pairs.

    Args:
        members: annotators of each pair.
        agreeing: twos of them who say the same.
        shares: what they say; on average over both orders of the sides where the file names the chosen one first.
        prompt: number of each pair's prompt.
    """

    members: Int[np.ndarray, " pair"]
    agreeing: Float64[np.ndarray, " pair"]
    shares: Float64[np.ndarray, "pair label"]
    prompt: Int[np.ndarray, " pair"]

    @property
    def twos(self) -> Int[np.ndarray, " pair"]:
        """How many twos of annotators each pair has."""
        return self.members * (self.members - 1) // 2

    def of(self, pairs: np.ndarray) -> "_Heard":
        """Some pairs."""
        return _Heard(self.members[pairs], self.agreeing[pairs], self.shares[pairs], in_order(self.prompt[pairs]))

    def rate(self, z: float = Z95) -> Estimate:
        """The share of twos that agree."""
        return rate(self.agreeing, self.twos, self.prompt, z)

    def alpha(self) -> Estimate:
        """Krippendorff's, from the sums of `kappa.alpha_sums`, each annotator with one vote on a pair."""
        several = self.members > 1
        agreeing = 2 * self.agreeing / np.maximum(1, self.members - 1)
        sums = np.column_stack([agreeing, self.shares]) * several[:, None]
        return jackknife(sums, self.prompt, alpha, int(self.members[several].sum()))


def _heard(ballot: Ballot, seats: Seats) -> _Heard:
    """A side that is first since it was chosen is no label: in either order it agrees with chance as often."""
    shares = seats.shares(ballot.pairs)
    even = (shares + shares[:, [1, 0, TIE]]) / 2
    return _Heard(
        seats.members(ballot.pairs),
        seats.agreeing(ballot.pairs),
        np.where(ballot.winner_first[:, None], even, shares),
        ballot.prompt,
    )


def _joined(own: Sequence[tuple[Seen, int, bool]]) -> Ballot:
    """All votes with one numbering of pairs, annotators and categories.

    Args:
        own: blocks, the number of the first row of each, and whether its file names the chosen side first.
    """
    names: dict[str, int] = {}
    categories: dict[str, int] = {}
    pair, annotator, row, tagged, winner_first = [], [], [], [], []
    pairs = 0
    for block, start, chosen_first in own:
        number = np.array([names.setdefault(name, len(names)) for name in block.names])
        annotator.append(number[block.annotator])
        pair.append(block.pair + np.int64(pairs))
        row.append(block.row + np.int64(start))
        winner_first.append(np.full(len(block.row), chosen_first))
        of_tags = np.array([categories.setdefault(name, len(categories)) for name in block.categories], dtype=np.int64)
        if len(block.tagged):
            tagged.append(np.column_stack([block.tagged[:, 0] + pairs, of_tags[block.tagged[:, 1]]]))
        pairs += len(block.row)
    return Ballot(
        names=tuple(names),
        categories=tuple(categories),
        pair=np.concatenate(pair),
        annotator=np.concatenate(annotator),
        verdict=np.concatenate([block.verdict for block, *_ in own]),
        row=np.concatenate(row),
        prompt=in_order(np.concatenate([block.prompt for block, *_ in own])),
        winner_first=np.concatenate(winner_first),
        tagged=np.concatenate(tagged) if tagged else np.zeros((0, 2), dtype=np.int64),
        invalid=sum(block.invalid for block, *_ in own),
    )


def _alone(ballot: Ballot) -> Finding:
    return Finding(
        kind=KIND, code="unreliable.alone", severity="note", title="No pair has votes of two annotators",
        count=ballot.pairs, of=ballot.pairs, unit="pairs with votes",
        effect="nobody can say how far the labels can be trusted",
        cure="ask a second annotator about some of the pairs (prefsmith label next)",
    )  # fmt: skip


def _agreement(ballot: Ballot, counts: np.ndarray, heard: _Heard) -> Finding:
    several = heard.members > 1
    beyond = heard.alpha()
    low = beyond.value is not None and beyond.value < LOW
    unanimous = int((several & (counts.max(axis=1) == counts.sum(axis=1))).sum())
    return Finding(
        kind=KIND, code="unreliable.agreement", severity="warning" if low else "note",
        title="Annotators agree little" if low else "Votes that agree",
        count=round(float(heard.agreeing.sum())), of=int(heard.twos.sum()),
        unit="pairs of votes on the same sides",
        effect="no model can agree with an annotator more often than annotators do with each other",
        cure="learn shares of votes and not majorities (prefsmith label aggregate), with a loss that takes soft labels"
        if low else "nothing has to be done",
        numbers={
            "agreement": heard.rate().to_json(),
            "alpha": beyond.to_json(),
            "unanimous": unanimous,
            "pairs": ballot.pairs,
            "pairs_with_several_votes": int(several.sum()),
            "votes": len(ballot.pair),
            "invalid": ballot.invalid,
            "annotators": len(ballot.names),
            "categories": _by_category(ballot, heard),
        },
    )  # fmt: skip


def _by_category(ballot: Ballot, heard: _Heard) -> list[dict[str, object]]:
    """Agreement in each category of two pairs and more, the lowest first.

    `below` is said of those that are told from the whole by an interval that holds for all of them at once.
    """
    members = [ballot.tagged[ballot.tagged[:, 1] == place, 0] for place in range(len(ballot.categories))]
    z = NormalDist().inv_cdf(1 - 0.025 / max(1, len(members)))
    found: list[tuple[float, dict[str, object]]] = []
    whole = heard.rate()
    for name, pairs in zip(ballot.categories, members, strict=True):
        inside = heard.of(pairs)
        own, told = inside.rate(), inside.rate(z)
        if len(pairs) < 2 or own.value is None or told.high is None or whole.value is None:
            continue
        beyond = inside.alpha().to_json()
        found.append((own.value, {"category": name, "pairs": len(pairs), "agreement": own.to_json(), "alpha": beyond,
                                  "below": told.high < whole.value}))  # fmt: skip
    return [each for _, each in sorted(found, key=lambda each: each[0])[:SHOWN]]


def _without_majority(ballot: Ballot, counts: np.ndarray, data: Audited) -> Iterator[Finding]:
    several = counts.sum(axis=1) > 1
    split = several & (majority(counts) == NONE)
    count, of = int(split.sum()), int(several.sum())
    if not count:
        return
    yield Finding(
        kind=KIND, code="unreliable.split", severity="warning" if count >= SPLIT * of else "note",
        title="Votes without a majority", count=count, of=of, unit="pairs with several votes",
        effect="whichever side is taken for chosen, as many votes say the opposite or a tie",
        cure="keep the share of votes as the label: near one half such a pair pulls at nothing",
        examples=tuple(
            data.example(int(ballot.row[pair]), _told(counts[pair])) for pair in np.flatnonzero(split)[:EXAMPLES]
        ),
    )  # fmt: skip


def _doubted(ballot: Ballot, counts: np.ndarray, data: Audited) -> Iterator[Finding]:
    """Pairs of which people are unsure and programs say something else; models that were trained are such programs."""
    programs = ballot.counts(programs=True)
    both = (counts.sum(axis=1) > 1) & (programs.sum(axis=1) > 0) & ballot.by_people
    if not both.any():
        return
    label = majority(counts)
    unsure = counts.max(axis=1) <= UNSURE * counts.sum(axis=1) + 1e-9
    said = majority(programs)
    otherwise = np.where(label == NONE, (said == NONE) | (said == TIE), said != label)
    doubted = both & unsure & otherwise
    pairs = np.flatnonzero(doubted)
    if not len(pairs):
        return
    yield Finding(
        kind=KIND, code="unreliable.doubted", severity="note",
        title="Pairs that votes and models both doubt", count=len(pairs), of=int(both.sum()),
        unit="pairs with votes of people and of programs",
        effect="their labels are the likeliest to be wrong",
        cure="let them count half, or ask again (prefsmith label next)",
        examples=tuple(
            data.example(
                int(ballot.row[pair]), f"people: {_told(counts[pair])}; programs: {_told(programs[pair])}"
            )
            for pair in pairs[:EXAMPLES]
        ),
        proposal=Proposal.weigh(np.unique(ballot.row[pairs]), HALVED, HALF),
    )  # fmt: skip


def _told(counts: np.ndarray) -> str:
    return ", ".join(f"{count} for {name}" for count, name in zip(counts, LABELS, strict=True) if count) or "nothing"
