"""Losses that know by how much chosen is better: a judge's scores of both sides."""

from typing import Literal

import torch
import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, cross_entropy, margin
from prefsmith.losses.registry import NonNegative, Positive, loss
from prefsmith.types import Preferences, SequenceScores

FROM_SCORES = "it is taken from the scores, p = s(eta (score of chosen - score of rejected)), and not from the row"


def _divergence(left: Margins, right: Margins) -> Margins:
    """KL between two coins whose log-odds are given: KL(s(left) || s(right))."""
    p = torch.sigmoid(left)
    return cross_entropy(right, p) - cross_entropy(left, p)


def _rpo_start(scores: SequenceScores, prefs: Preferences, *, beta: float, eta: float, distance: str) -> Margins:
    target = eta * prefs.score_gap
    if distance == "squared":
        return target**2
    even = torch.zeros_like(target)
    return _divergence(target, even) if distance == "kl_target_model" else _divergence(even, target)


@loss(
    "rpo",
    kind="pairwise",
    needs=("reference", "scores"),
    soft_labels=FROM_SCORES,
    neutral_tie=False,
    start=_rpo_start,
    first_move=None,
)
def rpo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.1,
    eta: Positive = 1.0,
    distance: Literal["kl_target_model", "kl_model_target", "squared"] = "kl_target_model",
) -> Margins:
    """Bring the margin of rewards to the difference of a judge's scores.

        kl_target_model  L = KL(q || s(beta h))
        kl_model_target  L = KL(s(beta h) || q)
        squared          L = (beta h - eta dr)^2
        q = s(eta dr)

    with h the margin in nats, dr = score of chosen - score of rejected, s the logistic function, and KL that between
    two coins.

    The minimum, and 0, is at beta h = eta dr, for each distance. A narrow win is learnt as a narrow win, and a pair
    whose chosen side has the lower score is turned. Use it where scores are on a scale that means something; where only
    their order does, use `dpo`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with both sides' scores.
        beta: strength of the pull to the reference, per nat.
        eta: log-odds per point of the judge's scale.
        distance: how far apart the two are, named by the arguments of the divergence in their order.

    Returns:
        One non-negative loss per comparison.

    Source:
        Nemotron-4, arXiv:2406.11704; Sun et al. 2025, arXiv:2502.00203 (reward-aware preference optimisation).
        NeMo-Aligner calls the first form `rpo_bwd_kl` and the second `rpo_fwd_kl`. The first is `dpo` with p = q, less
        the entropy of q: the gradient is the same.
    """
    model, target = beta * margin(scores, prefs), eta * prefs.score_gap
    if distance == "squared":
        return (model - target) ** 2
    return _divergence(target, model) if distance == "kl_target_model" else _divergence(model, target)


def _rebel_start(scores: SequenceScores, prefs: Preferences, *, eta: float, form: str) -> Margins:
    return (eta * prefs.score_gap if form == "code" else prefs.score_gap) ** 2


@loss(
    "rebel",
    kind="pairwise",
    needs=("reference", "scores"),
    soft_labels=FROM_SCORES,
    neutral_tie=False,
    start=_rebel_start,
    first_move=None,
)
def rebel(
    scores: SequenceScores, prefs: Preferences, *, eta: Positive = 1.0, form: Literal["code", "paper"] = "code"
) -> Margins:
    """Regress the margin on the difference of two rewards.

        code   L = (h - eta dr)^2
        paper  L = (h / eta - dr)^2

    with h the margin in nats and dr = reward of chosen - reward of rejected.

    The minimum, and 0, is at h = eta dr: the policy that is proportional to reference e^(eta r). Use it in rounds, with
    both completions sampled from the reference and scored by a reward model; the gradient grows with the distance, so
    scores should be scaled to a few nats.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with both sides' scores.
        eta: nats of margin per point of reward: the inverse of beta in other losses.
        form: `code` is what the authors' code computes; `paper` is that divided by eta squared.

    Returns:
        One non-negative loss per comparison, in nats squared (`code`) or squared points of reward (`paper`).

    Source:
        Gao et al. 2024, arXiv:2404.16767, and the authors' code.
    """
    h = margin(scores, prefs)
    return (h - eta * prefs.score_gap) ** 2 if form == "code" else (h / eta - prefs.score_gap) ** 2


def _odpo_start(scores: SequenceScores, prefs: Preferences, *, beta: float, alpha: float) -> Margins:
    return -F.logsigmoid(-alpha * prefs.score_gap.log())


@loss("odpo", kind="pairwise", needs=("reference", "score_order"), start=_odpo_start, first_move=(1, -1))
def odpo(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.1, alpha: NonNegative = 1.0) -> Margins:
    """Logistic regression on a margin that must exceed an offset, the larger the clearer the win.

        L = -log s(beta h - alpha log(score of chosen - score of rejected))

    with h the margin in nats and s the logistic function.

    There is no minimum: the margin grows without end, and that of clear wins faster. The offset is negative where the
    scores differ by less than one point. Use it where scores tell clear wins from narrow ones; use `rpo` where the
    margin should stop at the difference of the scores.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with scores of which chosen's is the higher.
        beta: strength of the pull to the reference, per nat.
        alpha: how much the scores count. At 0 the loss is `dpo`.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Amini et al. 2024, arXiv:2402.10571. The authors' code also has the logarithm of the ratio of the scores, as a
        switch; their default is that of the difference. Equal scores would make the offset minus infinity, and are
        refused.
    """
    return -F.logsigmoid(beta * margin(scores, prefs) - alpha * prefs.score_gap.log())
