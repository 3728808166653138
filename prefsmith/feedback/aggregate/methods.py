"""The methods by name: what each makes of votes, what it does with ties, and what it needs."""

from collections.abc import Callable
from dataclasses import dataclass

from prefsmith.feedback.aggregate.aggregate import Aggregate
from prefsmith.feedback.aggregate.bradley_terry import bradley_terry
from prefsmith.feedback.aggregate.crowd_bradley_terry import crowd_bradley_terry
from prefsmith.feedback.aggregate.dawid_skene import dawid_skene
from prefsmith.feedback.aggregate.glad import glad
from prefsmith.feedback.aggregate.one_coin import one_coin
from prefsmith.feedback.aggregate.share import majority, share, smoothed_share
from prefsmith.feedback.aggregate.smoothed_dawid_skene import smoothed_dawid_skene


@dataclass(frozen=True, slots=True)
class Method:
    """One way from votes to probabilities.

    Args:
        apply: to a panel; settings of its own are keywords.
        says: what its probability is, in a line.
        ties: what a tie is in it.
        annotators: whether it tells annotators apart, so that they need names.
        in_common: whether it does so by pairs on which two of them voted; otherwise two annotators are enough.
    """

    apply: Callable[..., Aggregate]
    says: str
    ties: str
    annotators: bool = False
    in_common: bool = False


HALF, LABEL = "half a vote for either side", "a label of its own; the probability takes half of it"
METHODS = {
    "share": Method(share, "the share of votes", HALF),
    "smoothed-share": Method(smoothed_share, "the share with one vote more for either side", HALF),
    "majority": Method(majority, "1, 0 or one half: what most votes say", "a label: where most say tie it is one half"),
    "one-coin": Method(
        one_coin, "of what is true, where each annotator has one rate of being right", LABEL, True, True
    ),
    "dawid-skene": Method(
        dawid_skene, "of what is true, where each annotator has a confusion matrix", LABEL, True, True
    ),
    "smoothed-dawid-skene": Method(
        smoothed_dawid_skene,
        "of what is true, by confusion matrices that are drawn to the mean of all",
        LABEL,
        True,
        True,
    ),
    "glad": Method(glad, "of what is true, where annotators differ in ability and pairs in ease", LABEL, True, True),
    "bradley-terry": Method(bradley_terry, "of a vote, by strengths of the answers", HALF),
    "crowd-bradley-terry": Method(
        crowd_bradley_terry, "of a straight vote, by strengths of the answers, annotators weighed", HALF, True
    ),
}
