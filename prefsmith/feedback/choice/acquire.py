"""What a label of each pair would be worth, by five rules, and the pairs that each would ask for.

d-optimal          the labels that together shrink the volume of what is not known of the weights most
entropy            pairs of which the outcome is least certain
disagreement       pairs on which the members of an ensemble contradict each other
confidently-wrong  pairs on which the present model is surest, so that a label may show it wrong
random             the control
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64

from prefsmith.feedback.choice.estimate import Estimate, Features, PerLabel, PerPair, fit, sigmoid

Method = Literal["d-optimal", "entropy", "disagreement", "confidently-wrong", "random"]
METHODS: tuple[Method, ...] = get_args(Method)
MEMBERS = 8
"""Models of an ensemble that is drawn where no trained one is given."""

Margins = Float64[np.ndarray, "member pair"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is there to choose from, and what is known of it.

    Args:
        features: of the first answer minus those of the second, of every pair; scaled as `estimate.scaled` does.
        labelled: places of the labelled pairs.
        labels: of these, the probability that the first answer is the better one.
        open: places of the pairs that may be asked for.
        margins: log-odds of every pair under trained models, a row for each; None where there are none.
    """

    features: Features
    labelled: np.ndarray
    labels: PerLabel
    open: np.ndarray
    margins: Margins | None = None

    def estimate(self) -> Estimate:
        """The logistic model of the labels so far."""
        return fit(self.features[self.labelled], self.labels)


@dataclass(frozen=True, slots=True)
class Choice:
    """The pairs to ask for.

    Args:
        pairs: their places, the first choice first.
        worth: of each when it was chosen, in the unit of the method: nats of volume, of entropy or of information; log-
            odds; nothing that means anything for random.
    """

    pairs: np.ndarray
    worth: Float64[np.ndarray, " chosen"]


def choose(known: Known, method: Method, budget: int, rng: np.random.Generator) -> Choice:
    """The pairs to have labelled next; no pair is in it twice, and none that is not open.

    Args:
        known: what is there, and what is known.
        method: the rule.
        budget: how many. Where fewer are open, all of them.
        rng: breaks ties, draws the ensemble, and is all that random has.
    """
    places = rng.permutation(known.open)  # equal worth: nobody's order decides
    budget = min(budget, len(places))
    if method == "random":
        return Choice(places[:budget], np.zeros(budget))
    if method == "d-optimal":
        return _d_optimal(known, places, budget)
    worth = {"entropy": _entropy, "disagreement": _disagreement, "confidently-wrong": _certainty}[method]
    worths = worth(known, rng)[places]
    best = np.argsort(-worths, kind="stable")[:budget]
    return Choice(places[best], worths[best])


def _d_optimal(known: Known, places: np.ndarray, budget: int) -> Choice:
    """One after the other, each the pair that raises log det of the precision most.

        log det(A + v x x') - log det A = log(1 + v x' A^-1 x),   v = p (1 - p) under the present estimate

    A^-1 and x' A^-1 x of all candidates follow each choice by Sherman and Morrison's formula, so that a choice costs
    one product of the features with a vector.
    """
    estimate = known.estimate()
    candidates = known.features[places]
    prob = sigmoid(estimate.margins(candidates))
    value = prob * (1 - prob)
    inverse = np.linalg.inv(estimate.precision)
    leverage = np.einsum("pf,fg,pg->p", candidates, inverse, candidates)
    free = np.ones(len(places), dtype=bool)
    chosen, worth = list[int](), list[float]()
    for _ in range(budget):
        gain = np.where(free, np.log1p(value * np.maximum(leverage, 0)), -np.inf)
        best = int(gain.argmax())
        chosen.append(best)
        worth.append(float(gain[best]))
        free[best] = False
        along = inverse @ candidates[best]
        share = value[best] / (1 + value[best] * leverage[best])
        inverse -= share * np.outer(along, along)
        leverage -= share * (candidates @ along) ** 2
    return Choice(places[chosen], np.array(worth))


def _entropy(known: Known, _rng: np.random.Generator) -> PerPair:
    """Nats of the outcome's distribution: of the ensemble's mean where there is one."""
    if known.margins is not None:
        return entropy(sigmoid(known.margins).mean(axis=0))
    return entropy(sigmoid(known.estimate().margins(known.features)))


def _disagreement(known: Known, rng: np.random.Generator) -> PerPair:
    """What a label would tell of which member is right: entropy of the mean less the mean of the entropies.

    Source:
        Houlsby et al. 2011, arXiv:1112.5745.
    """
    margins = known.margins if known.margins is not None and len(known.margins) > 1 else _drawn(known, rng)
    prob = sigmoid(margins)
    return entropy(prob.mean(axis=0)) - entropy(prob).mean(axis=0)


def _certainty(known: Known, _rng: np.random.Generator) -> PerPair:
    """How far apart the present model puts the two answers.

    Source:
        Muldrew et al. 2024, arXiv:2402.08114: the difference of implicit rewards. Their first filter, the entropy of
        the model over completions, needs prompts to be sampled again and is not made here.
    """
    if known.margins is not None:
        return np.abs(known.margins.mean(axis=0))
    return np.abs(known.estimate().margins(known.features))


def _drawn(known: Known, rng: np.random.Generator) -> Margins:
    """Members from the approximate posterior of the weights."""
    estimate = known.estimate()
    upper = np.linalg.cholesky(estimate.precision).T  # precision = upper' upper
    noise = np.linalg.solve(upper, rng.standard_normal((len(estimate.weights), MEMBERS)))
    return (known.features @ (estimate.weights[:, None] + noise)).T


def entropy(prob: Float64[np.ndarray, "*any"]) -> Float64[np.ndarray, "*any"]:
    """Nats of an outcome of this probability; 0 at 0 and 1."""
    inside = np.clip(prob, 1e-300, 1.0)
    outside = np.clip(1 - prob, 1e-300, 1.0)
    return -(prob * np.log(inside) + (1 - prob) * np.log(outside))
