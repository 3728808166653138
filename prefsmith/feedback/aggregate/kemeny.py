"""Kemeny's order: the one that contradicts the fewest votes, found exactly, and every other that is as good."""

from dataclasses import dataclass

from prefsmith.errors import ConfigError
from prefsmith.feedback.aggregate.contest import Contest

MOST_ITEMS = 14
"""2^14 sets of items are looked at; each further item doubles them."""
MOST_ORDERS = 24
_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class Kemeny:
    """The orders that contradict the fewest votes.

    Args:
        orders: the best first, each with the best item first; at most `MOST_ORDERS` of them.
        count: how many there are.
        against: votes that each of them contradicts.
    """

    orders: tuple[tuple[int, ...], ...]
    count: int
    against: float


def kemeny(contest: Contest, where: str = "") -> Kemeny:
    """Look at every set of items that may stand at the top.

        against(order) = sum of votes for the lower of two items against the higher

    Args:
        contest: between at most `MOST_ITEMS`.
        where: what is ranked, for the message.

    Raises:
        ConfigError: there are more items.

    Source:
        Kemeny 1959, Daedalus 88(4); the sets as in Held and Karp 1962.
    """
    size = len(contest.wins)
    if size > MOST_ITEMS:
        what = f"Kemeny's order of {size:,} items cannot be found exactly: it is for at most {MOST_ITEMS}"
        raise ConfigError("label.kemeny", what, where=where, fix="--method copeland or borda")
    wins = contest.wins.tolist()
    least, ways = [0.0] * 2**size, [1] * 2**size
    for members in range(1, 2**size):
        inside = [item for item in range(size) if members >> item & 1]
        # The last of the set stands below all others of it, against every vote for it.
        costs = [(least[members ^ 1 << last] + sum(wins[last][each] for each in inside), last) for last in inside]
        least[members] = min(cost for cost, _ in costs)
        ways[members] = sum(ways[members ^ 1 << last] for cost, last in costs if cost - least[members] <= _NEAR)
    whole = 2**size - 1
    return Kemeny(tuple(_orders(wins, least, whole)[:MOST_ORDERS]), ways[whole], least[whole])


def _orders(wins: list[list[float]], least: list[float], members: int) -> list[tuple[int, ...]]:
    """Best orders of a set, as many as are wanted."""
    if not members:
        return [()]
    inside = [item for item in range(len(wins)) if members >> item & 1]
    found: list[tuple[int, ...]] = []
    for last in inside:
        rest = members ^ 1 << last
        cost = least[rest] + sum(wins[last][each] for each in inside)
        if cost - least[members] <= _NEAR and len(found) < MOST_ORDERS:
            found += [(*order, last) for order in _orders(wins, least, rest)]
    return sorted(found)
