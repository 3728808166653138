"""Every preference loss, by name. Importing this package registers them all."""

from prefsmith.losses.pairwise import logistic, squared
from prefsmith.losses.reference_free import chosen, target
from prefsmith.losses.registry import LOSSES, Entry, Term, resolve
from prefsmith.losses.unpaired import anchored, kto, likelihood, quantile

__all__ = [
    "LOSSES",
    "Entry",
    "Term",
    "anchored",
    "chosen",
    "kto",
    "likelihood",
    "logistic",
    "quantile",
    "resolve",
    "squared",
    "target",
]
