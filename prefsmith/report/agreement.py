"""The page of `eval agreement`: people, judges, places, lengths, methods, file by file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from pydantic import ValidationError

from prefsmith.errors import ConfigError
from prefsmith.report.agreement_tables import (
    Table,
    between_table,
    category_table,
    inline,
    judge_table,
    length_table,
    matchup_table,
    people_table,
    place_table,
)
from prefsmith.report.dots import Dot, dot_plot
from prefsmith.report.excerpt import Drawing, Excerpt, Grid
from prefsmith.report.judged import Figure, Judge, JudgedEvidence, JudgedFile
from prefsmith.report.page import templates, write_page
from prefsmith.report.visible import on_one_line
from prefsmith.wording import counted

CHANCE = 0.5
BESIDE = (
    "An invalid verdict agrees with nobody. Without ties: votes where neither side says tie. Single votes: every vote "
    "of a judge beside every person\u2019s vote on the same answers."
)


@dataclass(frozen=True, slots=True)
class Section:
    """What the page shows of one file."""

    file: JudgedFile
    facts: list[str]
    results: list[str]
    people: Table
    judges: Table
    agreement_plot: Markup | None
    agreement_caption: str
    judges_rule: str
    places: Table
    place_plot: Markup | None
    lengths: Table
    length_plot: Markup | None
    matchups: Table
    between: Table
    categories: Table


def write_agreement_page(folder: Path) -> Path:
    """Draw report.html from the evidence.json of a folder.

    Raises:
        ConfigError: there is no such evidence, or the page cannot be written.
    """
    source = folder / "evidence.json"
    try:
        evidence = JudgedEvidence.model_validate_json(source.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no evidence of `prefsmith eval agreement`"
        fix = "write it again with `prefsmith eval agreement`"
        raise ConfigError("report.evidence", f"cannot be read: {reason}", where=str(source), fix=fix) from error
    path = folder / "report.html"
    write_page(path, agreement_page(evidence))
    return path


def agreement_page(evidence: JudgedEvidence) -> str:
    """The page as HTML; the same evidence gives the same text."""
    sections = [_section(number, file) for number, file in enumerate(evidence.files)]
    return (
        templates()
        .get_template("agreement.html")
        .render(version=evidence.version, evidence=evidence, sections=sections)
    )


def agreement_excerpt(evidence: JudgedEvidence, name: str) -> Excerpt:
    """What the page of a run says of it.

    Args:
        evidence: the whole of it.
        name: unique in the page, for the drawings.
    """
    drawings, grids, said = [], [], []
    for number, file in enumerate(evidence.files):
        of = f"{file.name}: " if len(evidence.files) > 1 else ""
        said += [f"{of}{sentence}" for sentence in results(file)]
        plot = _agreement_plot(f"{name}-agreement-{number}", file)
        drawings += [] if plot is None else [Drawing(plot, f"{of}{_agreement_caption(file)}")]
        table = judge_table(file.whole)
        grids.append(Grid(f"{of}{table.name}", table.header, tuple(table.rows), _judges_rule(file)))
    return Excerpt(
        title=f"Judges and people in {', '.join(file.name for file in evidence.files)}",
        results=tuple(said),
        drawings=tuple(drawings),
        grids=tuple(grids),
        warnings=tuple(warning for file in evidence.files for warning in file.warnings),
    )


def _section(number: int, file: JudgedFile) -> Section:
    judges = file.whole.judges
    placed = [judge for judge in judges if judge.position is not None]
    return Section(
        file=file,
        facts=_facts(file),
        results=list(results(file)),
        people=people_table(file.whole),
        judges=judge_table(file.whole),
        agreement_plot=_agreement_plot(f"agreement-{number}", file),
        agreement_caption=_agreement_caption(file),
        judges_rule=_judges_rule(file),
        places=place_table(placed),
        place_plot=_plot(
            f"place-{number}", "Share of the first place", "votes for the answer shown first",
            _dots([(judge.name, judge.position.rate) for judge in placed if judge.position]), CHANCE,
        ),
        lengths=length_table(file),
        length_plot=_plot(
            f"length-{number}", "Share of the longer answer", "votes for the longer answer",
            [*_dots([("most people", file.whole.length.rate)], hollow=True),
             *_dots([(judge.name, judge.length.rate) for judge in judges])], CHANCE,
        ),
        matchups=matchup_table(file),
        between=between_table(file),
        categories=category_table(file),
    )  # fmt: skip


def results(file: JudgedFile) -> Iterator[str]:
    """What the file says, in sentences."""
    people, judges = file.whole.people, file.whole.judges
    if people.agreement.value is not None:
        yield f"Two people say the same in {inline(people.agreement)} of what both judged."
    known = [judge for judge in judges if judge.majority.value is not None]
    if known:
        said = "what people say" if people.agreement.n == 0 else "what most people say"
        first = f"{on_one_line(known[0].name)} says {said} in {inline(known[0].majority)} of its votes"
        last = f"of {len(known)} judges that is the most, and {on_one_line(known[-1].name)} says it least"
        yield f"{first}." if len(known) == 1 else f"{first}; {last}, in {inline(known[-1].majority)}."
    asked = [judge for judge in judges if judge.position is not None and judge.position.consistent.n > 0]
    swayed = [judge for judge in asked if (rate := _rate_of_places(judge)) is not None and not _holds(rate, CHANCE)]
    if swayed:
        worst = max(swayed, key=lambda judge: abs(_value(judge) - CHANCE))
        yield (
            f"The place of an answer sways {len(swayed)} of {len(asked)} judges, "
            f"most of all {on_one_line(worst.name)}: it votes for the answer shown first in {_value(worst):.1%}."
        )


def _facts(file: JudgedFile) -> list[str]:
    whole = file.whole
    people, judges = whole.people.annotators, len(whole.judges)
    found = [
        f"{counted(whole.pairs, 'pair')} of answers to {counted(whole.prompts, 'prompt')}",
        f"{people:,} {'person' if people == 1 else 'people'}, {counted(judges, 'judge')}",
        f"rows of the form {file.form}",
    ]
    found += [f"{sum(file.refused.values()):,} rows refused"] if file.refused else []
    digest = file.digest.get("sha256")
    return [*found, *([f"sha256 {digest[:12]}"] if digest else [])]


def _agreement_plot(name: str, file: JudgedFile) -> Markup | None:
    dots = [
        *_dots([("people, two by two", file.whole.people.agreement)], hollow=True),
        *_dots([(judge.name, judge.majority) for judge in file.whole.judges]),
    ]
    return _plot(name, "Agreement with people", "votes that say what people say", dots)


def _agreement_caption(file: JudgedFile) -> str:
    said = "Filled dots: votes of a judge that say what most people say of the same answers, ties among the labels."
    if file.whole.people.agreement.value is None:
        return said
    return f"{said} The hollow square: two people beside each other, who are no majority."


def _judges_rule(file: JudgedFile) -> str:
    return BESIDE if file.whole.people.annotators else ""


def _plot(name: str, title: str, unit: str, dots: Sequence[Dot], level: float | None = None) -> Markup | None:
    return dot_plot(name, title, unit, dots, level=level) if dots else None


def _dots(named: Sequence[tuple[str, Figure]], *, hollow: bool = False) -> list[Dot]:
    return [Dot(name, each.value, each.low, each.high, hollow) for name, each in named if each.value is not None]


def _rate_of_places(judge: Judge) -> Figure | None:
    return judge.position.rate if judge.position is not None and judge.position.rate.value is not None else None


def _value(judge: Judge) -> float:
    rate = _rate_of_places(judge)
    return CHANCE if rate is None or rate.value is None else rate.value


def _holds(figure: Figure, value: float) -> bool:
    """Whether the interval holds a value, or is not known."""
    return figure.low is None or figure.high is None or figure.low <= value <= figure.high
