"""What the held-out rows show, and what they cannot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prefsmith.train.findings.estimate import Z95
from prefsmith.train.findings.finding import Finding, Row, number, percent

FEW = 100
"""Held-out pairs below which the interval of an accuracy is wider than ten points to each side."""
WORSE_THAN_TRAINING = 0.05
"""Accuracy by which the last training steps may exceed even the upper end of the held-out interval."""
HARD_TO_TELL = 0.51
"""Accuracy down to which it is said how many pairs would show it: at this one, nearly 10,000."""
LOSS_ROSE = 0.05
"""Share by which the held-out loss may lie above its own smallest value."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy on held-out rows with its interval, and that of the better of the two rules of length.

    Args:
        value: share that is right; with `low`, `high` and `n`.
        unit: what was counted: pairs, or rated answers where there are none.
        length_rule: `shorter` or `longer`, whichever does better.
        length_value: its accuracy; None where there are no pairs.
    """

    value: float
    low: float
    high: float
    n: float
    unit: str
    length_rule: str
    length_value: float | None

    @property
    def shows(self) -> bool:
        """Whether it is above chance beyond noise."""
        return self.low > 0.5


def held_out_accuracy(evaluations: Sequence[Row]) -> Accuracy | None:
    """That of the last evaluation; None where it has none."""
    if not evaluations:
        return None
    found = [number(evaluations[-1], f"accuracy{end}") for end in ("", "_low", "_high", "_n")]
    if any(each is None for each in found):
        return None
    value, low, high, n = (each for each in found if each is not None)
    shorter = number(evaluations[-1], "shorter_accuracy")
    if shorter is None:
        return Accuracy(value, low, high, n, "rated answers", "shorter", None)
    return Accuracy(value, low, high, n, "pairs", "shorter" if shorter >= 0.5 else "longer", max(shorter, 1 - shorter))


def held_out_findings(evaluations: Sequence[Row]) -> list[Finding]:
    """What the last evaluation shows of the policy, and how sure it is."""
    accuracy = held_out_accuracy(evaluations)
    if accuracy is None:
        return []
    return [_shown(accuracy), *_few(accuracy)]


def nothing_held_out() -> Finding:
    """For a run without evaluation rows."""
    return Finding(
        "nothing_held_out",
        "note",
        "No rows were held out.",
        cause="Nothing here says how the policy does on rows that it has not seen.",
        fix="Set data.eval_fraction=0.1, or name a file with data.eval.",
    )


def overfit(train: Sequence[Row], evaluations: Sequence[Row]) -> Finding | None:
    """Held-out rows that fare much worse than those trained on."""
    losses = [(number(row, "loss"), number(row, "step")) for row in evaluations]
    known = [(loss, step) for loss, step in losses if loss is not None and step is not None]
    fix = "Train fewer epochs, lower optim.learning_rate, raise loss.beta, or bring more data."
    if len(known) >= 3:
        (least, at), (last, end) = min(known), known[-1]
        if last - least > LOSS_ROSE * abs(least):
            return Finding(
                "overfit",
                "warning",
                "The held-out loss rises again: the policy learns its training rows by heart.",
                f"It was {least:.4g} after step {at:.0f} and is {last:.4g} after step {end:.0f}.",
                "More passes over the rows than they carry.",
                fix,
            )
    accuracy = held_out_accuracy(evaluations)
    tail = [
        each for each in (number(row, "accuracy") for row in train[-max(5, len(train) // 10) :]) if each is not None
    ]
    if accuracy is None or not tail:
        return None
    trained = sum(tail) / len(tail)
    if trained - accuracy.high <= WORSE_THAN_TRAINING:
        return None
    return Finding(
        "overfit",
        "warning",
        "The policy does much worse on held-out rows than on those it is trained on.",
        f"Accuracy {percent(trained)} over the last {len(tail)} steps, {_of(accuracy)} held out.",
        "It learns the rows by heart, or the held-out rows are of another kind.",
        fix,
    )


def _shown(accuracy: Accuracy) -> Finding:
    amount = f"{_of(accuracy)} on {accuracy.n:,.0f} held-out {accuracy.unit}."
    if accuracy.high < 0.5:
        return Finding(
            "below_chance",
            "warning",
            "The policy prefers the worse answers.",
            amount,
            "Chosen and rejected may be mixed up in one of the files, or the loss was driven up.",
            "Read a few rows; if the labels are right, lower optim.learning_rate.",
        )
    if not accuracy.shows:
        return Finding(
            "nothing_shown",
            "warning",
            "Nothing is shown yet: the held-out accuracy cannot be told from tossing a coin.",
            f"{amount} {_needed(accuracy.value)}",
            "Too few held-out rows, too little training, or labels that no rule explains.",
            "Hold out more rows (data.eval_fraction, data.eval), or train longer.",
        )
    length = accuracy.length_value
    if length is None:
        return Finding(
            "signs_agree",
            "note",
            "On held-out answers the sign of the log-ratio agrees with the label.",
            amount,
            "Where most labels are the same, that alone gives such a share: compare it with theirs.",
        )
    if accuracy.low <= length:
        return Finding(
            "not_above_length",
            "warning" if accuracy.value <= length else "note",
            f'The policy is not shown to do better than the rule "the {accuracy.length_rule} answer is better".',
            f"{amount} The rule gets {percent(length)} of the same pairs.",
            "It may have learnt length alone.",
            "Balance lengths in the data, or hold out more pairs to tell the two apart.",
        )
    beside = f' "The {accuracy.length_rule} answer is better" gets {percent(length)}.'
    return Finding("shown", "good", "On held-out pairs the policy prefers the better answer.", amount + beside)


def _few(accuracy: Accuracy) -> list[Finding]:
    if accuracy.n >= FEW:
        return []
    return [
        Finding(
            "few_held_out",
            "note",
            f"Few {accuracy.unit} were held out.",
            f"{accuracy.n:,.0f}, so the interval is {100 * (accuracy.high - accuracy.low):.0f} points wide.",
            fix="Raise data.eval_fraction, or name a larger file with data.eval.",
        )
    ]


def _needed(value: float) -> str:
    """How many would show an accuracy of this size: Wilson's interval leaves 1/2 out from z^2 / (2 p - 1)^2 on."""
    wished = value if value > HARD_TO_TELL else 0.55
    needed = math.ceil(Z95**2 / (2 * wished - 1) ** 2)
    if wished != value:
        return f"To show an accuracy of {percent(wished)} takes about {needed:,}."
    return f"If it is really {percent(value)}, about {needed:,} would show it."


def _of(accuracy: Accuracy) -> str:
    return f"{100 * accuracy.value:.1f} % [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
