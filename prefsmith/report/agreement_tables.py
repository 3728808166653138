"""The numbers of `eval agreement` as tables: each cell with its interval and count below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefsmith.report.excerpt import Cell
from prefsmith.report.judged import Figure, Judge, JudgedFile, Rate, Whole
from prefsmith.wording import counted

FEW = 30
"""Prompts below which an interval is a rough guess."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells below a heading; the first cell of a row is its name."""

    name: str
    header: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


def people_table(whole: Whole) -> Table:
    """What people said, and how far they agree; empty without people."""
    people = whole.people
    rows: list[tuple[Cell, ...]] = [
        (("votes that agree, two by two", ""), _share(people.agreement)),
        (("the same without ties", ""), _share(people.without_ties)),
        (("Fleiss\u2019 kappa", ""), _number(people.fleiss)),
        (("Krippendorff\u2019s alpha", ""), _number(people.alpha)),
        (("votes", ""), (_counts(people.votes), "")),
        (("pairs by what most people say", ""), (_counts(people.majority), "")),
        (("pairs on which all of several people agree", ""), (f"{people.unanimous:,}", "")),
        (
            ("pairs by number of votes", ""),
            ("; ".join(f"{n} votes: {k:,}" for n, k in people.votes_per_pair.items()), ""),
        ),
    ]
    return Table("People", ("measure", ""), rows if people.annotators else [])


def judge_table(whole: Whole) -> Table:
    """Each judge beside people; without people, what it said."""
    header = ("judge", "votes", "ties", "invalid")
    rows: list[tuple[Cell, ...]] = [
        (
            (judge.name, f"{judge.pairs:,} pairs"),
            (f"{sum(judge.votes.values()):,}",),
            (f"{judge.votes['tie']:,}",),
            (f"{judge.votes['invalid']:,}",),
        )
        for judge in whole.judges
    ]
    if not whole.people.annotators:
        return Table("Judges", header, rows)
    header += ("agrees with most people", "without ties", "kappa", "agrees with single votes", "without ties")
    return Table("Judges", header, [(*row, *_beside(judge)) for row, judge in zip(rows, whole.judges, strict=True)])


def _beside(judge: Judge) -> tuple[Cell, ...]:
    most, plain = _share(judge.majority), _share(judge.majority_without_ties)
    return most, plain, _number(judge.kappa), _share(judge.single), _share(judge.single_without_ties)


def place_table(judges: Sequence[Judge]) -> Table:
    """The part that places play for each judge of whom presentations are known."""
    header = ("judge", "for the first place", "same both ways", "right, in order", "right, swapped",
              "right both ways", "always first : second", "swap test, p")  # fmt: skip
    rows = [
        (
            (judge.name, ""),
            _share(place.rate),
            _share(place.consistent),
            _share(place.in_order),
            _share(place.swapped),
            _share(place.both_right),
            (f"{place.always_first:,} : {place.always_second:,}", ""),
            ("" if place.p_value is None else f"{place.p_value:.2g}", ""),
        )
        for judge in judges
        if (place := judge.position) is not None
    ]
    return Table("Places", header, rows)


def length_table(file: JudgedFile) -> Table:
    """Who votes for the longer answer."""
    header = ("who", "for the longer answer", "longer", "shorter", "as long", "length unknown")
    said = [("most people", file.whole.length), *((judge.name, judge.length) for judge in file.whole.judges)]
    rows = [
        (
            (name, ""),
            _share(each.rate),
            *((f"{count:,}", "") for count in (each.longer, each.shorter, each.equal, each.unknown)),
        )
        for name, each in said
        if each.rate.n
    ]
    return Table("Lengths", header, rows)


def matchup_table(file: JudgedFile) -> Table:
    """Each method beside each opponent, for people and for each judge."""
    header = ("method", "against", "who", "votes", "win rate", "z to the next")
    beside = file.whole.people.annotators > 0
    rows: list[tuple[Cell, ...]] = []
    for each in file.matchups:
        for rate in ([each.people] if each.people else []) + list(each.judges):
            agreement = (_share(rate.agreement), _share(rate.agreement_without_ties)) if beside else ()
            rows.append(((each.method, f"{each.pairs:,} pairs"), (each.against,), *_rate_cells(rate), *agreement))
    return Table("Methods", (*header, "agrees with people", "without ties") if beside else header, rows)


def _rate_cells(rate: Rate) -> tuple[Cell, ...]:
    odd = [f"{rate.ties:,} ties"] * (rate.ties > 0) + [f"{rate.invalid:,} invalid"] * (rate.invalid > 0)
    z = "" if rate.z_to_next is None else f"{rate.z_to_next:.2f}"
    return (rate.name or "people",), (f"{rate.wins + rate.losses + rate.ties:,}", *odd), _share(rate.win_rate), (z,)


def between_table(file: JudgedFile) -> Table:
    """Annotators two by two."""
    rows: list[tuple[Cell, ...]] = [
        ((each.first, ""), (each.second, ""), _share(each.agreement), _number(each.kappa))
        for each in (*file.between_people, *file.between_judges)
    ]
    rows += [
        ((judge.name, ""), (person.name, ""), _share(person.agreement), _number(person.kappa))
        for judge in file.whole.judges
        for person in judge.people
    ]
    return Table("Two by two", ("one", "other", "agree", "Cohen\u2019s kappa"), rows)


def category_table(file: JudgedFile) -> Table:
    """The same for the pairs of each category."""
    header = (
        "category",
        "who",
        "agrees with most people",
        "without ties",
        "for the first place",
        "same both ways",
        "for the longer",
    )
    rows: list[tuple[Cell, ...]] = []
    for each in file.categories:
        name = (f"{each.column} {each.value}", f"{each.part.pairs:,} pairs")
        people, none = each.part.people, ("", "")
        shares = (_share(people.agreement), _share(people.without_ties), none, none, _share(each.part.length.rate))
        rows.append((name, ("people, two by two", ""), *shares))
        for judge in each.part.judges:
            place = judge.position
            places = (none, none) if place is None else (_share(place.rate), _share(place.consistent))
            agreeing = (_share(judge.majority), _share(judge.majority_without_ties))
            rows.append((name, (judge.name, ""), *agreeing, *places, _share(judge.length.rate)))
    return Table("Categories", header, rows)


def _share(figure: Figure) -> Cell:
    if figure.value is None:
        return "", figure.why if figure.why and figure.n else ""
    return f"{100 * figure.value:.1f} %", _ends(figure, 100, ".1f"), *_basis(figure)


def _number(figure: Figure) -> Cell:
    if figure.value is None:
        return "", figure.why
    return f"{figure.value:.3f}", _ends(figure, 1, ".3f"), *_basis(figure)


def _basis(figure: Figure) -> Cell:
    """What a figure is of; few prompts are said beside every interval."""
    few = figure.prompts < FEW
    return f"n = {figure.n:,}", *([f"only {counted(figure.prompts, 'prompt')}"] if few else [])


def _ends(figure: Figure, scale: float, form: str) -> str:
    if figure.low is None or figure.high is None:
        return figure.why
    return f"[{scale * figure.low:{form}}, {scale * figure.high:{form}}]"


def inline(figure: Figure) -> str:
    """A share and its interval in a sentence."""
    return " ".join(_share(figure)[:2]).strip()


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())
