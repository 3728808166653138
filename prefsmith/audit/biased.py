"""What tells chosen from rejected without being the reason: length, formatting, refusals, places, who wrote it.

Each is measured by itself, as the share of the pairs that differ in it, and all that is seen on the surface together,
by a probe. A policy learns whatever tells the sides apart, and these are easier to learn than what was meant.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int8, UInt64

from prefsmith.audit.audited import Audited
from prefsmith.audit.decided import Sides, decided
from prefsmith.audit.effects import in_order
from prefsmith.audit.finding import Finding
from prefsmith.audit.leanings import Compared, leanings
from prefsmith.audit.places import Placed, places_are_columns, position
from prefsmith.audit.sources import Matches, sources
from prefsmith.audit.surface import NAMES, surface
from prefsmith.data.split import prompt_digest
from prefsmith.records import Group, Vote

KIND = "biased"
UNKNOWN, SECOND, FIRST = -1, 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is remembered of the decided pairs of some rows.

    Args:
        better: surface of the better side; NaN where the file has no text of either side.
        worse: of the other.
        row: the pair's row, counted from the first of these.
        prompt: digest of its prompt.
        first: whether the better side was shown first, if a vote without an order was given with the answers as they
            stand in the file: 1 or 0, -1 where it is not known.
        ordered: the same, by votes that say their order alone.
        votes: of each annotator, for the first place (1) and for the second (0); and whether they say their order.
        matches: how often who beat whom.
    """

    better: Float32[np.ndarray, "pair feature"]
    worse: Float32[np.ndarray, "pair feature"]
    row: Int[np.ndarray, " pair"]
    prompt: UInt64[np.ndarray, " pair"]
    first: Int8[np.ndarray, " pair"]
    ordered: Int8[np.ndarray, " pair"]
    votes: Counter[tuple[str, int, bool]]
    matches: Matches


class Biased:
    """The biases of the training files' labels.

    Args:
        seed: of the sample that the probe is fitted to, and of its folds.
    """

    kind = KIND

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def look(self, groups: Sequence[Group]) -> Seen:
        """The surface of both sides of every decided pair, and who stood where."""
        better: list[tuple[float, ...]] = []
        worse: list[tuple[float, ...]] = []
        rows: list[int] = []
        prompts: list[bytes] = []
        first: list[int] = []
        ordered: list[int] = []
        votes: Counter[tuple[str, int, bool]] = Counter()
        matches: Matches = Counter()
        for row, group in enumerate(groups):
            votes.update(
                (vote.annotator, int(vote.verdict == "left"), vote.order is not None)
                for vote in group.votes
                if _names_a_side(vote)
            )
            told = [vote for vote in group.votes if vote.order is not None]
            pairs = decided(group)
            texts = {side: group.completions[side].content for pair in pairs for side in pair}
            seen = {side: surface(text) for side, text in texts.items()}
            digest = prompt_digest(group)[:8]
            for sides in pairs:
                known = any(texts[side] for side in sides)
                better.append(seen[sides[0]] if known else _NOTHING)
                worse.append(seen[sides[1]] if known else _NOTHING)
                rows.append(row)
                prompts.append(digest)
                first.append(_place(group.votes, sides))
                ordered.append(_place(told, sides))
                winner, loser = (group.completions[side].writer for side in sides)
                if winner is not None and loser is not None and winner != loser:
                    matches[winner, loser] += 1
        return Seen(
            better=_table(better),
            worse=_table(worse),
            row=np.array(rows, dtype=np.int64),
            prompt=np.frombuffer(b"".join(prompts), dtype=np.uint64),
            first=np.array(first, dtype=np.int8),
            ordered=np.array(ordered, dtype=np.int8),
            votes=votes,
            matches=matches,
        )

    def findings(self, blocks: Sequence[Seen], data: Audited) -> Iterator[Finding]:
        """What the labels of the training files lean to."""
        if not len(data):
            return
        training = _training_blocks(data)
        used = [block for block, own in zip(blocks, training, strict=True) if own]
        starts = [start for start, own in zip(data.blocks, training, strict=False) if own]
        if not used:
            return
        columns = [places_are_columns(data.file_of(start)) for start in starts]
        prompt = in_order(np.concatenate([block.prompt for block in used]))
        better = np.concatenate([block.better for block in used])
        known = ~np.isnan(better[:, 0])
        if known.any():
            worse = np.concatenate([block.worse for block in used])
            rows = np.concatenate([block.row + start for block, start in zip(used, starts, strict=True)])
            yield from leanings(
                Compared(better[known], worse[known], in_order(prompt[known]), rows[known]), data, self.seed
            )
        placed = Placed(
            np.concatenate([b.first if known else b.ordered for b, known in zip(used, columns, strict=True)]),
            prompt,
            _votes(used, columns),
        )
        yield from position(placed, data)
        yield from sources(sum((block.matches for block in used), Counter[tuple[str, str]]()))


_NOTHING = (np.nan,) * len(NAMES)


def _training_blocks(data: Audited) -> Bool[np.ndarray, " block"]:
    """Which blocks are of training files."""
    train = data.part("train")
    return np.array([bool(start < len(train) and train[start]) for start in data.blocks[:-1]], dtype=bool)


def _table(rows: list[tuple[float, ...]]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, len(NAMES))


def _votes(blocks: Sequence[Seen], columns: Sequence[bool]) -> Counter[tuple[str, int]]:
    """Votes whose places are known."""
    found: Counter[tuple[str, int]] = Counter()
    for block, known in zip(blocks, columns, strict=True):
        for (annotator, place, ordered), count in block.votes.items():
            if known or ordered:
                found[annotator, place] += count
    return found


def _names_a_side(vote: Vote) -> bool:
    return vote.verdict in ("left", "right")


def _place(votes: Sequence[Vote], sides: Sides) -> int:
    """Whether the better side was shown first; not known where it was shown both ways, or never."""
    shown = {vote.left for vote in votes if {vote.left, vote.right} == set(sides)}
    return UNKNOWN if len(shown) != 1 else FIRST if shown == {sides[0]} else SECOND
