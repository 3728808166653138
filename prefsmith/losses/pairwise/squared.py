"""Regression of the margin on a finite target."""

from typing import Literal

import torch

from prefsmith.losses.pairwise.margin import Margins, margin
from prefsmith.losses.registry import Positive, loss
from prefsmith.types import Preferences, SequenceScores


def _start(scores: SequenceScores, prefs: Preferences, *, tau: float, **_settings: object) -> Margins:
    return torch.full_like(prefs.prob, (0.5 / tau) ** 2)


@loss(
    "ipo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the optimum is h = (p - 1/2) / tau",
    start=_start,
    first_move=(1, -1),
)
def ipo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    tau: Positive = 0.1,
    length_norm: Literal["none", "token"] = "none",
) -> Margins:
    """Regress the margin on a fixed target, so that it cannot run away.

        L = p (h - 1/(2 tau))^2 + (1 - p) (h + 1/(2 tau))^2

    with h the margin in nats, or with length_norm=token the difference of the log-ratios per token.

    The minimum is at h = (p - 1/2) / tau: finite also for a hard label, which is why IPO does not over-fit as
    `dpo` does.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        tau: strength of the pull to the reference. Larger keeps the policy closer.
        length_norm: `none` takes the sums that the paper writes; `token` divides each log-ratio by its number of
            scored tokens, as the authors later advised and as TRL does.

    Returns:
        One non-negative loss per comparison, in nats squared.

    Source:
        Azar et al. 2023, arXiv:2310.12036, eq. 17 (sums). A probability per pair replaces the hard label of eq. 17 by
        its expectation.
    """
    if length_norm == "token":
        per_token = scores.log_ratio() / scores.tokens
        h = per_token[prefs.chosen] - per_token[prefs.rejected]
    else:
        h = margin(scores, prefs)
    target = 0.5 / tau
    return prefs.prob * (h - target) ** 2 + (1 - prefs.prob) * (h + target) ** 2
