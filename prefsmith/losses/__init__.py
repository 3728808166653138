"""Every preference loss, by name. Importing this package registers them all."""

from prefsmith.losses import terms
from prefsmith.losses.listwise import ranked, scored
from prefsmith.losses.pairwise import bounded, labels, logistic, rewards, squared
from prefsmith.losses.reference_free import chosen, target
from prefsmith.losses.registry import LOSSES, Entry, Term, resolve
from prefsmith.losses.unpaired import anchored, kto, likelihood, quantile, transported

__all__ = [
    "LOSSES",
    "Entry",
    "Term",
    "anchored",
    "bounded",
    "chosen",
    "kto",
    "labels",
    "likelihood",
    "logistic",
    "quantile",
    "ranked",
    "resolve",
    "rewards",
    "scored",
    "squared",
    "target",
    "terms",
    "transported",
]
