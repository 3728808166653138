"""How well policy and reference together tell the better answer: the implicit reward on held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from prefsmith.data.encoded import EncodedGroup
from prefsmith.model.score import Frozen, Scores
from prefsmith.stats import Share, wilson
from prefsmith.train.monitor import as_row, evidence
from prefsmith.train.objective import Objective, States
from prefsmith.train.parallel import ALONE, Ranks
from prefsmith.train.step import score_step


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The result on held-out rows.

    Args:
        row: metrics as in metrics.jsonl.
        accuracy: share of pairs whose preferred side has the larger log-ratio, a tie counts one half; None where no
            loss uses a reference.
        shorter: the same for the rule "the shorter answer is better", by characters; None without pairs.
    """

    row: dict[str, object]
    accuracy: Share | None
    shorter: Share | None


def held_out(
    policy: Scores,
    reference: Frozen | None,
    objective: Objective,
    groups: Sequence[EncodedGroup],
    *,
    token_budget: int,
    states: States | None = None,
    ranks: Ranks = ALONE,
) -> HeldOut:
    """Score held-out rows as one step; nothing is trained.

    Args:
        policy: without dropout.
        reference: what it is compared with.
        objective: the loss whose value is reported.
        groups: at least one.
        token_budget: most tokens of a forward.
        states: what the losses remember of training; None before its first step.
        ranks: the processes of the run. Each scores its share, and all have the result.
    """
    scored = score_step(policy, reference, objective, groups, token_budget, states=states, ranks=ranks)
    seen = evidence(scored)
    accuracy = None if seen.accuracy is None else wilson(seen.accuracy * seen.effective, seen.effective)
    shorter = shorter_is_better(groups)
    row = as_row(scored, objective)
    for name, share in (("accuracy", accuracy), ("shorter_accuracy", shorter)):
        if share is not None:
            row |= {
                name: share.value,
                f"{name}_low": share.low,
                f"{name}_high": share.high,
                f"{name}_n": share.n,
            }
    return HeldOut(row, accuracy, shorter)


def shorter_is_better(groups: Sequence[EncodedGroup]) -> Share | None:
    """How often the preferred side is the one with fewer characters, by data weight; equal lengths count one half."""
    right, total, squares = 0.0, 0.0, 0.0
    for group in groups:
        lengths = [len(completion.content) for completion in group.group.completions]
        for comparison in group.compared:
            if comparison.prob != 0.5:
                better, worse = comparison.better, comparison.worse
                if comparison.prob < 0.5:
                    better, worse = worse, better
                hit = 1.0 if lengths[better] < lengths[worse] else 0.5 * (lengths[better] == lengths[worse])
                right += comparison.weight * hit
                total += comparison.weight
                squares += comparison.weight**2
    effective = total**2 / squares if squares > 0 else 0.0
    return wilson(right / total * effective, effective) if effective > 0 else None
