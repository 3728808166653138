"""Losses that only raise, or only lower, the likelihood of a completion."""

import math

import torch
import torch.nn.functional as F

from prefsmith.losses.registry import Positive, loss
from prefsmith.losses.unpaired.rated import RatingLosses, desirable, rated_log_ratio
from prefsmith.types import Ratings, SequenceScores


@loss("sft", kind="unpaired", desirable_only=True, first_move=(1, 0))
def sft(scores: SequenceScores, ratings: Ratings) -> RatingLosses:
    """Supervised fine-tuning on desirable completions: mean negative log-probability per token.

        L = -log policy(y|x) / tokens(y)

    On pairs this is Preferred-FT: it learns from the chosen side alone. The minimum, over many samples for a prompt,
    gives each completion a probability in proportion to its share of the samples divided by its number of tokens:
    completions of one length become as likely as they are frequent, and short ones are favoured over long ones.

    Args:
        scores: log-probabilities of every completion under the policy, in nats.
        ratings: the desirable completions.

    Returns:
        One loss per rating, in nats per token.

    Source:
        Maximum likelihood; every completion counts the same, whatever its length.
    """
    return -(scores.policy / scores.tokens)[ratings.seq]


def _npo_start(scores: SequenceScores, ratings: Ratings, *, beta: float) -> RatingLosses:
    return torch.where(desirable(ratings), 0.0, torch.full_like(ratings.value, 2 / beta * math.log(2)))


@loss("npo", kind="unpaired", needs=("reference",), start=_npo_start, first_move=(0, -1))
def npo(scores: SequenceScores, ratings: Ratings, *, beta: Positive = 0.1) -> RatingLosses:
    """Negative preference optimisation: unlearn undesirable completions, more gently the less likely they have become.

        undesirable  L = -(2 / beta) log s(-beta D)
        desirable    L = 0

    with D the log-ratio log policy - log reference in nats, and s the logistic function.

    The loss is smallest, 0, where the policy never gives the completion. The pull on D is 2 s(beta D): 1 at the start,
    fading as the completion is forgotten, where plain gradient ascent pulls for ever. For beta to 0 it becomes that
    ascent. Use it to make a model forget, and add `sft` on what it is to keep, since nothing here holds the rest.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        ratings: which completions are undesirable. Desirable ones give 0 and yet count in the mean over ratings.
        beta: how soon the pull fades, per nat.

    Returns:
        One non-negative loss per rating, in nats.

    Source:
        Zhang et al. 2024, arXiv:2404.05868, and the authors' code.
    """
    forgotten = -(2 / beta) * F.logsigmoid(-beta * rated_log_ratio(scores, ratings))
    return torch.where(desirable(ratings), torch.zeros_like(forgotten), forgotten)
