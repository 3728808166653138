"""Rank what votes compare: systems over all prompts, or the answers to each prompt."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from prefsmith.data.votes.judgements import JudgedPair
from prefsmith.data.votes.read import read_judgements
from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback.aggregate.bradley_terry import fit
from prefsmith.feedback.aggregate.components import components, largest
from prefsmith.feedback.aggregate.contest import Contest, borda, contest_of, copeland
from prefsmith.feedback.aggregate.cycles import triples
from prefsmith.feedback.aggregate.kemeny import MOST_ITEMS, kemeny
from prefsmith.feedback.aggregate.panel import Panel, Ties, panel
from prefsmith.feedback.aggregate.share import share
from prefsmith.methods.labels.official import read_official, tau

Of = Literal["systems", "answers"]
Order = Literal["bradley-terry", "borda", "copeland"]
_DRAWS = 200
LEAST_DRAWS = 40
"""Below it 2.5 % of the draws are not one of them."""
SCORES: dict[str, Callable[[Contest], np.ndarray]] = {
    "bradley-terry": lambda contest: fit(contest.wins + 0.1 * contest.compared)[0],
    "borda": borda,
    "copeland": copeland,
}


@dataclass(frozen=True, slots=True)
class Ranking:
    """How a ranking is made.

    Args:
        of: systems, where rows say who wrote the answers; or the answers to each prompt.
        order: what is ranked by.
        ties: `drop` leaves votes out that say tie.
        seed: of the draws behind the intervals.
        skip_bad: count rows that cannot be used and go on.
    """

    of: Of = "systems"
    order: Order = "bradley-terry"
    ties: Ties = "half"
    seed: int = 0
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("label.value", f"--seed is {self.seed}, below 0", where="--seed", fix="--seed 0 or more")


def rank_votes(votes: Path, ranking: Ranking, *, against: Path | None = None) -> dict[str, object]:
    """Rank by votes; JSON-ready.

    Args:
        votes: a file of judgements.
        ranking: how.
        against: an official table of the same systems, whose order is compared.

    Raises:
        ConfigError: a package is missing.
        DataError: a file cannot be read, the rows do not say who wrote the answers, or nobody said anything.
    """
    judgements = read_judgements(votes, skip_bad=ranking.skip_bad)
    pairs, unknown = _named(judgements.pairs, ranking.of, str(votes))
    table = panel([pair.group for pair, _ in pairs], [items for _, items in pairs], ties=ranking.ties)
    if not len(table.said):
        what = "no vote says which answer is better"
        raise DataError("label.votes", what, where=str(votes), fix="take ties too, or look at the verdicts")
    names: dict[int, str] = {}
    for (_, items), numbers in zip(pairs, table.items.tolist(), strict=True):
        names |= {number: item[1] for number, item in zip(numbers, items, strict=True)}
    contests = [
        _contest(table, names, [pair for pair, _ in pairs], items, numbers, ranking)
        for items, numbers in components(table)
    ]
    return {
        "kind": "ranking",
        "version": version("prefsmith"),
        "file": judgements.name,
        "digest": dict(judgements.digest),
        "of": ranking.of,
        "order": ranking.order,
        "ties": ranking.ties,
        "seed": ranking.seed,
        "draws": _DRAWS,
        "pairs": {"read": len(judgements.pairs), "not_named": unknown},
        "refused": dict(judgements.refused),
        "contests": contests,
        "against": None if against is None else _compared(contests, against),
    }


def _named(
    pairs: Sequence[JudgedPair], of: Of, where: str
) -> tuple[list[tuple[JudgedPair, tuple[tuple[str, str], tuple[str, str]]]], int]:
    """The pairs with what is ranked in each: scope and name of either side; and how many name nothing."""
    named = list[tuple[JudgedPair, tuple[tuple[str, str], tuple[str, str]]]]()
    for pair in pairs:
        if of == "systems":
            if pair.methods is not None and pair.methods[0] != pair.methods[1]:
                named.append((pair, (("", pair.methods[0]), ("", pair.methods[1]))))
            continue
        first, second = pair.names or (pair.group.completions[0].content, pair.group.completions[1].content)
        if first != second:
            key = pair.group.prompt_key()
            named.append((pair, ((key, first), (key, second))))
    if not named:
        what = "no pair says who wrote its answers" if of == "systems" else "no pair has two different answers"
        raise DataError("label.systems", what, where=where, fix="give model_a and model_b, or --of answers")
    return named, len(pairs) - len(named)


def _contest(
    table: Panel,
    names: Mapping[int, str],
    pairs: Sequence[JudgedPair],
    items: np.ndarray,
    numbers: np.ndarray,
    ranking: Ranking,
) -> dict[str, object]:
    contest = contest_of(table, items, numbers)
    values = SCORES[ranking.order](contest)
    low, high, draws = _interval(table, pairs, items, numbers, values, ranking)
    winner = contest.condorcet_winner()
    order = np.argsort(-values, kind="stable")
    called = [names[int(item)] for item in items]
    inside = table.of_pairs(numbers)
    circles = triples(inside, share(inside).prob)
    best = kemeny(contest) if len(items) <= MOST_ITEMS else None
    return {
        "prompts": len({pairs[place].group.prompt_key() for place in numbers}),
        "votes": len(inside.said),
        "items": [
            {"name": called[place], "score": _number(float(values[place])), "low": low[place], "high": high[place],
             "draws": draws[place], "votes": float(contest.wins[place].sum() + contest.wins[:, place].sum())}
            for place in order
        ],
        "condorcet_winner": None if winner is None else called[winner],
        "triples": {"cyclic": circles.cyclic, "transitive": circles.transitive},
        "kemeny": None if best is None else {
            "orders": [[called[place] for place in each] for each in best.orders],
            "count": best.count, "against": best.against,
        },
    }  # fmt: skip


def _interval(
    table: Panel,
    pairs: Sequence[JudgedPair],
    items: np.ndarray,
    numbers: np.ndarray,
    values: np.ndarray,
    ranking: Ranking,
) -> tuple[list[float | None], list[float | None], list[int]]:
    """95 % of draws of whole prompts, and how many draws have a score of each item.

    None where there is one prompt, so that nothing shows how far scores scatter, or where few draws have a score.
    """
    prompts = [pairs[place].group.prompt_key() for place in numbers]
    clusters = {key: place for place, key in enumerate(dict.fromkeys(prompts))}
    size = len(items)
    if len(clusters) < 2:
        return [None] * size, [None] * size, [0] * size
    member = np.array([clusters[key] for key in prompts])
    wins = table.counts()[numbers]
    wins = wins[:, :2] + wins[:, 2:] / 2
    first, second = np.searchsorted(items, table.items[numbers]).T
    rng, drawn = np.random.default_rng(ranking.seed), list[np.ndarray]()
    for _ in range(_DRAWS):
        times = np.bincount(rng.integers(0, len(clusters), len(clusters)), minlength=len(clusters))[member]
        matrix = np.bincount(first * size + second, times * wins[:, 0], size * size)
        matrix += np.bincount(second * size + first, times * wins[:, 1], size * size)
        drawn.append(_drawn(Contest(matrix.reshape(size, size)), values, ranking.order))
    scores = np.stack(drawn)
    draws = (~np.isnan(scores)).sum(axis=0)
    ends: list[list[float | None]] = [
        [
            float(np.nanquantile(each, end)) if n >= LEAST_DRAWS else None
            for each, n in zip(scores.T, draws, strict=True)
        ]
        for end in (0.025, 0.975)
    ]
    return ends[0], ends[1], draws.tolist()


def _drawn(contest: Contest, values: np.ndarray, order: Order) -> np.ndarray:
    """Scores in a draw; NaN of items that it does not compare.

    Strengths have one zero only among items that the draw connects: those of the most items are taken, with the mean
    that these items have over all votes.
    """
    if order != "bradley-terry":
        return SCORES[order](contest)
    inside = largest(contest.compared)
    scores = np.full(len(values), np.nan)
    scores[inside] = SCORES[order](Contest(contest.wins[np.ix_(inside, inside)])) + values[inside].mean()
    return scores


def _number(value: float) -> float | None:
    """As JSON has it, which knows no NaN."""
    return None if np.isnan(value) else value


def _compared(contests: Sequence[Mapping[str, object]], against: Path) -> dict[str, object]:
    """How far our order is that of a table."""
    official = read_official(against)
    items = [item for each in contests for item in cast("list[dict[str, Any]]", each["items"])]
    ours = {str(item["name"]): float(item["score"]) for item in items if item["score"] is not None}
    both = [name for name in official if name in ours]
    if len(both) < 2:
        what = f"the table and the votes have {len(both)} systems in common"
        raise DataError("label.official", what, where=str(against), fix="name a table of the systems that are ranked")
    left_out = Counter(only_there=len(official) - len(both), only_here=len(ours) - len(both))
    return {
        "file": str(against),
        "systems": len(both),
        "kendall_tau": _number(tau([ours[name] for name in both], [official[name] for name in both])),
        **left_out,
    }
