"""How much of the implicit reward is length: its correlation with the length of answers, and within pairs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from prefsmith.evaluate.bootstrap import Counts, Interval, PerDraw, Values, clustered
from prefsmith.evaluate.pairs import Pairs, PerAnswer, PerPair


@dataclass(frozen=True, slots=True)
class LengthBias:
    """What the implicit reward has to do with length in tokens.

    Args:
        pearson: correlation of log-ratio and tokens over answers.
        spearman: the same of their ranks, which no outlier moves; an interval draws prompts and keeps the ranks.
        within: correlation of the two differences within pairs, sum(dr dl) / sqrt(sum(dr^2) sum(dl^2)): what differs
            between prompts is out of it, and turning a pair round changes nothing.
    """

    pearson: Interval
    spearman: Interval
    within: Interval

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return {name: getattr(self, name).as_dict() for name in ("pearson", "spearman", "within")}


def length_bias(pairs: Pairs, *, seed: int = 0) -> LengthBias:
    """Correlations of the implicit reward with length; beta only scales the reward, so that it does not enter.

    Args:
        pairs: at least one; every answer in them counts once, whatever the weights.
        seed: of the draws.
    """
    used = np.unique(np.concatenate([pairs.better, pairs.worse]))
    answers = pairs.answers
    reward, tokens = (answers.policy - answers.reference)[used], answers.tokens[used]
    prompts = answers.prompt[used].tolist()

    def over_answers(first: PerAnswer, second: PerAnswer) -> Interval:
        return clustered(np.stack([first, second], axis=1), prompts, statistic=correlation, seed=seed)

    within = np.stack([pairs.margin, pairs.difference(answers.tokens)], axis=1)
    return LengthBias(
        pearson=over_answers(reward, tokens),
        spearman=over_answers(ranks(reward), ranks(tokens)),
        within=clustered(within, pairs.prompt.tolist(), statistic=correlation_through_zero, seed=seed),
    )


def correlation(values: Values, counts: Counts) -> PerDraw:
    """Pearson's correlation of two columns in each draw; NaN where one of them does not vary."""
    n = counts.sum(axis=1)
    first, second = (values - values.mean(axis=0)).T  # near zero, so that little cancels
    means = counts @ first / n, counts @ second / n
    covariance = counts @ (first * second) / n - means[0] * means[1]
    variances = [counts @ (each * each) / n - mean**2 for each, mean in zip((first, second), means, strict=True)]
    return _divided(covariance, variances[0], variances[1], scale=(first**2).mean() * (second**2).mean())


def correlation_through_zero(values: Values, counts: Counts) -> PerDraw:
    """The same of differences, whose signs are those of an order that means nothing."""
    first, second = values.T
    sums = [counts @ each for each in (first * second, first * first, second * second)]
    return _divided(sums[0], sums[1], sums[2], scale=0.0)


def ranks(values: PerAnswer) -> PerAnswer:
    """1 for the smallest; equal values share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]


def longer(difference: PerPair) -> dict[str, int]:
    """In how many pairs the preferred answer is the longer, the shorter, or as long as the other."""
    return {
        "longer": int((difference > 0).sum()),
        "shorter": int((difference < 0).sum()),
        "equal": int((difference == 0).sum()),
    }


def _divided(above: PerDraw, first: PerDraw, second: PerDraw, *, scale: float) -> Float64[np.ndarray, " draw"]:
    """above / sqrt(first second); NaN where that is nothing but rounding."""
    product = first * second
    usable = product > 1e-20 * scale
    found = np.full(len(above), np.nan)
    found[usable] = np.clip(above[usable] / np.sqrt(product[usable]), -1.0, 1.0)
    return found
