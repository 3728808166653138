"""The result of a run in a sentence or two, its main numbers, and its findings."""

from dataclasses import dataclass
from statistics import fmean

from prefsmith.report.evidence import Point
from prefsmith.report.run import RecordedRun
from prefsmith.train.findings import (
    Estimate,
    Finding,
    Row,
    Severity,
    drift,
    findings,
    held_out_accuracy,
    held_out_rows,
    kl_estimate,
    number,
    numbers,
    tokens_per_completion,
    written,
)

ORDER: tuple[Severity, ...] = ("warning", "note", "good")
CLEAN = Finding("no_trouble", "good", "No sign of trouble was found.")


@dataclass(frozen=True, slots=True)
class MainNumber:
    """A number that stands at the top: what it is, its value, its interval or what it is compared with."""

    label: str
    value: str
    beside: str = ""


def run_findings(run: RecordedRun) -> list[Finding]:
    """What stands out in the run, and what a program found beside, warnings first."""
    found = findings(
        [*run.train, *run.evaluations],
        run.samples,
        data=run.data,
        config=run.config,
        tokens_per_completion=tokens_per_completion(run.data, run.evaluations),
    )
    if run.evidence is not None:
        found += [Finding("program", each.severity, each.what, fix=each.fix) for each in run.evidence.findings]
    if run.train and all(each.severity == "good" for each in found):
        found.append(CLEAN)
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


def results(run: RecordedRun) -> list[str]:
    """What the run shows, a sentence each, the strongest evidence first."""
    if not run.train and not run.evaluations:
        return ["No step is done yet." if run.state == "going on" else "No step was done."]
    sentences = [each for each in (_frontier_sentence(run), _accuracy_sentence(run)) if each]
    if not sentences:
        sentences = [_loss_sentence(run)]
    if not run.evaluations:
        why = "The held-out rows were not evaluated" if held_out_rows(run.data) else "No rows were held out"
        yet = " so far" if run.state != "finished" and held_out_rows(run.data) else ""
        sentences.append(f"{why}{yet}, so this says nothing of rows that it has not seen.")
    return sentences


def main_numbers(run: RecordedRun) -> list[MainNumber]:
    """The numbers at the top of the page."""
    found = [_accuracy_number(run)]
    last = run.evaluations[-1] if run.evaluations else run.train[-1] if run.train else {}
    where = "held out" if run.evaluations else f"step {number(last, 'step') or 0:.0f}"
    margin, loss, chosen = number(last, "margin"), number(last, "loss"), number(last, "chosen_logratio")
    if margin is not None:
        found.append(MainNumber("Margin", f"{signed(margin)} nats", where))
    elif loss is not None:
        found.append(MainNumber("Loss", f"{loss:.4g}", where))
    tokens = tokens_per_completion(run.data, run.evaluations)
    if chosen is not None and tokens:
        found.append(
            MainNumber("Chosen log-ratio", f"{signed(chosen / tokens)} nats a token", f"{where}, against the start")
        )
    if (kl := run_kl(run)) is not None:
        beside = f"{interval(kl)} an answer, estimated from {kl.n} samples"
        found.append(MainNumber("KL to the start", f"{kl.value:.2f} nats", beside))
    return [each for each in found if each is not None]


def run_kl(run: RecordedRun) -> Estimate | None:
    """KL of the trained policy to the starting model, in nats a completion, estimated from its samples."""
    last = max((sample.step for sample in run.samples), default=0)
    return drift(run.samples).kl or kl_estimate([sample for sample in run.samples if sample.step == last > 0])


def last_step(run: RecordedRun) -> int:
    """Steps that were done."""
    return int(number(run.train[-1], "step") or 0) if run.train else 0


def accuracy_parts(row: Row, key: str = "accuracy") -> tuple[str, str]:
    """An accuracy and its interval, in per cent; empty where there is none."""
    value, low, high = (number(row, f"{key}{end}") for end in ("", "_low", "_high"))
    ends = "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"
    return ("", "") if value is None else (f"{100 * value:.1f} %", ends)


def signed(value: float) -> str:
    """A number with its sign, by a real minus."""
    return written(value, "+.2f")


def interval(estimate: Estimate) -> str:
    """The 95 % interval in brackets."""
    return f"[{written(estimate.low)}, {written(estimate.high)}]"


def _accuracy_sentence(run: RecordedRun) -> str:
    accuracy = held_out_accuracy(run.evaluations)
    if accuracy is None:
        return ""
    words = " ".join(accuracy_parts(run.evaluations[-1]))
    if accuracy.length_value is None:
        return (
            f"On {accuracy.n:,.0f} held-out rated answers, the policy made the desirable ones likelier and the others "
            f"less likely in {words}."
        )
    shorter = number(run.evaluations[-1], "shorter_accuracy") or 0.0
    rule = "shorter" if shorter >= 0.5 else "longer"  # the one that is harder to beat
    return (
        f"On {accuracy.n:,.0f} held-out pairs the {_policy(run)} prefers the better answer in {words}; "
        f"\u201cthe {rule} is better\u201d gets {100 * max(shorter, 1 - shorter):.1f} %."
    )


def _policy(run: RecordedRun) -> str:
    return "trained policy" if run.state == "finished" else f"policy after step {_evaluated_at(run)}"


def _evaluated_at(run: RecordedRun) -> str:
    return f"{number(run.evaluations[-1], 'step') or 0:.0f}"


def _loss_sentence(run: RecordedRun) -> str:
    losses = numbers(run.train, "loss")
    if not losses:
        return f"{len(run.train)} steps were done."
    tail = losses[-max(1, len(losses) // 10) :]
    held = numbers(run.evaluations, "loss")
    beside = f"; on held-out rows it is {held[-1]:.4g}" if held else ""
    over = "in the last step" if len(tail) == 1 else f"on average over the last {len(tail)} steps"
    return f"The loss was {losses[0]:.4g} in the first step and {fmean(tail):.4g} {over}{beside}."


def _frontier_sentence(run: RecordedRun) -> str:
    frontier = run.evidence.frontier if run.evidence is not None else None
    if frontier is None or len(frontier.points) < 2:
        return ""
    first, last = frontier.points[0], frontier.points[-1]

    def reward(point: Point) -> str:
        low, high = point.reward_low, point.reward_high
        ends = "" if low is None or high is None else f" [{written(low)}, {written(high)}]"
        return f"{written(point.reward)}{ends} ({point.name})"

    best = frontier.best_at(last.kl)
    at_most = "" if best is None else f"; the best possible there is {written(best)}"
    return (
        f"{frontier.reward[:1].upper()}{frontier.reward[1:]}: {reward(first)}, {reward(last)}, "
        f"at a KL of {written(last.kl)} nats to the starting model{at_most}."
    )


def _accuracy_number(run: RecordedRun) -> MainNumber | None:
    accuracy = held_out_accuracy(run.evaluations)
    if accuracy is None:
        return None
    label = "Held-out accuracy" if accuracy.length_value is not None else "Held-out agreement"
    value, ends = accuracy_parts(run.evaluations[-1])
    return MainNumber(label, value, f"{ends}, {accuracy.n:,.0f} {accuracy.unit}")
