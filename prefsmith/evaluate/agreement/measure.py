"""All of it for one file: people, judges, places, lengths, categories, methods; and what the numbers cannot say."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from prefsmith.data.votes.judgements import Judgements
from prefsmith.evaluate.agreement.ballots import Ballots, ballots, majority
from prefsmith.evaluate.agreement.between import MOST, Between, between
from prefsmith.evaluate.agreement.figure import Gauge
from prefsmith.evaluate.agreement.judges import Judge, judge
from prefsmith.evaluate.agreement.length import Lengths, Longer, lengths, longer
from prefsmith.evaluate.agreement.matchups import Matchup, matchups
from prefsmith.evaluate.agreement.people import People, people
from prefsmith.wording import counted

FEW = 30
"""Prompts below which an interval is a rough guess."""
MOST_VALUES = 100
"""Values of a category that are told apart."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of some pairs.

    Args:
        pairs: how many.
        prompts: how many different ones.
        people: among themselves.
        lengths: of the answers.
        length: what most people say, by which answer is the longer one: how far "the longer one" is a judge too.
        judges: each beside people, those who agree most first.
    """

    pairs: int
    prompts: int
    people: People
    lengths: Lengths
    length: Longer
    judges: tuple[Judge, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """The pairs of which a column has one value."""

    column: str
    value: str
    part: Part


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of a file.

    Args:
        name: of the file.
        form: of its rows.
        rows: that were read.
        refused: of these, by the code of the error.
        unit: of lengths.
        whole: of all pairs.
        between_people: two by two, where they are few and have names.
        between_judges: two by two, where they are few.
        categories: the same as for the whole, for each value of each category.
        matchups: method against method.
        warnings: what makes these numbers less than they seem.
        notes: what was odd in the file: what, how often, where first.
        digest: of the file.
    """

    name: str
    form: str
    rows: int
    refused: dict[str, int]
    unit: str
    whole: Part
    between_people: list[Between]
    between_judges: list[Between]
    categories: list[Category]
    matchups: list[Matchup]
    warnings: list[str]
    notes: list[dict[str, object]]
    digest: dict[str, str]

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return asdict(self)


def measure(judgements: Judgements, gauge: Gauge | None = None) -> Agreement:
    """Measure the agreement in a file.

    Args:
        judgements: that were read.
        gauge: makes the figures; the usual draws where left out.
    """
    gauge, votes = gauge or Gauge(), ballots(judgements)
    whole = _part(votes, gauge)
    persons, judges = votes.voters(people=True), votes.voters(people=False)
    return Agreement(
        name=judgements.name,
        form=judgements.form,
        rows=judgements.rows,
        refused=dict(judgements.refused),
        unit=judgements.unit,
        whole=whole,
        between_people=between(votes, persons, gauge) if votes.named else [],
        between_judges=between(votes, judges, gauge),
        categories=_categories(votes, gauge),
        matchups=matchups(votes, gauge),
        warnings=_warnings(votes, whole, persons, judges),
        notes=[{"what": each.what, "count": each.count, "places": each.places} for each in judgements.notes],
        digest=dict(judgements.digest),
    )


def _part(votes: Ballots, gauge: Gauge) -> Part:
    counts = votes.counts()
    labels = majority(counts)
    judges = [judge(votes, each, counts, labels, gauge) for each in votes.voters(people=False)]
    judges.sort(key=lambda each: (-(each.majority.value or 0.0), each.name))
    every = np.arange(votes.pairs)
    length = longer(votes, every, labels, gauge)
    return Part(votes.pairs, votes.prompts, people(votes, gauge), lengths(votes), length, tuple(judges))


def _categories(votes: Ballots, gauge: Gauge) -> list[Category]:
    found = []
    for column, values in votes.categories.items():
        names = sorted({value for value in values if value is not None})
        if len(names) <= MOST_VALUES:
            chosen = {name: np.array([value == name for value in values]) for name in names}
            found += [Category(column, name, _part(votes.of_pairs(mask), gauge)) for name, mask in chosen.items()]
    return found


def _warnings(votes: Ballots, whole: Part, persons: Sequence[int], judges: Sequence[int]) -> list[str]:
    missing, left_out = _missing(votes, whole, persons, judges), _left_out(votes, persons, judges)
    return [*_few_prompts(whole), *_one_way(whole), *missing, *left_out]


def _few_prompts(whole: Part) -> Iterator[str]:
    """Intervals that are rough, since little is independent."""
    if whole.prompts < FEW:
        only = f"only {counted(whole.prompts, 'different prompt')}"
        yield f"{only}: intervals of fewer than {FEW} are rough, and mostly too short"
        return
    few = [each for each in whole.judges if 0 < each.majority.prompts < FEW]
    if few:
        named = ", ".join(f"{each.name} ({each.majority.prompts})" for each in few[:MOST])
        yield f"judges beside people on fewer than {FEW} prompts, so that their intervals are rough: {named}"


def _one_way(whole: Part) -> Iterator[str]:
    """Rates of the first place that may be due to where the better answers stood."""
    places = {each.name: each.position for each in whole.judges if each.position is not None}
    if once := [name for name, place in places.items() if place.consistent.n == 0]:
        named = ", ".join(once[:MOST])
        yield f"judges that were shown no pair both ways, so that better answers may have stood first: {named}"


def _missing(votes: Ballots, whole: Part, persons: Sequence[int], judges: Sequence[int]) -> Iterator[str]:
    """Who is not there to be compared."""
    if not persons:
        yield "nobody in this file is a person: judges are laid beside each other, not beside people"
    elif whole.people.agreement.n == 0:
        yield "no pair has votes of two people: how far people agree with each other is not known"
    if len({judge.pairs for judge in whole.judges}) > 1:
        fewest, most = (pick(judge.pairs for judge in whole.judges) for pick in (min, max))
        some = f"judges did not judge the same pairs, but from {fewest:,} to {most:,} of them"
        yield f"{some}: how they compare may be due to that"
    if not judges:
        yield "no annotator in this file is a judge"
    if persons and not votes.named:
        yield "people have no names here: they are not compared one by one"


def _left_out(votes: Ballots, persons: Sequence[int], judges: Sequence[int]) -> Iterator[str]:
    """What would make tables that nobody reads."""
    for kind, some in (("people", persons), ("judges", judges)):
        if len(some) > MOST and (kind == "judges" or votes.named):
            yield f"{len(some):,} {kind} are not compared two by two; up to {MOST} are"
    for column, values in votes.categories.items():
        if (several := len(set(values))) > MOST_VALUES:
            yield f"{column} has {several:,} values; up to {MOST_VALUES} are told apart"
