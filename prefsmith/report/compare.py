"""Several runs on one page: what differs between them, and what came of it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from prefsmith.errors import ConfigError
from prefsmith.report.curves import ACCURACY, CHOSEN, GRADIENT, LOSS, MARGIN, RATE, REJECTED, Quantity, points
from prefsmith.report.frontier import frontier_plot
from prefsmith.report.page import state_words, templates, write_page
from prefsmith.report.plots import Series, overlay_plot, swatch
from prefsmith.report.run import RecordedRun
from prefsmith.report.summary import accuracy_parts, interval, run_findings, run_kl, signed
from prefsmith.report.tables import loss_words, steps_words, words
from prefsmith.train.findings import Finding, number, written

OVERLAID = (LOSS, MARGIN, ACCURACY, CHOSEN, REJECTED, GRADIENT, RATE)
TITLES = {"chosen_logratio": "Chosen log-ratio", "rejected_logratio": "Rejected log-ratio"}


@dataclass(frozen=True, slots=True)
class Member:
    """A run of a comparison.

    Args:
        letter: its name in the drawings.
        swatch: how its line looks.
        run: what was read of it.
        state: in words.
        results: its final numbers and the interval of each, in the order of `RESULTS`.
        warnings: of its findings.
    """

    letter: str
    swatch: Markup
    run: RecordedRun
    state: str
    results: tuple[tuple[str, str], ...]
    warnings: tuple[Finding, ...]


RESULTS = (
    "loss",
    "steps",
    "accuracy, held out",
    "\u201cshorter is better\u201d",
    "margin, nats",
    "chosen, nats",
    "rejected, nats",
    "KL, nats",
)


def compare(runs: Sequence[RecordedRun]) -> str:
    """The comparison as HTML; the same files give the same text."""
    members = [_member(index, run) for index, run in enumerate(runs)]
    return (
        templates()
        .get_template("compare.html")
        .render(
            members=members,
            header=RESULTS,
            remarks=_remarks(members),
            differences=differing_settings(runs),
            curves=[(_title(each), each.caption, _overlay(each, members)) for each in OVERLAID if _has(each, runs)],
            frontier=_frontier(members),
        )
    )


def write_comparison(runs: Sequence[RecordedRun], path: Path | None = None) -> Path:
    """Write the comparison, by default as comparison.html into the folder that the runs have in common.

    Raises:
        ConfigError: a run is given twice, or the page cannot be written.
    """
    places = [run.folder.resolve() for run in runs]
    for index, place in enumerate(places):
        if place in places[:index]:
            what, fix = "the same run is given twice", "name each run once"
            raise ConfigError("report.twice", what, where=str(runs[index].folder), fix=fix)
    path = path or Path(os.path.commonpath([place.parent for place in places])) / "comparison.html"
    write_page(path, compare(runs))
    return path


def differing_settings(runs: Sequence[RecordedRun]) -> list[tuple[str, tuple[str, ...]]]:
    """The settings that are not the same in all runs, with the value of each; empty where a run has no such setting."""
    keys = dict.fromkeys(key for run in runs for key in run.settings if key != "out")
    found = []
    for key in keys:
        values = tuple(words(run.settings[key]) if key in run.settings else "" for run in runs)
        if len(set(values)) > 1:
            found.append((key, values))
    return found


def letter_of(index: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    return (letter_of(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def _member(index: int, run: RecordedRun) -> Member:
    last = run.evaluations[-1] if run.evaluations else run.train[-1] if run.train else {}
    margin, chosen, rejected = (number(last, key) for key in ("margin", "chosen_logratio", "rejected_logratio"))
    kl, letter = run_kl(run), letter_of(index)
    results = (
        (loss_words(run), ""),
        (steps_words(run), ""),
        accuracy_parts(last if run.evaluations else {}),
        accuracy_parts(last if run.evaluations else {}, "shorter_accuracy"),
        *(("" if each is None else signed(each), "") for each in (margin, chosen, rejected)),
        ("", "") if kl is None else (written(kl.value), interval(kl)),
    )
    warnings = tuple(each for each in run_findings(run) if each.severity == "warning")
    return Member(letter, swatch(index, f"run-{letter}"), run, state_words(run), results, warnings)


def _remarks(members: Sequence[Member]) -> list[str]:
    """Why some numbers of these runs cannot be laid beside each other."""
    found = []
    for name, key in (
        ("They do not start from the same model", lambda run: run.model.get("sha256")),
        ("They are not evaluated on the same held-out rows, so their accuracies are not of the same pairs", _held_out),
        ("Their losses differ, so the values of the loss are not on one scale", _losses),
    ):
        groups: dict[object, list[str]] = {}
        for member in members:
            groups.setdefault(key(member.run), []).append(member.letter)
        if len(groups) > 1:
            found.append(f"{name} ({'; '.join(', '.join(letters) for letters in groups.values())}).")
    if any(not member.run.evaluations for member in members):
        letters = ", ".join(member.letter for member in members if not member.run.evaluations)
        found.append(
            f"No held-out rows were evaluated in {letters}: margins and log-ratios are of the last step there."
        )
    return found


def _held_out(run: RecordedRun) -> object:
    """What decides which rows are held out."""
    files = [run.data.get(side) for side in ("train", "eval")]
    digests = tuple(file.get("sha256") if isinstance(file, dict) else None for file in files)
    encoded = run.data.get("eval_encoded")
    groups = encoded.get("groups") if isinstance(encoded, dict) else None
    if digests[1] is not None:
        return digests[1], groups
    return digests[0], groups, run.settings.get("data.eval_fraction")


def _losses(run: RecordedRun) -> object:
    return tuple((key, words(value)) for key, value in run.settings.items() if key.startswith("loss"))


def _has(quantity: Quantity, runs: Sequence[RecordedRun]) -> bool:
    return any(points([*run.train, *run.evaluations], quantity.key) for run in runs)


def _title(quantity: Quantity) -> str:
    return TITLES.get(quantity.key, quantity.title)


def _overlay(quantity: Quantity, members: Sequence[Member]) -> Markup:
    lines = [
        (
            member.letter,
            Series("training", points(member.run.train, quantity.key)),
            Series("held out", points(member.run.evaluations, quantity.key)),
        )
        for member in members
    ]
    ends = (f"{letter}: {steps.points[-1][1]:.4g}" for letter, steps, _ in lines if steps.points)
    description = f"Last step of each run. {'; '.join(ends)}."
    return overlay_plot(f"overlay-{quantity.key}", f"{_title(quantity)} of the runs", description, quantity.unit, lines)


def _frontier(members: Sequence[Member]) -> Markup | None:
    found = [
        (index, member.letter, member.run.evidence.frontier)
        for index, member in enumerate(members)
        if member.run.evidence is not None and member.run.evidence.frontier is not None
    ]
    return frontier_plot("frontier", "Reward against KL of the runs", found) if found else None
