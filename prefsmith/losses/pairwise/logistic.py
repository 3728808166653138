"""Logistic regression on the margin."""

import math
from typing import Annotated

import torch
import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, cross_entropy, log_two, margin
from prefsmith.losses.registry import Positive, Range, loss
from prefsmith.types import Preferences, SequenceScores


@loss(
    "dpo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is beta h = logit(p)",
    start=log_two,
    first_move=(1, -1),
)
def dpo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.1,
    label_smoothing: Annotated[float, Range(0.0, 0.5, open_high=True)] = 0.0,
) -> Margins:
    """Logistic regression on the margin, with a probability for every pair.

        L = -p log s(beta h) - (1 - p) log s(-beta h)

    with h the margin in nats, s the logistic function, and p the probability that chosen is better, pulled towards
    one half by label smoothing e: p = prob (1 - e) + (1 - prob) e.

    The loss is smallest at beta h = logit(p). A hard label without smoothing therefore has no minimum: the margin
    grows for as long as training goes on. Give probabilities, smooth, or use `ipo` where labels are noisy.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat. Larger keeps the policy closer; 0.1 to 0.5 is customary.
        label_smoothing: share of labels that are believed to be wrong, in [0, 0.5).

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Rafailov et al. 2023, arXiv:2305.18290, eq. 7; smoothing: Mitchell 2023, "A note on DPO with noisy
        preferences" (cDPO). A probability per pair is the same formula with e = 1 - p.
    """
    h = beta * margin(scores, prefs)
    p = prefs.prob * (1 - label_smoothing) + (1 - prefs.prob) * label_smoothing
    return cross_entropy(h, p)


def _discopop_start(scores: SequenceScores, prefs: Preferences, **_settings: float) -> Margins:
    return torch.full_like(prefs.prob, (1 + math.log(2)) / 2)


@loss("discopop", kind="pairwise", needs=("reference",), start=_discopop_start, first_move=(-1, 1))
def discopop(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.05,
    tau: Annotated[float, Range(0.0, 1.0, open_low=True)] = 0.05,
) -> Margins:
    """A blend of logistic and exponential loss that a language model proposed and experiments picked.

        L = -(1 - m) log s(u) + m e^-u
        u = beta h,  m = s(u / tau)

    with h the margin in nats and s the logistic function.

    The loss is smallest, and 0, at an infinite margin. It is not convex: for tau below 0.102 it rises at u = 0, so that
    a pair first falls back into a shallow valley (with tau = 0.05 at u = -0.119, and the crest is at u = 0.072) and
    crosses only if others push. Use it with many pairs, whose margins spread by themselves; use `dpo` where the first
    steps must go the right way.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        beta: strength of the pull to the reference, per nat.
        tau: width of the blend, in (0, 1]. Above 1 the exponential would grow without bound.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Lu et al. 2024, arXiv:2406.08414, eq. 5 (log-ratio modulated loss). The authors' repository keeps an older form
        with m = s(h), which is not the published one. The second term is computed as exp(log m - u), which is finite.
    """
    u = beta * margin(scores, prefs)
    exponential = torch.exp(F.logsigmoid(u / tau) - u)
    return -torch.sigmoid(-u / tau) * F.logsigmoid(u) + exponential
