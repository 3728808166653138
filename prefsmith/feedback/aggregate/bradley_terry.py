"""Bradley and Terry's model: one strength for each answer, from all votes on it (choix)."""

import numpy as np
from jaxtyping import Float64

from prefsmith.feedback.aggregate.aggregate import Aggregate
from prefsmith.feedback.aggregate.components import Items, components
from prefsmith.feedback.aggregate.crowdkit import load
from prefsmith.feedback.aggregate.panel import FIRST, SECOND, TIE, Panel, PerPair
from prefsmith.feedback.aggregate.reliability import Reliability, likeliest, parts

_ROUNDS = 10_000
SAYS_STRONGER = "how often it says that the stronger answer is better, its own votes among those that decide"


def bradley_terry(panel: Panel, *, pseudo: float = 0.1) -> Aggregate:
    """The chance that an answer wins is the logistic function of how much stronger it is.

        p = s(strength of first - strength of second)

    A tie counts as half a vote each way. Votes on one pair thus move the labels of all pairs that its answers are in,
    and no label goes against a cycle. `pseudo` votes each way on every compared pair keep strengths finite where an
    answer wins or loses always. Strengths are in nats and sum to zero among the answers that are connected. Where an
    answer is compared once, the label is little more than the share of that pair.

    Args:
        panel: the votes.
        pseudo: votes each way on every pair that has votes, above 0.

    Source:
        Bradley and Terry 1952, Biometrika 39; fitted by choix (Maystre and Grossglauser 2015, I-LSR).
    """
    wins = wins_of(panel, pseudo)
    strengths, converged = np.zeros(int(panel.items.max(initial=-1)) + 1), True
    for items, pairs in components(panel):
        strengths[items], came_to_rest = fit(matrix_of(panel, wins, items, pairs))
        converged &= came_to_rest
    return Aggregate(
        prob=prob_of(panel, strengths),
        reliability=_consistency(panel, strengths),
        strengths=strengths,
        converged=converged,
    )


def fit(wins: Float64[np.ndarray, "item item"]) -> tuple[Float64[np.ndarray, " item"], bool]:
    """Strengths of items that are all connected, in nats, with sum zero; and whether the fit came to rest.

    Args:
        wins: of the item of a row against that of a column, above zero both ways wherever two were compared.

    Raises:
        ConfigError: choix is not installed.
    """
    if len(wins) == 2:  # many files compare every answer once: the closed form is as exact, and quick
        return np.array([0.5, -0.5]) * np.log(wins[0, 1] / wins[1, 0]), True
    choix = load("choix", "choix", "bradley-terry")
    try:
        strengths, converged = choix.ilsr_pairwise_dense(wins, max_iter=_ROUNDS), True
    except RuntimeError:  # did not come to rest
        strengths, converged = choix.lsr_pairwise_dense(wins), False
    return strengths - strengths.mean(), converged


def wins_of(panel: Panel, pseudo: float) -> Float64[np.ndarray, "pair 2"]:
    """Votes for the first and for the second answer of each pair; a tie is half a vote for each."""
    counts = panel.counts()
    wins = counts[:, [FIRST, SECOND]] + counts[:, [TIE]] / 2
    return wins + np.where(panel.voted, pseudo, 0.0)[:, None]


def matrix_of(
    panel: Panel, wins: Float64[np.ndarray, "pair 2"], items: Items, pairs: np.ndarray
) -> Float64[np.ndarray, "item item"]:
    """How often the answer of a row wins against that of a column, among some answers."""
    first, second = np.searchsorted(items, panel.items[pairs]).T
    matrix = np.zeros((len(items), len(items)))
    np.add.at(matrix, (first, second), wins[pairs, 0])
    np.add.at(matrix, (second, first), wins[pairs, 1])
    np.fill_diagonal(matrix, 0.0)  # an answer beside itself says nothing of its strength
    return matrix


def prob_of(panel: Panel, strengths: Float64[np.ndarray, " item"]) -> PerPair:
    """P(first wins); NaN where nobody voted."""
    gap = strengths[panel.items[:, 0]] - strengths[panel.items[:, 1]]
    return np.where(panel.voted, np.exp(-np.logaddexp(0, -gap)), np.nan)


def _consistency(panel: Panel, strengths: Float64[np.ndarray, " item"]) -> Reliability:
    """Ties say nothing here, and equal strengths decide half of a vote."""
    decided = panel.said != TIE
    gap = (strengths[panel.items[:, 0]] - strengths[panel.items[:, 1]])[panel.pair[decided]]
    gap = np.where(panel.said[decided] == FIRST, gap, -gap)
    agrees = np.where(np.abs(gap) < 1e-9, 0.5, gap > 0)
    annotator, part = panel.annotator[decided], parts(panel)[decided]
    ones, zeros = np.ones(len(gap)), np.zeros(len(gap))
    return likeliest(
        np.concatenate([annotator, annotator]),
        np.concatenate([ones, zeros]),
        np.concatenate([zeros, ones]),
        np.concatenate([part * agrees, part * (1 - agrees)]),
        panel,
        SAYS_STRONGER,
        0.5,
    )
