"""How far the policy may go and went, and how far the data are from what the model would write."""

from collections.abc import Sequence
from itertools import takewhile
from statistics import fmean

from prefsmith.config import RunConfig
from prefsmith.train.findings.estimate import Estimate, difference
from prefsmith.train.findings.finding import Finding, Row, number, numbers, written
from prefsmith.train.findings.samples import Sample, drift, likelihood

FOREIGN, VERY_FOREIGN = 0.5, 1.5
"""Nats per token by which the data's answers are less likely than the model's own that are noted and warned of: each
token is then about 2 or 4 times less likely."""


def kl_finding(evaluations: Sequence[Row], samples: Sequence[Sample], budget: float | None) -> Finding | None:
    """A policy further from its start than it was meant to go.

    Args:
        evaluations: where a budget is set, they have the KL of fresh samples.
        samples: before and after training; they count where both are there.
        budget: nats an answer; None where none is set.
    """
    kl, where = drift(samples).kl, "after training"
    if kl is None and evaluations:
        kl, where = _evaluated(evaluations[-1]), f"after step {number(evaluations[-1], 'step') or 0:.0f}"
    if budget is None or kl is None or kl.value <= budget:
        return None
    sure = kl.low > budget
    unsure = "" if sure else " Within its noise it may still be inside."
    return Finding(
        "kl_budget_passed",
        "warning" if sure else "note",
        "The policy has moved further from the starting model than it was allowed to.",
        f"{kl.value:.2f} nats an answer [{written(kl.low)}, {written(kl.high)}] {where}, estimated from {kl.n} "
        f"samples; evaluate.kl_budget={budget:g}.{unsure}",
        "Every step moves it, whether or not it still gains; a small beta, a large learning rate and many steps move "
        "it far.",
        "Take an earlier checkpoint, raise loss.beta, lower optim.learning_rate, or train fewer steps.",
    )


def off_policy(train: Sequence[Row], samples: Sequence[Sample], config: RunConfig | None) -> Finding | None:
    """Answers in the data that the starting model would hardly write.

    Args:
        train: rows of training steps, with the reference's log-probability of the data's answers.
        samples: those from before training say how likely the model's own answers are.
        config: where it names another model as the reference, nothing is known of how the starting one sees the data.
    """
    if config is not None and config.reference.path is not None:
        return None
    still = takewhile(lambda row: row.get("reference_moved") is not True, train)
    data = numbers(still, "reference_per_token")
    own = [value for value in (likelihood(each) for each in samples if each.step == 0) if value is not None]
    change = difference(own, data)
    if change is None or change.high >= 0 or change.value > -FOREIGN:
        return None
    return Finding(
        "off_policy",
        "warning" if change.value <= -VERY_FOREIGN else "note",
        "The answers in the data are not such as the starting model writes.",
        f"Under it, a token of the data's answers has {written(fmean(data))} nats and one of its own "
        f"{written(fmean(own))}.",
        "Other models or people wrote the pairs. What the loss changes are then probabilities of answers that the "
        "policy seldom gives, and less of it shows in those that it does.",
        "Train the model on the chosen answers first (loss.name=sft) and begin there, or let it write answers to the "
        "prompts (prefsmith generate) and have those compared.",
    )


def _evaluated(row: Row) -> Estimate | None:
    value, low, high, n = (number(row, f"kl{end}") for end in ("", "_low", "_high", "_n"))
    if value is None or low is None or high is None or n is None:
        return None
    return Estimate(value, low, high, int(n))
