"""Models of how a judge comes to prefer a completion: unsure, mistaken, or undecided between equals."""

import math
from typing import Annotated

import torch
import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, log_two, margin
from prefsmith.losses.registry import Positive, Range, loss
from prefsmith.types import Preferences, SequenceScores


@loss(
    "geometric_dpo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="the pull is scaled by 2 p - 1: none for a tie, and no finite optimum for any other p",
    start=log_two,
    first_move=(1, -1),
)
def geometric_dpo(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.1) -> Margins:
    """Logistic regression on a margin that shrinks as the label becomes unsure.

        L = -log s(beta (2 p - 1) h)

    with h the margin in nats, s the logistic function, and p the probability that chosen is better.

    There is no minimum for any p but 1/2: a small lead is learnt slowly, yet without end, and the loss is smallest at
    an infinite margin. At p = 1/2 the value is log 2 and nothing is learnt. Use it where doubtful pairs should count
    less; use `dpo` where the margin itself should come to mean the probability.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Furuta et al. 2024, arXiv:2409.06691: each side's likelihood becomes policy(y_1)^p policy(y_2)^(1-p), mirrored
        for the other side and for the reference. Taken from that construction; the authors' equation was not compared.
        The paper calls it GDPO, a name that other methods have too.
    """
    return -F.logsigmoid(beta * (2 * prefs.prob - 1) * margin(scores, prefs))


@loss("robust_dpo", kind="pairwise", needs=("reference",), start=log_two, first_move=(1, -1))
def robust_dpo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.1,
    noise: Annotated[float, Range(0.0, 0.5, open_high=True)] = 0.1,
) -> Margins:
    """Logistic regression on labels of which a known share is wrong, corrected so that its mean is the clean loss.

        L = (-(1 - e) log s(beta h) + e log s(-beta h)) / (1 - 2 e)

    with h the margin in nats, s the logistic function, and e the share of labels that were turned round.

    If the observed share of wins is q, the minimum is at beta h = logit((q - e) / (1 - 2 e)): the log-odds before the
    noise, where smoothing in `dpo` would shrink them a second time. For q outside (e, 1 - e) there is none, and a
    single pair's value falls without bound as its margin grows: use it with many noisy labels and watch the margins,
    not with few.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        beta: strength of the pull to the reference, per nat.
        noise: e, the share of labels that are wrong, in [0, 0.5). At 0 the loss is `dpo`.

    Returns:
        One loss per comparison, in nats; negative for a large margin.

    Source:
        Ray Chowdhury et al. 2024, arXiv:2403.00409. TRL divides by 1 - 2 e also for e >= 0.5, with a warning; here
        that is refused.
    """
    h = beta * margin(scores, prefs)
    return (-(1 - noise) * F.logsigmoid(h) + noise * F.logsigmoid(-h)) / (1 - 2 * noise)


def _todo_start(scores: SequenceScores, prefs: Preferences, *, alpha: float, **_settings: float) -> Margins:
    win, tie = alpha + math.log1p(math.exp(-alpha)), -math.log(math.tanh(alpha / 2))
    sure = (2 * prefs.prob - 1).abs()
    return sure * win + (1 - sure) * tie


@loss(
    "todo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="P(win) = max(2 p - 1, 0), P(loss) = max(1 - 2 p, 0), and the rest is the probability of a tie",
    start=_todo_start,
    first_move=(1, -1),
)
def todo(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.01, alpha: Positive = 0.5) -> Margins:
    """Learn from wins and from ties: a tie says that the two completions are close.

        win   L = -log s(u - alpha)
        tie   L = -log(e^(2 alpha) - 1) - log s(u - alpha) - log s(-u - alpha)
        u = beta h

    with h the margin in nats and s the logistic function. Win, tie and loss are the three outcomes of Rao and Kupper's
    model, whose probabilities sum to 1. The probability p of a pair is read as a mixture of a tie and a sure label:
    p = 1 is a win, p = 1/2 a tie, and between them P(tie) = 2 - 2 p.

    A tie is smallest at u = 0, a win has no minimum. With 1/2 <= p < 1, c = 2 - 2 p and k = e^-alpha the minimum is at
    u = log((1 - c + sqrt((1 - c)^2 + 4 c k^2)) / (2 c k)). Use it where judges may say "equal"; where p is the share of
    judges who chose one side, use `dpo`.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons; probability 1/2 is a tie.
        beta: strength of the pull to the reference, per nat.
        alpha: half the width of the band of margins in which a tie is likely, in units of u. Larger expects more ties.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Guo et al. 2024, arXiv:2411.02442; ties: Rao and Kupper 1967. The authors' code writes theta = -alpha. They
        have no probabilities between win and tie: the linear mixture is ours.
    """
    u = beta * margin(scores, prefs)
    win, lost = -F.logsigmoid(u - alpha), -F.logsigmoid(-u - alpha)
    # log(e^(2 alpha) - 1), which does not overflow in this form.
    tie = win + lost - (2 * alpha + math.log(-math.expm1(-2 * alpha)))
    sure = (2 * prefs.prob - 1).abs()
    return sure * torch.where(prefs.prob > 0.5, win, lost) + (1 - sure) * tie
