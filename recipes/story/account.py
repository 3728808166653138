"""What was found, in words: a table to print, and the evidence that the report shows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from story.measures import Comparison, Estimate, Measured
from story.rules import Rule
from story.teller import TEMPERATURE

CLEAR = 3.0
"""Standard errors from which a movement is called one."""
LOSS_RISE, KNOWN_FALL = 0.05, 0.03
"""Beyond these the stories are gibberish: nats a character under the starting model, share of known words."""
ALIKE, VARIETY = 0.8, 0.4
"""Shares of the distinct word pairs that are left: below the first it is told, below the second it is a warning."""
FAR = 15.0
"""Nats of KL a story from which a policy has left the starting model."""
SAMPLES = 8
"""Openings whose first stories the report shows."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a measure, its unit, and how it is to be read."""

    name: str
    unit: str
    of: Callable[[Measured], Estimate]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that was found.

    Args:
        folder: of the run, with its report.
        rule: what was wanted.
        trained: on the openings that were trained on.
        unseen: on the others.
        disjoint: in what the two sets of openings differ.
        learning_rate: of the training, for the cure where it was too high.
    """

    folder: Path
    rule: Rule
    trained: Comparison
    unseen: Comparison
    disjoint: str
    learning_rate: float

    def lines(self) -> Iterator[str]:
        """The table at the end, and what it means."""
        for side in (self.trained, self.unseen):
            yield f"{f'{side.after.score.n:,} stories each, {side.name}':<56}{'before':<24}after"
            for row in self._rows():
                values = "".join(f"{_with_interval(row.of(each)):<24}" for each in (side.before, side.after))
                yield f"  {f'{row.name}, {row.unit}':<54}{values}".rstrip()
            yield (
                f"  moved by {_with_interval(side.movement, signed=True)}: {side.errors:.1f} standard errors by "
                f"openings; {side.simple_errors:.1f} if all stories were independent"
            )
        yield f"In brackets: 95 % intervals by openings. Note: {self.disjoint}."
        for finding in (self._moved(), *self._readable()):
            yield " ".join(part for part in (f"{finding['severity']}:", finding["what"], finding["fix"]) if part)

    def evidence(self) -> dict[str, object]:
        """As evidence.json has it."""
        measures = [
            {
                "name": f"{row.name}, {side.name}",
                "before": row.of(side.before).as_dict(),
                "after": row.of(side.after).as_dict(),
                "unit": row.unit,
                "note": row.note,
            }
            for side in (self.trained, self.unseen)
            for row in self._rows()
        ]
        points = [
            _point(f"before, {self.unseen.name}", self.unseen.before),
            _point(f"before, {self.trained.name}", self.trained.before),
            _point(f"after, {self.trained.name}", self.trained.after),
            _point(f"after, {self.unseen.name}", self.unseen.after),
        ]
        return {
            "frontier": {"reward": f"{self.rule.name}, {self.rule.unit}", "points": points},
            "measures": measures,
            "findings": self.findings(),
            "samples": _samples(self.unseen),
        }

    def findings(self) -> list[dict[str, str]]:
        """What the numbers mean."""
        shown = len(_samples(self.unseen))
        samples = (
            f"The samples below are the first stories from {shown} unseen openings that were drawn by lot, before and "
            f"after with the same random numbers. The {self.disjoint}."
        )
        cut = (
            "Where a story was cut as it was told, its row is cut at the same place on purpose: otherwise training "
            "would teach an end in the middle of a sentence."
        )
        return [self._moved(), *self._readable(), _finding("note", samples), _finding("note", cut)]

    def _rows(self) -> list[Row]:
        return [
            Row(self.rule.name, self.rule.unit, lambda measured: measured.score),
            Row(
                "KL to the starting model",
                "nats a story",
                lambda measured: measured.divergence,
                f"both models at temperature {TEMPERATURE:g}, at which the stories were drawn",
            ),
            Row("log-loss under the starting model", "nats a character", lambda measured: measured.loss),
            Row(
                "known words",
                "share",
                lambda measured: measured.known,
                "words that other stories of the starting model have at least twice",
            ),
            Row(
                "distinct pairs of neighbouring words",
                "share",
                lambda measured: measured.distinct,
                "falls with the number of stories, so that it only compares sets of one size",
            ),
        ]

    def _moved(self) -> dict[str, str]:
        parts = [
            f"by {_with_interval(side.movement, signed=True)} {self.rule.unit}, {side.errors:.1f} standard errors "
            f"by openings, at a KL of {_with_interval(side.after.divergence)} nats, on {side.name}"
            for side in (self.trained, self.unseen)
        ]
        amount = f"{'; '.join(parts)}."
        name = self.rule.name[:1].upper() + self.rule.name[1:]
        clear = [side.errors >= CLEAR for side in (self.trained, self.unseen)]
        if all(clear):
            return _finding("note" if self._gibberish() else "good", f"{name} moved {amount}")
        more = "More pairs (--samples), or a higher --learning-rate."
        if any(clear):
            return _finding("warning", f"{name} moved on one set of openings alone: {amount}", more)
        return _finding("warning", f"{name} did not rise measurably: {amount}", more)

    def _gibberish(self) -> bool:
        return any(_is_gibberish(side) for side in (self.trained, self.unseen))

    def _readable(self) -> list[dict[str, str]]:
        """Whether the stories still read as those of the starting model."""
        sides = (self.trained, self.unseen)
        numbers = "; ".join(_reading(side) for side in sides)
        rate = self.learning_rate
        fix = (
            f"Train again with a lower --learning-rate: it was {rate:g}, and a tenth of it is {rate / 10:g}. A higher "
            "--beta holds the model closer to where it started."
        )
        if self._gibberish():
            return [_finding("warning", f"The stories turned to gibberish: {numbers}.", fix)]
        found = [_finding("good", f"The stories still read as the starting model's do: {numbers}.")]
        if any(side.after.divergence.value > FAR for side in sides):
            far = f"The model is more than {FAR:g} nats a story away from where it started, and may have learnt tricks."
            found.append(_finding("warning", far, fix))
        if (left := min(_variety(side) for side in sides)) < ALIKE:
            alike = f"The stories became more alike: {left:.0%} of the distinct pairs of words is left."
            keep = "A narrow rule is paid for in variety; a higher --beta keeps more of it."
            found.append(_finding("warning" if left < VARIETY else "note", alike, keep))
        return found


def _is_gibberish(side: Comparison) -> bool:
    before, after = side.before, side.after
    rise, fall = after.loss.value - before.loss.value, before.known.value - after.known.value
    return rise > LOSS_RISE or fall > KNOWN_FALL


def _variety(side: Comparison) -> float:
    """Share of the distinct pairs of words that is left; 1 where there were none."""
    before = side.before.distinct.value
    return side.after.distinct.value / before if before else 1.0


def _reading(side: Comparison) -> str:
    before, after = side.before, side.after
    return (
        f"on {side.name} the log-loss under the starting model went from {before.loss.value:.3f} to "
        f"{_with_interval(after.loss)} nats a character and the share of known words from {before.known.value:.3f} to "
        f"{_with_interval(after.known)}"
    )


def _samples(side: Comparison) -> list[dict[str, str]]:
    """The first story from each of some openings, which are drawn by lot so that nobody chooses them."""
    firsts: dict[str, int] = {}
    for place, story in enumerate(side.before.stories):
        firsts.setdefault(story.answer.group.id, place)
    drawn = sorted(Random(0).sample(list(firsts.values()), min(SAMPLES, len(firsts))))
    pairs = [(side.before.stories[place].answer, side.after.stories[place].answer) for place in drawn]
    return [{"prompt": str(before.group.prompt), "before": before.text, "after": after.text} for before, after in pairs]


def _point(name: str, measured: Measured) -> dict[str, object]:
    score, divergence = measured.score, measured.divergence
    return {
        "name": name,
        "reward": score.value,
        "reward_low": score.low,
        "reward_high": score.high,
        "kl": divergence.value,
        "kl_low": divergence.low,
        "kl_high": divergence.high,
        "n": score.n,
    }


def _finding(severity: str, what: str, fix: str = "") -> dict[str, str]:
    return {"severity": severity, "what": what, "fix": fix}


def _with_interval(estimate: Estimate, *, signed: bool = False) -> str:
    form = "+.3g" if signed else ".3g"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"
