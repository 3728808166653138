"""Whether it says enough to know who wrote the two sides: labels that only tell models from each other."""

from collections import Counter
from collections.abc import Iterator

from prefsmith.audit.finding import Finding
from prefsmith.stats import wilson

Matches = Counter[tuple[str, str]]
"""Winner and loser -> how often."""
LEARNT = 0.7
LEAST = 50
"""Pairs below which nothing is said."""
SHOWN = 60


def sources(matches: Matches) -> Iterator[Finding]:
    """The source of the sides against the label; nothing where files do not say who wrote what."""
    total = matches.total()
    if total < LEAST:
        return
    told = sum(_told(matches[one, two], matches[two, one]) for one, two in _twos(matches))
    accuracy = wilson(told, total)
    learnt = accuracy.value >= LEARNT and accuracy.low > 0.5
    yield Finding(
        kind="biased",
        code="biased.source",
        severity="warning" if learnt else "note",
        title="Who wrote the sides predicts the label" if learnt else "How well the writers predict the label",
        count=round(told),
        of=total,
        unit="pairs of two different writers",
        effect="a policy learns to sound like the winners, whatever they say"
        if learnt
        else "what else tells the sides apart has to be learnt",
        cure="compare answers of one model, or see to it that each wins and loses"
        if learnt
        else "nothing has to be done",
        numbers={
            "accuracy": {"value": accuracy.value, "low": accuracy.low, "high": accuracy.high, "n": total},
            "writers": _writers(matches)[:SHOWN],
            "matches": [
                {"first": one, "second": two, "first_wins": matches[one, two], "second_wins": matches[two, one]}
                for one, two in _twos(matches)[:SHOWN]
            ],
        },
    )


def _twos(matches: Matches) -> list[tuple[str, str]]:
    return sorted({(min(pair), max(pair)) for pair in matches})


def _told(one: int, two: int) -> float:
    """Pairs of two writers that the others of these two tell right: each by who won more of the rest, half if neither.

    One of `one` wins is told right where one - 1 > two.
    """
    return sum(wins * (0.5 if wins - 1 == rest else float(wins - 1 > rest)) for wins, rest in ((one, two), (two, one)))


def _writers(matches: Matches) -> list[dict[str, object]]:
    """Each writer's share of wins, the best first."""
    wins, games = Counter[str](), Counter[str]()
    for (winner, loser), count in matches.items():
        wins[winner] += count
        games.update({winner: count, loser: count})
    found: list[dict[str, object]] = []
    for name in sorted(games, key=lambda name: (-wins[name] / games[name], name)):
        own = wilson(wins[name], games[name])
        share = {"value": own.value, "low": own.low, "high": own.high, "n": games[name]}
        found.append({"writer": name, "wins": wins[name], "share": share})
    return found
