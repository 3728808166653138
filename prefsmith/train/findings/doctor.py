"""Findings while a run goes on: each is told once, when it can be known."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prefsmith.config import RunConfig
from prefsmith.train.findings.finding import Finding, Row
from prefsmith.train.findings.overview import findings
from prefsmith.train.findings.rows import row_findings, tokens_per_completion
from prefsmith.train.findings.samples import Sample, sample_of

LOOKS = 20
"""Times that a run is looked at between its evaluations."""
FROM = {
    "off_policy": 0.0,
    "outside_domain": 0.0,
    "kl_budget_passed": 0.0,
    "saturated": 0.1,
    "overfit": 0.25,
    "chosen_fell": 0.25,
    "gradient_grows": 0.25,
    "loss_rose": 0.25,
    "below_chance": 0.25,
    "loss_still": 0.5,
}
"""What can be acted on while a run goes on, and the share of its steps after which it is believed."""


class Doctor:
    """Looks at the rows of a run as they come, and tells what stands out.

    Args:
        folder: of the run; samples and the rows of earlier starts are read from it.
        steps: of the whole run.
        config: its settings.
        data: what data.json says.
        say: is given a line for each finding, `warning:` or `note:` in front.
    """

    def __init__(
        self, folder: Path, steps: int, config: RunConfig, data: Mapping[str, object], say: Callable[[str], None]
    ) -> None:
        self.folder, self.steps, self.config, self.data, self.say = folder, steps, config, data, say
        self.rows: list[Row] = []
        self._told: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """Take over what earlier starts of the run wrote; what could be told then was told."""
        self.rows = list(_objects(self.folder / "metrics.jsonl"))
        self._told = {_key(each) for each in self._found()} if self.rows else set()

    def see(self, row: Row) -> None:
        """Take the next row, and tell what is new; evaluations and every twentieth of the run are looked at."""
        self.rows.append(row)
        step = row.get("step")
        if row.get("split") == "eval" or (isinstance(step, int) and step % max(1, self.steps // LOOKS) == 0):
            self._tell(self._found())

    def end(self) -> None:
        """Tell the warnings that only a whole run gives; what was done to rows was said when they were read."""
        about_rows = {each.name for each in row_findings(self.data)}
        self._tell(each for each in self._all() if each.severity == "warning" and each.name not in about_rows)

    def _found(self) -> list[Finding]:
        """What can be believed by now and acted on."""
        done = sum(row.get("split") != "eval" for row in self.rows) / max(1, self.steps)
        return [each for each in self._all() if each.severity != "good" and done >= FROM.get(each.name, 2.0)]

    def _all(self) -> list[Finding]:
        return findings(
            self.rows,
            self._samples(),
            data=self.data,
            config=self.config,
            tokens_per_completion=tokens_per_completion(self.data, self.rows),
        )

    def _samples(self) -> list[Sample]:
        drawn = (sample_of(row) for row in _objects(self.folder / "samples.jsonl"))
        return [each for each in drawn if each is not None]

    def _tell(self, found: Iterable[Finding]) -> None:
        for each in found:
            if _key(each) not in self._told:
                self._told.add(_key(each))
                self.say(line_of(each))


def line_of(finding: Finding) -> str:
    """A finding on one line of a terminal; the name in brackets is its section in docs/doctor.md."""
    parts = [f"{finding.severity}: [{finding.name}] {finding.what}", finding.amount]
    parts += [f"What helps: {finding.fix}"] if finding.fix else []
    return " ".join(part for part in parts if part)


def _key(finding: Finding) -> tuple[str, str]:
    """A note that becomes a warning is told again."""
    return finding.name, finding.severity


def _objects(path: Path) -> Iterator[dict[str, object]]:
    """The objects of a file of lines, as far as they are whole; nothing where it is not there."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value
