"""The arms: what is timed against what. Each lives in one of the two processes."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["theirs", "ours"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train.

    Args:
        key: what it is called in the records.
        title: what it is called on the page.
        side: whose process it runs in.
        sorted: whether its batches are sorted by length.
        rival: the arm of prefsmith that its time is divided by; None for prefsmith's own.
    """

    key: str
    title: str
    side: Side
    sorted: bool = False
    rival: str | None = None


ARMS = {
    each.key: each
    for each in (
        Arm("trl", "TRL", "theirs", rival="each-step"),
        Arm("trl-cached", "TRL cached", "theirs", rival="cached"),
        Arm("trl-sorted", "TRL sorted", "theirs", sorted=True, rival="cached"),
        Arm("padded", "padded loop", "ours", sorted=True, rival="cached"),
        Arm("each-step", "prefsmith", "ours"),
        Arm("cached", "prefsmith cached", "ours"),
    )
}
MEMORY = {
    each.key: each
    for each in (
        Arm("checkpointed", "checkpointed", "ours"),
        Arm("cached-whole", "cached, whole steps", "ours"),
        Arm("checkpointed-whole", "checkpointed, whole steps", "ours"),
    )
}
"""Measured for their memory alone: prefsmith with activations checkpointed as in TRL's defaults, with the reference in
every step, and with a step as one micro-batch."""
BASELINES = {key: arm for key, arm in ARMS.items() if arm.rival is not None}
