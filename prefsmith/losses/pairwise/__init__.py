"""Losses of a comparison between two completions: functions of the margin h."""

from prefsmith.losses.pairwise.margin import margin

__all__ = ["margin"]
