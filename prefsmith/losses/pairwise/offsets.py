"""Losses that keep chosen from falling together with rejected: by a penalty, or by less weight on rejected."""

from collections.abc import Mapping
from typing import Annotated

import torch.nn.functional as F

from prefsmith.losses.pairwise.margin import Margins, log_ratios, log_two
from prefsmith.losses.registry import Memory, NonNegative, Positive, Range, State, loss
from prefsmith.types import Preferences, SequenceScores

Share = Annotated[float, Range(0.0, 1.0, open_low=True)]


@loss("dpop", kind="pairwise", needs=("reference",), start=log_two, first_move=(1, -1))
def dpop(scores: SequenceScores, prefs: Preferences, *, beta: Positive = 0.3, lam: NonNegative = 50.0) -> Margins:
    """Logistic regression on the margin, with a penalty where chosen is less likely than under the reference.

        L = -log s(beta (h - lam max(0, -D_w)))

    with D_w the log-ratio log policy - log reference of chosen in nats, h the margin, and s the logistic function. The
    penalty is inside the logistic function and inside beta.

    There is no minimum: the margin grows without end, but not by lowering chosen. Use it where the two answers of a
    pair differ by few tokens, so that `dpo` lowers what they share.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        beta: strength of the pull to the reference, per nat.
        lam: nats of margin that a nat of loss of chosen costs. The authors see little difference from 5 to 500. At 0
            the loss is `dpo`.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Pal et al. 2024, arXiv:2402.13228 (Smaug), in the version of July 2024, taken from re-implementations that
        agree. The first version had the bracket elsewhere, and code that follows it subtracts the penalty outside.
    """
    chosen, rejected = log_ratios(scores, prefs)
    # relu and not clamp: at the start chosen has not fallen, and its gradient is that of dpo.
    return -F.logsigmoid(beta * (chosen - rejected - lam * F.relu(-chosen)))


def _no_steps(**_settings: float) -> State:
    return {"steps": 0.0}


def _one_step_more(state: State, scores: SequenceScores, prefs: Preferences, **_settings: float) -> Mapping[str, float]:
    return {"steps": state["steps"] + 1}


@loss(
    "dpo_shift",
    kind="pairwise",
    needs=("reference",),
    memory=Memory(start=_no_steps, advance=_one_step_more),
    start=log_two,
    first_move=(1, -1),
)
def dpo_shift(
    scores: SequenceScores,
    prefs: Preferences,
    state: State,
    *,
    beta: Positive = 0.01,
    f: Share = 0.95,
    f_end: Share = 1.0,
    steps: NonNegative = 0.0,
) -> Margins:
    """Logistic regression on a margin in which rejected counts a little less.

        L = -log s(beta (D_w - f D_l))

    with D the log-ratio log policy - log reference of one side in nats and s the logistic function. At f = 1 it is
    `dpo`. With steps > 0, f goes in equal steps from f to f_end over that many optimiser steps and stays there.

    There is no minimum: the margin grows without end. Lowering rejected pays less than raising chosen, so that chosen
    falls less, at the price of narrower margins. Use it where `dpo` lowers both sides.

    Args:
        scores: log-probabilities of every completion under policy and reference, in nats.
        prefs: the comparisons, with hard labels.
        state: the number of optimiser steps that are done, from which f follows.
        beta: strength of the pull to the reference, per nat.
        f: how much rejected counts, in (0, 1]; in a schedule, at the first step. The authors use 0.55 to 0.95.
        f_end: how much it counts at the end of a schedule; not read without one.
        steps: optimiser steps of the schedule. 0 is none: f stays.

    Returns:
        One non-negative loss per comparison, in nats.

    Source:
        Yang et al. 2025, arXiv:2502.07599, and the authors' code: fixed, or linear between 0.95 and 1 either way.
    """
    chosen, rejected = log_ratios(scores, prefs)
    done = min(1.0, state["steps"] / steps) if steps > 0 else 0.0
    return -F.logsigmoid(beta * (chosen - (f + done * (f_end - f)) * rejected))
