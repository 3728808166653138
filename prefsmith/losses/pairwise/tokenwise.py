"""Losses that hold the policy near the reference at every token: they read the full-vocabulary KL divergence."""

import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, cross_entropy, log_two, margin
from prefsmith.losses.registry import NonNegative, Positive, loss
from prefsmith.types import Preferences, SequenceScores


def _divergences(scores: SequenceScores, prefs: Preferences) -> tuple[Margins, Margins]:
    """S_w and S_l: the sum over tokens of KL(reference || policy), of chosen and of rejected, in nats."""
    divergence = scores.kl
    assert divergence is not None, "a loss that declares kl is given it"
    return divergence[prefs.chosen], divergence[prefs.rejected]


@loss(
    "tdpo1",
    kind="pairwise",
    needs=("reference", "kl"),
    soft_labels="the optimum is beta (h + S_w - S_l) = logit(p)",
    start=log_two,
    first_move=(1, -1),
)
def tdpo1(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.1) -> Margins:
    """Logistic regression on the margin, less by how much further the policy moved along rejected.

        L = -p log s(u) - (1 - p) log s(-u)
        u = beta (h - (S_l - S_w))
        S(y) = sum over t of KL(reference(. | x, y_<t) || policy(. | x, y_<t))

    with h the margin in nats, s the logistic function, and p the probability that chosen is better. S has its gradient.

    The minimum is at u = logit(p); a hard label has none. Use `tdpo2`, which the authors recommend; this form rewards
    the policy for moving away from the reference along chosen.

    Args:
        scores: log-probabilities of every completion under policy and reference, and S, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Zeng et al. 2024, arXiv:2404.11999 (TDPO1), and the authors' code, which stops no gradient here.
    """
    chosen, rejected = _divergences(scores, prefs)
    return cross_entropy(beta * (margin(scores, prefs) - (rejected - chosen)), prefs.prob)


@loss("tdpo2", kind="pairwise", needs=("reference", "kl"), start=log_two, first_move=(1, -1))
def tdpo2(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.1, alpha: NonNegative = 0.5) -> Margins:
    """Logistic regression on the margin, with the divergence along rejected held down to that along chosen.

        L = -log s(beta (h - alpha (S_l - sg[S_w])))
        S(y) = sum over t of KL(reference(. | x, y_<t) || policy(. | x, y_<t))

    with h the margin in nats, s the logistic function, and sg[.] a number without gradient: S_w is what S_l is measured
    against, and is not itself pushed up.

    There is no minimum: the margin grows without end, while the policy is kept from moving far along rejected. Use it
    where answers should stay diverse. It takes one further pass over the vocabulary of the reference at every token.

    Args:
        scores: log-probabilities of every completion under policy and reference, and S, in nats.
        prefs: the comparisons, with hard labels.
        beta: strength of the pull to the reference, per nat.
        alpha: how much the difference of the divergences counts. At 0 the loss is `dpo`.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Zeng et al. 2024, arXiv:2404.11999 (TDPO2), and the authors' code. Their settings file asks for TDPO1, their
        function's default is TDPO2.
    """
    chosen, rejected = _divergences(scores, prefs)
    return -F.logsigmoid(beta * (margin(scores, prefs) - alpha * (rejected - chosen.detach())))
