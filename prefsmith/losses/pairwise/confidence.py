"""Losses that weigh a pair by how likely the policy itself is to write it."""

from typing import Literal

from prefsmith.losses.pairwise.margin import Margins, cross_entropy, margin
from prefsmith.losses.registry import Positive, loss
from prefsmith.types import Preferences, SequenceScores


def _weight(scores: SequenceScores, prefs: Preferences, clamp: str) -> Margins:
    """w(y_w) w(y_l), without gradient."""
    sure = scores.confidence
    assert sure is not None, "a loss that declares confidence is given it"
    product = (sure[prefs.chosen] + sure[prefs.rejected]).detach().exp()
    return product.clamp(max=1.0) if clamp == "yes" else product


def _start(scores: SequenceScores, prefs: Preferences, *, beta: float, clamp: str) -> Margins:
    return _weight(scores, prefs, clamp) * cross_entropy(0 * prefs.prob, prefs.prob)


@loss(
    "wpo",
    kind="pairwise",
    needs=("reference", "confidence"),
    soft_labels="the optimum is beta h = logit(p), whatever the weight",
    start=_start,
    first_move=(1, -1),
)
def wpo(
    scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.01, clamp: Literal["yes", "no"] = "yes"
) -> Margins:
    """Logistic regression in which a pair counts by how likely the policy is to write it.

        L = w(y_w) w(y_l) (-p log s(beta h) - (1 - p) log s(-beta h))
        w(y) = exp(mean over t of (log policy(y_t) - log sum over v of policy(v)^2)),  without gradient

    with h the margin in nats, s the logistic function, and p the probability that chosen is better. A token that is as
    likely as the policy's own samples are on average has weight 1.

    The minimum is at beta h = logit(p); a hard label has none. Data that another model wrote count less the less the
    policy would write them, as if pairs had been sampled from it. Use it with pairs from elsewhere. Weights multiply
    the loss and not the number of pairs: values are small, and the learning rate acts as if it were lower.

    Args:
        scores: log-probabilities of every completion under policy and reference in nats, and the policy's confidence.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat.
        clamp: whether the product of the two weights is at most 1: `yes` as in the authors' code, `no` as in TRL 1.16.

    Returns:
        One non-negative loss per comparison, in nats times the weight.

    Source:
        Zhou et al. 2024, arXiv:2406.11827, eq. 2, and the authors' code.
    """
    return _weight(scores, prefs, clamp) * cross_entropy(beta * margin(scores, prefs), prefs.prob)
