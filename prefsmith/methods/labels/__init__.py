"""From a file of votes to a file of labels: `prefsmith label aggregate`."""

from prefsmith.methods.labels.aggregate import Labelled, Wanted, aggregate_votes

__all__ = ["Labelled", "Wanted", "aggregate_votes"]
