"""The quantities that pairwise losses are functions of."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float64
from torch import Tensor

from prefsmith.types import Preferences, SequenceScores

Margins = Float64[Tensor, " pair"]


def log_ratios(scores: SequenceScores, prefs: Preferences) -> tuple[Margins, Margins]:
    """D_w and D_l: log policy - log reference of chosen and of rejected, in nats."""
    ratio = scores.log_ratio()
    return ratio[prefs.chosen], ratio[prefs.rejected]


def margin(scores: SequenceScores, prefs: Preferences) -> Margins:
    """h = D_w - D_l: log-ratio of chosen - log-ratio of rejected, in nats."""
    chosen, rejected = log_ratios(scores, prefs)
    return chosen - rejected


def averages(scores: SequenceScores, prefs: Preferences) -> tuple[Margins, Margins]:
    """avg_w and avg_l: the policy's mean log-probability per scored token of chosen and of rejected, in nats."""
    average = scores.policy / scores.tokens
    return average[prefs.chosen], average[prefs.rejected]


def expected(prob: Margins, chosen_better: Margins, rejected_better: Margins) -> Margins:
    """The mean over who is better: p times the loss as labelled, and 1 - p times that of the pair turned round."""
    return prob * chosen_better + (1 - prob) * rejected_better


def cross_entropy(logit: Margins, prob: Margins) -> Margins:
    """-p log s(logit) - (1 - p) log s(-logit): smallest at logit = log(p / (1 - p))."""
    return expected(prob, -F.logsigmoid(logit), -F.logsigmoid(-logit))


def log_two(scores: SequenceScores, prefs: Preferences, **_settings: object) -> Margins:
    """log 2 for every pair: where a logistic loss of a margin starts, whatever the probabilities."""
    return torch.full_like(prefs.prob, math.log(2))
