"""Losses of a comparison that raise the likelihood of chosen beside, or in place of, winning a margin."""

from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from prefsmith.losses.pairwise.margin import Margins, averages, cross_entropy, expected
from prefsmith.losses.registry import Domain, NonNegative, Positive, loss
from prefsmith.types import Preferences, SequenceScores

LengthNorm = Literal["none", "token"]


def pair_likelihood(scores: SequenceScores, prefs: Preferences, length_norm: LengthNorm) -> Margins:
    """The negative log-likelihood of the better side, by who that is: p NLL_w + (1 - p) NLL_l.

    Args:
        scores: log-probabilities under the policy, in nats.
        prefs: the comparisons.
        length_norm: `token` for the mean over a completion's tokens, `none` for their sum.
    """
    nll = -scores.policy / scores.tokens if length_norm == "token" else -scores.policy
    return expected(prefs.prob, nll[prefs.chosen], nll[prefs.rejected])


@loss(
    "cpo",
    kind="pairwise",
    soft_labels="the logistic part is smallest at beta (log policy(y_w) - log policy(y_l)) = logit(p), the likelihood "
    "part is p NLL_w + (1 - p) NLL_l",
    neutral_tie=False,
    first_move=(1, -1),
)
def cpo(
    scores: SequenceScores,
    prefs: Preferences,
    *,
    beta: Positive = 0.1,
    alpha: NonNegative = 1.0,
    length_norm: LengthNorm = "token",
) -> Margins:
    """Contrastive preference optimisation: DPO with a flat reference, held in place by the likelihood of chosen.

        L = -p log s(x) - (1 - p) log s(-x) + alpha (p NLL_w + (1 - p) NLL_l)
        x = beta (log policy(y_w) - log policy(y_l))

    with s the logistic function, p the probability that chosen is better, and NLL the negative log-likelihood of a
    completion, per token or in sum.

    The logistic part is smallest at x = logit(p), or without end for a hard label; the likelihood part is smallest
    where the policy gives only what was chosen. Use it where no reference fits into memory. x is a sum over tokens:
    among completions of very different length it looks at length first; `simpo` does not.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        prefs: the comparisons, with P(chosen is better).
        beta: scale of the margin, per nat.
        alpha: weight of the likelihood part.
        length_norm: `token` takes the mean over a completion's tokens in the likelihood part, `none` the sum.

    Returns:
        One loss per comparison, in nats.

    Source:
        Xu et al. 2024, arXiv:2401.08417. In the likelihood part TRL takes the mean over the tokens of the batch, our
        default is that over a completion's. The probability is ours.
    """
    chosen, rejected = scores.policy[prefs.chosen], scores.policy[prefs.rejected]
    preference = cross_entropy(beta * (chosen - rejected), prefs.prob)
    return preference + alpha * pair_likelihood(scores, prefs, length_norm)


# float32 tells a probability from 1 down to about 1e-7: a mean above that is rounding, not likelihood.
BELOW_CERTAIN = Domain(low=-1e5, high=-1e-7, per_token=True)


@loss(
    "orpo",
    kind="pairwise",
    soft_labels="the odds part is smallest where the log-odds of the sides differ by logit(p), the likelihood part is "
    "p NLL_w + (1 - p) NLL_l",
    neutral_tie=False,
    first_move=(1, -1),
    domain=BELOW_CERTAIN,
)
def orpo(scores: SequenceScores, prefs: Preferences, *, lam: NonNegative = 0.1) -> Margins:
    """Odds-ratio preference optimisation: fine-tuning on chosen with a mild push away from rejected.

        L = p NLL_w + (1 - p) NLL_l + lam (-p log s(x) - (1 - p) log s(-x))
        x = log odds_w - log odds_l,  odds = exp(avg) / (1 - exp(avg)),  NLL = -avg

    with avg the policy's mean log-probability per scored token, s the logistic function and p the probability that
    chosen is better.

    The odds part is smallest at x = logit(p), or without end for a hard label; the likelihood part is smallest where
    the policy gives only what was chosen. Use it in place of supervised fine-tuning, from a model that has not had any;
    for a model that has, there are `simpo` and `dpo`.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        prefs: the comparisons, with P(chosen is better).
        lam: weight of the odds part.

    Returns:
        One loss per comparison, in nats per token.

    Source:
        Hong et al. 2024, arXiv:2403.07691. The likelihood is that of the completion, as in LLaMA-Factory; TRL takes
        prompt and completion. log(1 - exp(avg)) is computed as log(-expm1(avg)), exact for avg near 0, where
        1 - exp(avg) rounds to 0. Above -1e-7 nats per token the loss goes on straight. The probability is ours.
    """
    chosen, rejected = averages(scores, prefs)
    odds = cross_entropy(_log_odds(chosen) - _log_odds(rejected), prefs.prob)
    return pair_likelihood(scores, prefs, "token") + lam * odds


def _log_odds(average: Float64[Tensor, " pair"]) -> Float64[Tensor, " pair"]:
    return average - torch.log(-torch.expm1(average))


@loss("slic", kind="pairwise", first_move=None)
def slic(scores: SequenceScores, prefs: Preferences, *, delta: NonNegative = 1.0, lam: NonNegative = 0.1) -> Margins:
    """Sequence likelihood calibration: a hinge on the sequence log-probabilities, beside the likelihood of chosen.

        L = max(0, delta - log policy(y_w) + log policy(y_l)) - lam log policy(y_w)

    with log policy summed over a completion's tokens.

    The hinge is at its minimum, 0, once chosen leads by delta nats; from there on only the likelihood of chosen
    counts. At the start rejected is lowered only in the pairs where chosen does not lead by so much. Use it where
    chosen are good answers in themselves; a pair with a long chosen and a short rejected side starts far from its
    margin, and there `simpo` is the better choice.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        prefs: the comparisons, all with hard labels.
        delta: margin at which a pair is left alone, in nats.
        lam: weight of the likelihood of chosen.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Zhao et al. 2023, arXiv:2305.10425; form and settings from a re-implementation (HALOs), with chosen as the
        target of the likelihood part. The paper may also take the target of the fine-tuning data there. HALOs adds a
        loss per token to one per pair; we take the sum over the completion. For the hinge on log-ratios see `hinge`.
    """
    chosen, rejected = scores.policy[prefs.chosen], scores.policy[prefs.rejected]
    return torch.clamp(delta - chosen + rejected, min=0) - lam * chosen


@loss("unlikelihood", kind="pairwise", first_move=(1, -1))
def unlikelihood(scores: SequenceScores, prefs: Preferences, *, alpha: NonNegative = 0.1) -> Margins:
    """Raise the likelihood of chosen and lower that of rejected, with nothing to stop either.

        L = -avg_w + alpha avg_l

    with avg the policy's mean log-probability per scored token.

    There is no minimum unless alpha is 0: raising chosen pays until it is certain, lowering rejected without end, so
    that a large alpha or a long run ends in a policy that says neither. A baseline to compare with, not one to use.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        prefs: the comparisons, all with hard labels.
        alpha: weight of lowering rejected; 0 is fine-tuning on chosen alone.

    Returns:
        One loss per comparison, in nats per token; may be negative.

    Source:
        A baseline of Rafailov et al. 2023, arXiv:2305.18290, who try alpha from 0.05 to 1 and sum over tokens; after
        Welleck et al. 2019, arXiv:1908.04319. We take means over tokens, so that length does not set the weight.
    """
    chosen, rejected = averages(scores, prefs)
    return alpha * rejected - chosen


# A mean log-probability is not above 0 but for rounding; exp(100) is far from overflow, and so is its square.
PROBABLE = Domain(low=-1e5, high=100.0, per_token=True)


@loss("simper", kind="pairwise", first_move=(1, -1), domain=PROBABLE)
def simper(scores: SequenceScores, prefs: Preferences) -> Margins:
    """Raise the probability per token of chosen against that of rejected, without any setting.

        L = exp(avg_l) - exp(avg_w)

    with avg the policy's mean log-probability per scored token: exp(avg) is one over the perplexity.

    The value lies in [-1, 1], its minimum -1 where chosen is certain and rejected impossible. The pull on a side is
    exp(avg), so it fades where the policy finds a completion unlikely: rejected is not lowered without end, and
    little is learnt where both sides are far from what the policy would say. Use it where there is no time to tune.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        prefs: the comparisons, all with hard labels.

    Returns:
        One loss in [-1, 1] per comparison.

    Source:
        Xiao et al. 2025, arXiv:2502.00883, and the authors' code.
    """
    chosen, rejected = averages(scores, prefs)
    return rejected.exp() - chosen.exp()
