"""Losses in which a pair's pull depends on the other pairs of the step."""

import math
from collections.abc import Mapping
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float64
from torch import Tensor

from prefsmith.losses.pairwise.margin import Margins, cross_entropy, log_two, margin
from prefsmith.losses.registry import Memory, Noise, NonNegative, Positive, Range, loss
from prefsmith.losses.transport import couple, mean_by_mass
from prefsmith.types import Preferences, SequenceScores

KEPT_OF_THE_OLD = 0.9
"""Share of the former average that a step of beta_dpo keeps, as in the authors' code."""
LEAST_BETA = 1e-3
"""The authors' floor of beta_dpo's beta, per nat."""


@loss(
    "dr_dpo",
    kind="pairwise",
    needs=("reference",),
    soft_labels="as in dpo, inside each pair's loss: the optimum is beta h = logit(p)",
    across_step=True,
    start=log_two,
    first_move=(1, -1),
)
def dr_dpo(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.1, beta_prime: Positive = 1.0) -> Margins:
    """Distributionally robust DPO: pairs that the policy finds hard to believe count less.

        L = -beta' log(mean over the step of exp(-l_i / beta'))
        l_i = -p_i log s(beta h_i) - (1 - p_i) log s(-beta h_i)

    with h the margin in nats, s the logistic function, p the probability that chosen is better, and the mean weighted
    by the data. The gradient is that of `dpo` with each pair weighted by exp(-l_i / beta'), normalised over the step.

    Every l_i is smallest at beta h = logit(p), and so is L; for hard labels there is no minimum. Use it where some
    labels are believed to be turned round but not which: pairs that stay hard are slowly left out. As beta' grows it
    becomes `dpo`; a small beta' learns only what the policy already holds, and hard but true pairs are left out too.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: strength of the pull to the reference, per nat.
        beta_prime: beta', in nats of loss: how much worse than the others a pair may be before it counts less.

    Returns:
        The same non-negative loss, in nats, for every comparison of the step.

    Source:
        Wu et al. 2024, arXiv:2407.07880, and the authors' code, which averages over a device's batch; we take the
        whole step, so that the result does not depend on how it is divided.
    """
    each = cross_entropy(beta * margin(scores, prefs), prefs.prob)
    return _soft_least(each, prefs, beta_prime).expand(len(each))


def _soft_least(each: Margins, prefs: Preferences, beta_prime: float) -> Float64[Tensor, ""]:
    """-beta' log(mean of exp(-each / beta'))."""
    counted = prefs.weight > 0
    each, share = each[counted], prefs.weight[counted].log() - prefs.weight.sum().log()
    middle = (share.exp() * each).sum().detach()
    nearer = (middle - each) / beta_prime
    if nearer.abs().max() < 0.1:  # the logarithm of a number near 1, whose digits a large beta' would lose
        return middle - beta_prime * torch.log1p((share.exp() * torch.expm1(nearer)).sum())
    return -beta_prime * torch.logsumexp(share - each / beta_prime, 0)


@loss("aot", kind="pairwise", needs=("reference",), across_step=True, start=log_two, first_move=(1, -1))
def aot(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.01,
    label_smoothing: Annotated[float, Range(0.0, 0.5, open_high=True)] = 0.0,
) -> Margins:
    """Alignment via optimal transport: the distribution of the policy's margins shall lie above the reference's.

        L = -(1 - e) log s(beta d) - e log s(-beta d),  the mean over what a pair is coupled with
        d = u - v,  u = log policy(y_w) - log policy(y_l),  v = the same of the reference

    with s the logistic function and e the label smoothing. The u of the whole step are sorted, and so are the v; the
    smallest is coupled with the smallest, and so on. A pair's u thus need not meet its own v: the policy may change
    places between pairs as long as the margins as a whole rise. Where data weights differ a pair is coupled in parts.

    Without smoothing there is no minimum; with it each coupling is best at beta d = logit(1 - e). One pair alone
    gives `dpo`. Use it with large steps: the sorting is that of the step. A probability per pair means nothing here,
    for it could not follow its pair through the sorting.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        beta: strength of the pull to the reference, per nat.
        label_smoothing: e, the share of labels that are believed to be wrong, in [0, 0.5).

    Returns:
        One non-negative loss per comparison, in nats; 0 for one of data weight 0.

    Source:
        Melnyk et al. 2024, arXiv:2406.05882. TRL sorts each device batch, so that its result depends on the batch
        size; we sort the whole step.
    """
    u = scores.policy[prefs.chosen] - scores.policy[prefs.rejected]
    v = (u - margin(scores, prefs)).detach()
    left, right, mass = couple(u, prefs.weight, v, prefs.weight)
    d = beta * (u[left] - v[right])
    cost = cross_entropy(d, torch.full_like(d, 1 - label_smoothing))
    return mean_by_mass(cost, mass, left, len(prefs))


def _beta_first(**_settings: float) -> Mapping[str, float]:
    return {"mean": 0.0, "deviation": 0.0}


def _beta_next(
    state: Mapping[str, float], scores: SequenceScores, prefs: Preferences, **_settings: float
) -> Mapping[str, float]:
    total = prefs.weight.sum()
    if total == 0:
        return dict(state)
    h = margin(scores, prefs)
    mean = (prefs.weight * h).sum() / total
    deviation = ((prefs.weight * (h - mean).square()).sum() / total).sqrt()
    seen = {"mean": mean.item(), "deviation": deviation.item()}
    return {name: KEPT_OF_THE_OLD * state[name] + (1 - KEPT_OF_THE_OLD) * seen[name] for name in seen}


@loss(
    "beta_dpo",
    kind="pairwise",
    needs=("reference",),
    across_step=True,
    memory=Memory(start=_beta_first, advance=_beta_next),
    random=True,
    start=log_two,
    first_move=(1, -1),
)
def beta_dpo(
    scores: SequenceScores,
    prefs: Preferences,
    state: Mapping[str, float],
    noise: Noise | None,
    *,
    beta: Positive = 0.1,
    alpha: NonNegative = 0.6,
    rho: Annotated[float, Range(0.0, 1.0, open_high=True)] = 0.2,
) -> Margins:
    """DPO whose beta follows the step: large where margins are wide, small where they are close, outliers left out.

        L = -log s(b h),  the mean over the pairs that are kept
        b = max(0.001, beta (1 + alpha (M - M0))),  M = mean of h over the pairs that are kept

    with h the margin in nats and s the logistic function; b is a number to the gradient. Of n pairs of a step n - rho n
    are kept, drawn without replacement with weights exp(-(h - M0)^2 / (2 S0^2)): those with a common margin are likely
    to stay. M0 and S0 are averages of the mean and the standard deviation of h over the steps before, each step
    entering with 0.1 and the past with 0.9, both from 0. While S0 is 0 no pair is left out, and none in evaluation.

    There is no minimum: the margin grows for as long as training goes on. Use it where the gap between chosen and
    rejected differs much from pair to pair, and watch the margins: for M far above M0 the pull becomes strong. A
    probability per pair means nothing here, because a likely margin, not a likely label, decides what is kept.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        state: `mean` and `deviation`, which are M0 and S0 in nats, as the step before left them. Evaluation changes
            nothing in them.
        noise: one number in (0, 1) per comparison; None keeps all.
        beta: strength of the pull to the reference at M = M0, per nat.
        alpha: how much beta follows the margin, per nat.
        rho: share of the step's pairs that are left out, in [0, 1); rho n is rounded down.

    Returns:
        One non-negative loss per comparison, in nats: 0 for one left out, and the others scaled up by the data weight
        of all over that of the kept, so that the mean over the step is the mean over what was kept.

    Source:
        Wu et al. 2024, arXiv:2407.08639, and the authors' code, from which M, its scale and the averages are taken.
        There the step's own mean and deviation enter M0 and S0 before they are used; here they are those of the step
        before. Their deviation divides by n - 1, ours by n, so that only ratios of data weights matter; and where all
        margins are equal their weights are 0 / 0.
    """
    h = margin(scores, prefs)
    kept = _kept(h.detach(), prefs, state, noise, rho)
    held = (kept * prefs.weight).sum()
    mean = (kept * prefs.weight * h.detach()).sum() / held
    b = (beta * (1 + alpha * (mean - state["mean"]))).clamp(min=LEAST_BETA)
    return kept * prefs.weight.sum() / held * -F.logsigmoid(b * h)


def _kept(h: Margins, prefs: Preferences, state: Mapping[str, float], noise: Noise | None, rho: float) -> Margins:
    """1 for a pair that is kept, 0 for one left out. The largest of log weight + Gumbel noise are a draw by weight."""
    counted = prefs.weight > 0
    many = int(counted.sum())
    dropped = min(math.floor(round(rho * many, 9)), many - 1)  # 0.29 of 100 is 29, whatever binary fractions say
    if noise is None or state["deviation"] == 0 or dropped < 1:
        return torch.ones_like(h)
    key = -((h - state["mean"]) / state["deviation"]).square() / 2 - (-noise.log()).log()
    key = torch.where(counted, key, torch.full_like(key, math.inf))  # a pair of weight 0 takes nobody's place
    return torch.ones_like(h).index_fill(0, key.topk(dropped, largest=False).indices, 0.0)
