"""Every preference loss, by name. Importing this package registers them all."""

from prefsmith.losses import terms
from prefsmith.losses.listwise import ranked, scored
from prefsmith.losses.pairwise import (
    across,
    bounded,
    confidence,
    divergence,
    labels,
    length,
    logistic,
    offsets,
    rewards,
    squared,
    tokenwise,
)
from prefsmith.losses.reference_free import chosen, target
from prefsmith.losses.registry import LOSSES, Entry, Term, resolve
from prefsmith.losses.unpaired import anchored, kto, likelihood, quantile, transported

__all__ = [
    "LOSSES",
    "Entry",
    "Term",
    "across",
    "anchored",
    "bounded",
    "chosen",
    "confidence",
    "divergence",
    "kto",
    "labels",
    "length",
    "likelihood",
    "logistic",
    "offsets",
    "quantile",
    "ranked",
    "resolve",
    "rewards",
    "scored",
    "squared",
    "target",
    "terms",
    "tokenwise",
    "transported",
]
