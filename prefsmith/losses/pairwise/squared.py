"""Regression of the margin on a finite target."""

import math
from typing import Literal

import torch
import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, log_ratios, margin
from prefsmith.losses.registry import NonNegative, Positive, loss
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


def _sppo_start(scores: SequenceScores, prefs: Preferences, *, beta: float, eta_form: str) -> Margins:
    return (2 if eta_form == "sum" else 1) * ((prefs.prob - 0.5) / beta) ** 2


@loss(
    "sppo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="it is the target: the optimum is D_w = (p - 1/2) / beta and D_l = (1/2 - p) / beta",
    start=_sppo_start,
    first_move=(1, -1),
)
def sppo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 1e-3,
    eta_form: Literal["sum", "half"] = "sum",
) -> Margins:
    """Regress each side's log-ratio on how much more often than not it wins.

        L = (D_w - (p - 1/2) / beta)^2 + (D_l - (1/2 - p) / beta)^2

    with D the log-ratio log policy - log reference of one side in nats, and p the probability that chosen wins.

    The minimum is at D_w = -D_l = (p - 1/2) / beta: not only the margin but each side has a target, so that a chosen
    side that falls together with rejected is no optimum. With beta = 0.001 that target is 500 nats, far beyond reach:
    the loss is then nearly linear, and early stopping takes the place of the minimum. Use it in rounds, where the
    reference is the model of the round before and p is judged on its answers.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat; the paper's 1 / eta.
        eta_form: `sum` adds the two squares, as TRL does; `half` takes their mean, as the authors' code does.

    Returns:
        One non-negative loss per comparison, in nats squared; about 500000 at the start with the default beta.

    Source:
        Wu et al. 2024, arXiv:2405.00675. The authors take a completion's chance against all other samples of the
        prompt; here it is that of the pair.
    """
    chosen, rejected = log_ratios(scores, prefs)
    target = (prefs.prob - 0.5) / beta
    squares = (chosen - target) ** 2 + (rejected + target) ** 2
    return squares if eta_form == "sum" else squares / 2


def _cal_dpo_start(scores: SequenceScores, prefs: Preferences, *, beta: float, c: float) -> Margins:
    return torch.full_like(prefs.prob, math.log(2) + 2 * c * (0.5 / beta) ** 2)


@loss("cal_dpo", kind="pairwise", needs=("reference",), start=_cal_dpo_start, first_move=(1, -1))
def cal_dpo(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 1e-3, c: NonNegative = 1.0) -> Margins:
    """Logistic regression on the margin, calibrated by a target for each side.

        L = -log s(h) + c ((D_w - 1/(2 beta))^2 + (D_l + 1/(2 beta))^2)

    with D the log-ratio of one side in nats, h = D_w - D_l the margin, and s the logistic function. The logistic term
    has no beta: beta sets the targets and nothing else.

    The minimum is where D_w = -D_l is a little above 1/(2 beta), by s(-h) / (2 c). Chosen is therefore raised and not
    only kept above rejected. Use it where `dpo` lets chosen fall; with a small beta the squares are all there is, and
    `sppo` is the same.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        beta: 1/(2 beta) is the target of each side in nats. The authors take 0.001 to 0.003 for 7B, 0.1 for 2.8B.
        c: weight of the squares. 1 in the authors' earlier code, 1/2 in their later release.

    Returns:
        One non-negative loss per comparison; about 500000 at the start with the default beta.

    Source:
        Xiao et al. 2024, arXiv:2412.14516, and the authors' code, which agrees on the logistic term without beta.
    """
    chosen, rejected = log_ratios(scores, prefs)
    target = 0.5 / beta
    return -F.logsigmoid(chosen - rejected) + c * ((chosen - target) ** 2 + (rejected + target) ** 2)
