"""What the steps show: whether the loss moves, which side of a pair does, and how hard the weights are pulled."""

from collections.abc import Sequence
from statistics import fmean

from prefsmith.config import RunConfig
from prefsmith.train.findings.estimate import difference, mean_interval
from prefsmith.train.findings.finding import Finding, Row, number, numbers, percent
from prefsmith.train.findings.held_out import held_out_accuracy

MOVED = 0.005
"""Share of its first value by which the loss has to fall: dpo's 0.6931 is then at 0.690, a margin of 0.06 nats."""
ROSE = 0.02
"""Share by which the loss has to rise beyond noise before that is warned of."""
FELL, FELL_FAR = 0.02, 0.10
"""Nats per token by which chosen answers become less likely that are noted and warned of: 2 % and 10 % a token."""
SATURATED_ACCURACY, SATURATED_LOSS, WINDOW = 0.99, 0.10, 5
"""Accuracy, and loss as a share of its first value, over so many steps, beyond which pairs teach nothing more."""
GREW = 3.0
"""Times by which the gradient norm has to grow between the first and the last third."""
ALWAYS = 0.95
"""Share of the steps whose gradient is clipped from which on clipping sets the step size."""
LOW_RATE = {"none": 1e-7, "lora": 1e-6, "dora": 1e-6, "ia3": 1e-5}
"""A tenth of the lowest customary peak learning rate, by kind of adapter."""


def loss_finding(train: Sequence[Row], evaluations: Sequence[Row], config: RunConfig | None) -> Finding | None:
    """A loss that has not fallen from where it started."""
    losses = numbers(train, "loss")
    third = len(losses) // 3
    change = difference(losses[:third], losses[-third:]) if third else None
    if change is None:
        return None
    early, late = fmean(losses[:third]), fmean(losses[-third:])
    amount = f"{early:.4g} on average over the first third of the steps, {late:.4g} over the last."
    if change.low > 0 and change.value > ROSE * abs(early):
        return Finding(
            "loss_rose",
            "warning",
            "The loss rises.",
            amount,
            "The steps are too large.",
            "Lower optim.learning_rate to a third or less, and look at the gradient norm.",
        )
    accuracy = held_out_accuracy(evaluations)
    barely = abs(change.value) < MOVED * abs(early)
    if not barely and (change.high < 0 or (accuracy is not None and accuracy.shows)):
        return None
    beyond = "" if change.beyond_noise else " The difference is within the noise of the steps."
    cause, fix = _why_still(train, config)
    return Finding("loss_still", "warning", "The loss has not moved from its start.", amount + beyond, cause, fix)


def chosen_finding(
    train: Sequence[Row], evaluations: Sequence[Row], tokens_per_completion: float | None
) -> Finding | None:
    """Chosen answers that became less likely, although they are the better ones."""
    tail = mean_interval(numbers(train[-max(WINDOW, len(train) // 10) :], "chosen_logratio"))
    if tail is None or tail.high >= 0 or not tokens_per_completion:
        return None
    held = number(evaluations[-1], "chosen_logratio") if evaluations else None
    fell = -(tail.value if held is None else held)
    per_token = fell / tokens_per_completion
    if per_token < FELL:
        return None
    where = "over the last steps" if held is None else "on held-out rows"
    row = evaluations[-1] if held is not None else train[-1]
    below = (number(row, "margin") or 0) > 0
    return Finding(
        "chosen_fell",
        "warning" if per_token >= FELL_FAR else "note",
        "The chosen answers became less likely" + (", and the rejected ones even less." if below else "."),
        f"By {per_token:.2f} nats per token, {fell:.1f} nats an answer, {where}.",
        "The loss asks for the difference of the two sides alone; lowering both is the easiest way to widen it.",
        "Lower optim.learning_rate, add an sft term on the chosen answers to the loss (for example of weight 0.2), "
        "raise loss.beta, or train ipo.",
    )


def saturated(train: Sequence[Row]) -> Finding | None:
    """Pairs that are all told apart, surely, in the first half of the run."""
    first = number(train[0], "loss") if train else None
    if not first or first < 0:
        return None
    for start in range(max(0, len(train) // 2 - WINDOW + 1)):
        window = train[start : start + WINDOW]
        accuracy, loss = numbers(window, "accuracy"), numbers(window, "loss")
        if len(accuracy) < WINDOW or len(loss) < WINDOW:
            continue
        if fmean(accuracy) >= SATURATED_ACCURACY and fmean(loss) <= SATURATED_LOSS * first:
            return Finding(
                "saturated",
                "warning",
                "The margins are saturated early: from there on the pairs teach nothing more.",
                f"From step {number(window[0], 'step'):.0f} on, accuracy is {percent(fmean(accuracy))} "
                f"and the loss {fmean(loss):.2g}, of {first:.2g} at the start.",
                "The pairs are too easy (the answers differ in something that gives them away), repeated, or "
                "held-out rows are among them.",
                "Look at the pairs; train fewer steps, raise loss.beta, or use probabilities, label smoothing or ipo.",
            )
    return None


def gradient_findings(train: Sequence[Row], config: RunConfig | None) -> list[Finding]:
    """A gradient norm that grows, and one that is clipped at every step."""
    found, norms = [], numbers(train, "grad_norm")
    third = len(norms) // 3
    change = difference(norms[:third], norms[-third:]) if third else None
    early, late = (fmean(norms[:third]), fmean(norms[-third:])) if third else (0.0, 0.0)
    if change is not None and change.low > 0 and late > GREW * early:
        found.append(
            Finding(
                "gradient_grows",
                "warning",
                "The gradient norm grows.",
                f"{early:.3g} on average over the first third of the steps, {late:.3g} over the last.",
                "Training is becoming unstable.",
                "Lower optim.learning_rate, or raise optim.warmup_steps.",
            )
        )
    if config is not None and norms:
        limit = config.optim.max_grad_norm
        share = sum(norm > limit for norm in norms) / len(norms)
        if share >= ALWAYS:
            found.append(
                Finding(
                    "always_clipped",
                    "note",
                    "Nearly every gradient is clipped.",
                    f"{percent(share)} of the steps have a norm above optim.max_grad_norm={limit:g}; "
                    f"the mean is {fmean(norms):.3g}.",
                    "Every step then has about the same size, whatever the gradient says. That does no harm by itself.",
                    "Raise optim.max_grad_norm if small steps should stay small.",
                )
            )
    return found


def outside_domain(train: Sequence[Row], evaluations: Sequence[Row]) -> Finding | None:
    """Log-ratios so large that the loss was continued linearly."""
    count = sum(numbers([*train, *evaluations], "outside_domain"))
    if not count:
        return None
    return Finding(
        "outside_domain",
        "warning",
        "Some answers are so far from the reference that the loss was continued linearly.",
        f"{count:,.0f} times.",
        "The policy has left every region in which the loss means something.",
        "Lower optim.learning_rate, raise loss.beta.",
    )


def _why_still(train: Sequence[Row], config: RunConfig | None) -> tuple[str, str]:
    """Cause and cure of a loss that does not move, as far as the settings tell."""
    steps = number(train[-1], "step") or len(train)
    if config is not None and config.optim.warmup_steps >= 0.8 * steps:
        cause = f"The warm-up takes {config.optim.warmup_steps} of {steps:.0f} steps, so the steps stay small."
        return cause, "Lower optim.warmup_steps, or train longer."
    if config is not None and config.learning_rate < LOW_RATE[config.adapter.kind]:
        cause = f"The learning rate, {config.learning_rate:g}, is far below what is customary."
        return (
            cause,
            "Raise optim.learning_rate: 1e-6 to 1e-5 for all weights, 1e-5 to 2e-4 for lora and dora, 1e-3 for ia3.",
        )
    cause = "The learning rate is too low, the run too short, or the labels follow no rule that the model can see."
    return cause, "Raise optim.learning_rate by a factor of three to ten; if that changes nothing, read the labels."
