"""Losses whose policy is held near the reference by another divergence than the reverse KL."""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, cross_entropy, log_ratios, log_two
from prefsmith.losses.registry import Domain, Positive, Range, loss
from prefsmith.types import Preferences, SequenceScores


@loss(
    "fdpo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is beta (g(D_w) - g(D_l)) = logit(p), with g of the divergence",
    start=log_two,
    first_move=(1, -1),
    domain=Domain(low=-40.0),
)
def fdpo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.1,
    divergence: Literal["reverse_kl", "forward_kl", "js", "alpha"] = "reverse_kl",
    alpha: Annotated[float, Range(0.0, 1.0, open_low=True, open_high=True)] = 0.5,
) -> Margins:
    """Logistic regression on the margin that belongs to a divergence of one's choice.

        L = -p log s(u) - (1 - p) log s(-u)
        u = beta (g(D_w) - g(D_l))

        reverse_kl  g(D) = D
        forward_kl  g(D) = 1 - e^-D
        js          g(D) = log s(D) + log 2
        alpha       g(D) = (e^((alpha - 1) D) - 1) / (alpha - 1)

    with D the log-ratio log policy - log reference of one side in nats, s the logistic function, and p the probability
    that chosen is better. g is the derivative of the divergence's f at policy / reference.

    The minimum is at u = logit(p); a hard label has none. All but reverse_kl flatten where D rises and are steep where
    it falls: chosen gains little by rising, while rejected is soon low enough. forward_kl does so most, and its
    gradient on a chosen side that falls is exponential. Use js or alpha where answers should stay diverse; reverse_kl
    is `dpo`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference.
        divergence: what keeps the policy near the reference.
        alpha: order of the alpha divergence, in (0, 1): towards 1 it is reverse_kl, towards 0 forward_kl. The others
            do not read it.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Wang et al. 2023, arXiv:2309.16240 (f-DPO). Its alpha divergence has g(D) = (1 - e^(-a D)) / a: a is 1 - alpha
        here, and TRL, which had a in earlier versions, has our alpha in 1.16. TRL caps the exponent of alpha and not
        that of forward_kl, which overflows; here both are exact down to D = -40 nats, where the gradient is 1e17: the
        norm of weights in float32 can still hold it.
    """
    chosen, rejected = (_derivative(ratio, divergence, alpha) for ratio in log_ratios(scores, prefs))
    return cross_entropy(beta * (chosen - rejected), prefs.prob)


def _derivative(ratio: Margins, divergence: str, alpha: float) -> Margins:
    """f' at policy / reference, from its logarithm."""
    if divergence == "forward_kl":
        return -torch.expm1(-ratio)
    if divergence == "js":
        return F.logsigmoid(ratio) + math.log(2)
    return torch.expm1((alpha - 1) * ratio) / (alpha - 1) if divergence == "alpha" else ratio


@loss(
    "chi_po",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is u = logit(p), as far as that is within (-2 bound, 2 bound)",
    start=log_two,
    first_move=(1, -1),
    domain=Domain(high=40.0),
)
def chi_po(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.05, bound: Positive = 1.0) -> Margins:
    """Logistic regression on a margin in which a policy that goes far above the reference is dear.

        L = -p log s(u) - (1 - p) log s(-u)
        u = clip(beta (g(D_w) - g(D_l)), -2 bound, 2 bound)
        g(D) = e^D + D

    with D the log-ratio log policy - log reference of one side in nats, s the logistic function, and p the probability
    that chosen is better. g belongs to the sum of half the chi-squared divergence and the KL divergence.

    The minimum is at u = logit(p) inside the clip. A hard label is smallest from u = 2 bound on, where the gradient is
    0; so it is below -2 bound, where a lost pair is given up. Use it where data cover few of the answers that the
    policy may find, and over-optimisation is the danger; where they cover many, use `dpo`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference.
        bound: R, the largest reward that is believed; twice that bounds the difference of two.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Huang et al. 2024, arXiv:2407.13399, taken from second sources that agree on g and on the clip; R is no fixed
        constant in them. One popular re-implementation leaves the clip out.
    """
    chosen, rejected = (ratio.exp() + ratio for ratio in log_ratios(scores, prefs))
    return cross_entropy((beta * (chosen - rejected)).clamp(-2 * bound, 2 * bound), prefs.prob)
