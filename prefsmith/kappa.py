"""Agreement beyond chance, from sums: so that a statistic of all draws of a bootstrap is one call.

Each function takes an array whose last axes hold sums and gives one number for each place of the axes before them; NaN
where it is undefined, which is where only one label was ever given.
"""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

Numbers = Float64[np.ndarray, "*batch"]


def cohen(table: Float64[np.ndarray, "*batch label label"]) -> Numbers:
    """Cohen's kappa of two annotators.

        kappa = (p_o - p_e) / (1 - p_e),   p_o = sum of p_cc,   p_e = sum of p_c. p_.c

    It is 1 where they always agree, 0 where they agree as often as their own shares of labels make them, below 0 where
    less often.

    Args:
        table: how often the first said c where the second said k.

    Source:
        Cohen 1960, Educational and Psychological Measurement 20(1).
    """
    total = table.sum(axis=(-2, -1))
    observed = _over(np.trace(table, axis1=-2, axis2=-1), total)
    expected = _over((table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1), total**2)
    return _over(observed - expected, 1 - expected)


def fleiss_sums(counts: Float64[np.ndarray, "item label"]) -> Float64[np.ndarray, "item column"]:
    """What `fleiss` reads, for each item: the share of its pairs of votes that agree, one item, votes by label."""
    votes = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1)
    return np.column_stack([_over(agreeing, votes * (votes - 1)), np.ones(len(counts)), counts])


def fleiss(sums: Float64[np.ndarray, "*batch column"]) -> Numbers:
    """Fleiss' kappa of as many annotators for every item, who need not be the same ones.

        kappa = (P - P_e) / (1 - P_e),   P_e = sum of p_c^2

    with P the mean over items of the share of agreeing pairs of votes, and p_c the share of label c among all votes.

    Args:
        sums: of `fleiss_sums` over items that all have the same number of votes, at least two.

    Source:
        Fleiss 1971, Psychological Bulletin 76(5).
    """
    observed, labels = _over(sums[..., 0], sums[..., 1]), sums[..., 2:]
    expected = _over((labels**2).sum(axis=-1), labels.sum(axis=-1) ** 2)
    return _over(observed - expected, 1 - expected)


def alpha_sums(counts: Float64[np.ndarray, "item label"]) -> Float64[np.ndarray, "item column"]:
    """What `alpha` reads, for each item: its agreeing coincidences, votes by label. Items of one vote count nothing."""
    votes = counts.sum(axis=1)
    pairable = (votes > 1)[:, None] * counts
    agreeing = _over((counts * (counts - 1)).sum(axis=1), votes - 1)
    return np.column_stack([np.where(votes > 1, agreeing, 0.0), pairable])


def alpha(sums: Float64[np.ndarray, "*batch column"]) -> Numbers:
    """Krippendorff's alpha for labels without an order (nominal), with any number of votes on each item.

        alpha = 1 - D_o / D_e,   D_o = 1 - (agreeing coincidences) / n,   D_e = 1 - sum of n_c (n_c - 1) / (n (n - 1))

    An item of m votes adds n_c (n_c - 1) / (m - 1) agreeing coincidences for each label c; n and n_c count the votes of
    items that have two or more.

    Args:
        sums: of `alpha_sums` over items.

    Source:
        Krippendorff 2011, Computing Krippendorff's alpha-reliability, section C.
    """
    labels = sums[..., 1:]
    votes = labels.sum(axis=-1)
    observed = 1 - _over(sums[..., 0], votes)
    expected = 1 - _over((labels * (labels - 1)).sum(axis=-1), votes * (votes - 1))
    return np.asarray(1 - _over(observed, expected))


def _over(above: ArrayLike, below: ArrayLike) -> np.ndarray:
    """A quotient, NaN where there is nothing to divide by."""
    top, bottom = np.broadcast_arrays(np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
