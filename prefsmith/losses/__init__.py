"""Every preference loss, by name. Importing this package registers them all."""

from prefsmith.losses import unpaired
from prefsmith.losses.pairwise import logistic, squared
from prefsmith.losses.registry import LOSSES, Entry, Term, resolve

__all__ = ["LOSSES", "Entry", "Term", "logistic", "resolve", "squared", "unpaired"]
