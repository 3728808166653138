"""Logistic losses of a length-normalised reward that has to beat a target margin."""

from collections.abc import Mapping
from typing import Annotated

import torch
import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, averages, expected, log_ratios
from prefsmith.losses.registry import Domain, Memory, NonNegative, Positive, Range, loss
from prefsmith.types import Preferences, SequenceScores

AVERAGE = 0.9
"""Share of the old value in alpha-DPO's running mean and deviation."""

SOFT = "the optimum is x = logit(p)/2 + asinh(exp(gamma) sinh(logit(p)/2)), which is logit(p) for gamma 0"


def _beat(x: Margins, gamma: float, prob: Margins) -> Margins:
    """-log s(x - gamma) as labelled; turned round, the other side has to win by gamma."""
    return expected(prob, -F.logsigmoid(x - gamma), -F.logsigmoid(-x - gamma))


@loss("simpo", kind="pairwise", soft_labels=SOFT, neutral_tie=False, first_move=(1, -1))
def simpo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 2.0,
    gamma: NonNegative = 0.5,
) -> Margins:
    """Simple preference optimisation: the mean log-probability per token is the reward, and it has to win by a margin.

        L = -p log s(x - gamma) - (1 - p) log s(-x - gamma)
        x = beta (avg_w - avg_l)

    with avg the policy's mean log-probability per scored token, s the logistic function and p the probability that
    chosen is better. The second part is the loss of the pair turned round, which has its gamma turned too.

    The loss is smallest where p (1 + exp(-x - gamma)) = (1 - p) (1 + exp(x - gamma)), which is at
    x = logit(p)/2 + asinh(exp(gamma) sinh(logit(p)/2)): logit(p) for gamma 0, further out for a larger one, and 0 for
    p = 1/2. A hard label has no minimum. Nothing holds the policy near where it started; use it with a small learning
    rate, and use `dpo` where the policy must not drift.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: scale of the reward, per nat per token; 2 to 10 is customary.
        gamma: margin to win by, in units of the reward. It is absolute: where others give a ratio to beta, such as
            0.25, this is beta times it.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Meng et al. 2024, arXiv:2405.14734. The authors' code, open-instruct, HALOs and oat take the ratio gamma / beta;
        TRL, LLaMA-Factory, ms-swift and axolotl the absolute gamma, as we do. TRL and ms-swift add a log-likelihood
        of chosen unless its weight is set to 0; here that is the term `nll`. The probability is ours.
    """
    chosen, rejected = averages(scores, prefs)
    return _beat(beta * (chosen - rejected), gamma, prefs.prob)


# Inside, exp(-alpha avg) <= exp(300) for every alpha that is allowed: it and its square are finite.
CURVED = Domain(low=-60.0, high=60.0, per_token=True)


@loss("alphapo", kind="pairwise", soft_labels=SOFT, neutral_tie=False, first_move=(1, -1), domain=CURVED)
def alphapo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 2.5,
    alpha: Annotated[float, Range(-5.0, 5.0)] = 0.25,
    gamma: NonNegative = 0.1,
) -> Margins:
    """SimPO with a curved reward: a positive alpha punishes unlikely completions more than the logarithm does.

        L = -p log s(x - gamma) - (1 - p) log s(-x - gamma)
        x = beta (r_w - r_l),  r = (1 - exp(-alpha avg)) / alpha

    with avg the policy's mean log-probability per scored token, s the logistic function and p the probability that
    chosen is better. As alpha goes to 0, r goes to avg and the loss to that of `simpo`; alpha = 0 is that limit.

    The loss is smallest at x = logit(p)/2 + asinh(exp(gamma) sinh(logit(p)/2)), as for `simpo`; a hard label has no
    minimum. A positive alpha pushes unlikely completions hardest, up as chosen and down as rejected; use a small one.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: scale of the reward, per nat per token.
        alpha: curvature of the reward, per nat per token.
        gamma: margin to win by, in units of beta r: absolute, not a ratio to beta.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Gupta et al. 2025, arXiv:2501.03884. TRL's recipe for it has the absolute gamma 0.1, which is our default;
        whether the paper's 0.1 is the ratio gamma / beta, we could not settle. The probability is ours. Beyond 60
        nats per token the loss goes on straight, so that the exponential cannot overflow.
    """
    chosen, rejected = averages(scores, prefs)
    if alpha != 0:
        chosen, rejected = -torch.expm1(-alpha * chosen) / alpha, -torch.expm1(-alpha * rejected) / alpha
    return _beat(beta * (chosen - rejected), gamma, prefs.prob)


def _alpha_dpo_start(
    scores: SequenceScores, prefs: Preferences, *, beta: float, gamma: float, **_settings: float
) -> Margins:
    """The margin of the reference, against the target gamma."""
    chosen, rejected = averages(scores, prefs)
    return -F.logsigmoid(beta * (chosen - rejected - gamma))


def _moved(scores: SequenceScores, prefs: Preferences) -> Margins:
    """m: the log-ratio per token of chosen - that of rejected; a number to the gradient."""
    chosen, rejected = (side.detach() for side in log_ratios(scores, prefs))
    return chosen / scores.tokens[prefs.chosen] - rejected / scores.tokens[prefs.rejected]


def _alpha_dpo_first(**_settings: float) -> Mapping[str, float]:
    return {"mean": 0.0, "std": 0.0}


def _alpha_dpo_next(
    state: Mapping[str, float], scores: SequenceScores, prefs: Preferences, **_settings: float
) -> Mapping[str, float]:
    counted = prefs.weight > 0
    if not counted.any():
        return dict(state)
    moved, weight = _moved(scores, prefs)[counted], prefs.weight[counted]
    mean = (weight * moved).sum() / weight.sum()
    std = state["std"]
    # A comparison counts as at least one, one of weight two as two: with weights of one this is torch.std.
    many = weight.clamp(min=1).sum().item()
    if many > 1:  # one alone says nothing of the spread
        variance = (weight * (moved - mean) ** 2).sum().item() / weight.sum().item()
        std = AVERAGE * std + (1 - AVERAGE) * (variance * many / (many - 1)) ** 0.5
    return {"mean": AVERAGE * state["mean"] + (1 - AVERAGE) * mean.item(), "std": std}


@loss(
    "alpha_dpo",
    kind="pairwise",
    needs=("reference",),
    memory=Memory(start=_alpha_dpo_first, advance=_alpha_dpo_next),
    start=_alpha_dpo_start,
    first_move=(1, -1),
    averaged=True,
)
def alpha_dpo(
    scores: SequenceScores,
    prefs: Preferences,
    state: Mapping[str, float],
    *,
    beta: Positive = 2.5,
    gamma: NonNegative = 0.6,
    alpha: NonNegative = 0.2,
) -> Margins:
    """SimPO with a target of its own for each pair: larger where the policy has already moved further than usual.

        L = -log s(beta (avg_w - avg_l - target))
        target = gamma + alpha (m - M) / S,  without gradient
        m = D_w / tokens_w - D_l / tokens_l

    with avg the policy's mean log-probability per scored token, D the log-ratio log policy - log reference, and s the
    logistic function. M and S are running mean and standard deviation of m over the steps before: 0.9 of the old value
    and 0.1 of the step's. Both start at 0; while S = 0 the target is gamma.

    There is no minimum: the loss falls for as long as the margin outgrows its target. Use it in place of `simpo` where
    pairs differ much in how far they are learnt. In the first steps M and S are still small, so the target swings
    widely; warm up.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, all with hard labels.
        state: `mean` and `std`, as the step before left them. Evaluation changes nothing in them.
        beta: scale of the margin, per nat per token.
        gamma: mean target, in nats per token: a ratio to beta in the words of `simpo`, whose gamma is beta times it.
        alpha: how much the target follows the pair, in nats per token; 0 is `simpo` with gamma beta.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Wu et al. 2024, arXiv:2410.10148, and the authors' code, whose deviation (that of a sample, n - 1) and whose
        settings for Llama 3 we take. There a batch enters the running numbers before it is used, which divides 0 by 0
        where policy equals reference, and gives NaN for a batch of one. Here they are those of the step before, they
        are weighted by the data, and a step of one comparison leaves S as it is.
    """
    chosen, rejected = averages(scores, prefs)
    target = torch.full_like(prefs.prob, gamma)
    if state["std"] > 0:
        target = target + alpha * (_moved(scores, prefs) - state["mean"]) / state["std"]
    return -F.logsigmoid(beta * (chosen - rejected - target))
