"""What `eval agreement` writes into evidence.json, checked before it is shown."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from prefsmith.report.evidence import Part


class Figure(Part):
    """A number, its 95 % interval, and what it is of."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    prompts: int
    hits: float | None
    method: Literal["wilson", "bootstrap", "none"]
    alone: tuple[float, float] | None
    why: str


class People(Part):
    """What people said, and how far they agree with each other."""

    annotators: int
    votes: Mapping[str, int]
    votes_per_pair: Mapping[int, int]
    majority: Mapping[str, int]
    unanimous: int
    agreement: Figure
    without_ties: Figure
    fleiss: Figure
    alpha: Figure


class Longer(Part):
    """Verdicts by which answer is the longer one."""

    longer: int
    shorter: int
    equal: int
    unknown: int
    rate: Figure


class Lengths(Part):
    """The lengths of the answers."""

    answers: int
    unknown: int
    mean: float | None
    median: float | None
    p05: float | None
    p95: float | None
    longest: float | None


class Position(Part):
    """The part that places play for a judge."""

    first_place: int
    second_place: int
    rate: Figure
    in_order: Figure
    swapped: Figure
    both_right: Figure
    consistent: Figure
    always_first: int
    always_second: int
    p_value: float | None


class WithPerson(Part):
    """A judge beside one person."""

    name: str
    agreement: Figure
    kappa: Figure


class Judge(Part):
    """A judge beside people."""

    name: str
    votes: Mapping[str, int]
    pairs: int
    majority: Figure
    majority_without_ties: Figure
    kappa: Figure
    single: Figure
    single_without_ties: Figure
    people: tuple[WithPerson, ...]
    position: Position | None
    length: Longer


class Whole(Part):
    """Some pairs, and what was said of them."""

    pairs: int
    prompts: int
    people: People
    lengths: Lengths
    length: Longer
    judges: tuple[Judge, ...]


class Category(Part):
    """The pairs of which a column has one value."""

    column: str
    value: str
    part: Whole


class Between(Part):
    """Two annotators beside each other."""

    first: str
    second: str
    agreement: Figure
    kappa: Figure


class Rate(Part):
    """How often a method wins for one judge, or for people."""

    name: str
    wins: int
    losses: int
    ties: int
    invalid: int
    win_rate: Figure
    agreement: Figure
    agreement_without_ties: Figure
    z_to_next: float | None


class Matchup(Part):
    """One method beside another."""

    method: str
    against: str
    pairs: int
    majority: Mapping[str, int]
    people: Rate | None
    judges: tuple[Rate, ...]


class Note(Part):
    """What was odd in the file."""

    what: str
    count: int
    places: tuple[str, ...]


class JudgedFile(Part):
    """The agreement in one file."""

    name: str
    form: str
    rows: int
    refused: Mapping[str, int]
    unit: str
    whole: Whole
    between_people: tuple[Between, ...]
    between_judges: tuple[Between, ...]
    categories: tuple[Category, ...]
    matchups: tuple[Matchup, ...]
    warnings: tuple[str, ...]
    notes: tuple[Note, ...]
    digest: Mapping[str, str]


class JudgedEvidence(Part):
    """All of it."""

    kind: Literal["agreement"]
    version: str
    seed: int
    draws: int
    files: tuple[JudgedFile, ...] = Field(min_length=1)
