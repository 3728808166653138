"""Everything against everything: how often each of some answers, or of some systems, was better than each other.

Axes
  item  what is ranked
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from prefsmith.feedback.aggregate.bradley_terry import matrix_of, wins_of
from prefsmith.feedback.aggregate.components import Items
from prefsmith.feedback.aggregate.panel import Panel

Wins = Float64[np.ndarray, "item item"]
Beats = Bool[np.ndarray, "item item"]
Scores = Float64[np.ndarray, " item"]


@dataclass(frozen=True, slots=True)
class Contest:
    """Votes between items.

    Args:
        wins: votes for the item of a row against that of a column; a tie is half a vote for each.
    """

    wins: Wins

    @property
    def compared(self) -> Beats:
        """Whether two items have votes."""
        return (self.wins + self.wins.T) > 0

    @property
    def beats(self) -> Beats:
        """Whether more votes are for the item of the row than for that of the column."""
        return self.wins > self.wins.T

    def condorcet_winner(self) -> int | None:
        """The item that beats every other one; None where none does, as in a cycle or where pairs lack votes."""
        beaten = self.beats.sum(axis=1)
        best = int(beaten.argmax()) if len(beaten) else 0
        return best if len(beaten) > 1 and beaten[best] == len(beaten) - 1 else None


def contest_of(panel: Panel, items: Items, pairs: np.ndarray) -> Contest:
    """The contest between some items of a panel, from `components`."""
    return Contest(matrix_of(panel, wins_of(panel, 0.0), items, pairs))


def borda(contest: Contest) -> Scores:
    """The mean share of votes against every item that it was compared with, in [0, 1].

    Of whole rankings it is Borda's count: how many others stand behind it, of all that could. An item without votes
    has NaN.
    """
    total = contest.wins + contest.wins.T
    share = np.divide(contest.wins, total, out=np.zeros_like(total), where=total > 0)
    return _mean(share, contest.compared)


def copeland(contest: Contest) -> Scores:
    """The share of items that it beats by most votes, of those that it was compared with; as many votes are one half.

    An item without votes has NaN.
    """
    won = contest.beats + 0.5 * (contest.compared & ~contest.beats & ~contest.beats.T)
    return _mean(won, contest.compared)


def _mean(values: np.ndarray, compared: Beats) -> Scores:
    opponents = compared.sum(axis=1)
    sums = np.where(compared, values, 0.0).sum(axis=1)
    return np.divide(sums, opponents, out=np.full(len(sums), np.nan), where=opponents > 0)
