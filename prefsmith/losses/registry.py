"""What the rest of the program may know about a loss.

A loss is a pure function of scores and labels that returns one value per comparison, rating or ranked list. Its
keyword-only parameters are its settings, their annotations the types and ranges; its docstring is its page; its
registration puts it on the command line and under the contract tests. Adding one touches one file.

A loss with memory takes `state` as its third argument, one that draws takes `noise` behind that: everything it knows
comes in through its arguments.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from jaxtyping import Float64
from torch import Tensor

from prefsmith.errors import ConfigError, nearest
from prefsmith.types import Labels, SequenceScores

Losses = Float64[Tensor, " label"]
"""One value per comparison, rating or ranked list, in the order of the labels."""

LossFn = Callable[..., Losses]
State = Mapping[str, float]
Noise = Float64[Tensor, " label"]
"""One uniform number in (0, 1) per label."""

Kind = Literal["pairwise", "unpaired", "listwise"]
Need = Literal["reference", "per_token", "confidence", "kl", "scores", "score_order"]
"""`scores`: every label has a judge's numbers; `score_order`: and chosen's is above rejected's."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a setting may be: from `low` to `high`, ends included unless open."""

    low: float = float("-inf")
    high: float = float("inf")
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether the number is inside; NaN never is."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        return f"{'(' if self.open_low else '['}{self.low:g}, {self.high:g}{')' if self.open_high else ']'}"


Positive = Annotated[float, Range(0.0, float("inf"), open_low=True, open_high=True)]
NonNegative = Annotated[float, Range(0.0, float("inf"), open_high=True)]


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a loss is computed as it stands; beyond, it is continued linearly and counted.

    Args:
        low: least log policy - log reference of a completion (log policy for a loss without a reference), in nats.
        high: most of it.
        per_token: whether the bounds are for the mean over the completion's tokens.
    """

    low: float = -1e5
    high: float = 1e5
    per_token: bool = False

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}] nats{' per token' if self.per_token else ''}"


@dataclass(frozen=True, slots=True)
class Memory:
    """What a loss carries from one optimiser step to the next.

    Args:
        start: the state before the first step, by the loss's settings.
        advance: the state after a step, `(state, scores, labels, **settings)`. The scores are those of the whole
            training step, without gradient; evaluation never advances.
    """

    start: Callable[..., State]
    advance: Callable[..., State]


@dataclass(frozen=True, slots=True)
class Entry:
    """A loss and the facts it declares.

    Args:
        name: its name in settings.
        fn: the function itself, `.fn(scores, labels, [state], [noise], **settings)`.
        kind: whether it reads comparisons, ratings or ranked lists.
        needs: what scores and labels must hold beside the policy's log-probabilities.
        soft_labels: what a probability between 0 and 1 means in it; None where it means nothing and is refused.
        neutral_tie: whether probability 1/2 pulls nowhere where policy equals reference (or says the same of both
            sides), as far as it takes soft labels.
        across_step: whether a value depends on other comparisons. Such a loss gets the whole step at once.
        mismatched: whether it looks at answers to other prompts.
        desirable_only: whether undesirable completions are of no use to it.
        memory: what it carries from step to step; None for most.
        random: whether it draws: it is given `noise` in training and None in evaluation, where nothing is drawn.
        start: its value where policy equals reference, as a function of scores, labels and settings; None where the
            value depends on the policy itself.
        first_move: the sign of the first change of log-probability that lowers it, for (chosen, rejected),
            (desirable, undesirable) or (best, worst); 0 where it has no say; None where it depends on the data.
        domain: where it is computed as it stands.
        averaged: whether its reward is of the mean log-ratio per token, and not of a whole answer's.
    """

    name: str
    fn: LossFn
    kind: Kind
    needs: frozenset[Need]
    soft_labels: str | None
    neutral_tie: bool
    across_step: bool
    mismatched: bool
    desirable_only: bool
    memory: Memory | None
    random: bool
    start: Callable[..., Losses] | None
    first_move: tuple[int, int] | None
    domain: Domain
    averaged: bool

    @property
    def settings(self) -> dict[str, inspect.Parameter]:
        """The keyword-only parameters: the signature is the schema."""
        parameters = inspect.signature(self.fn).parameters.values()
        return {each.name: each for each in parameters if each.kind is each.KEYWORD_ONLY}

    @property
    def defaults(self) -> dict[str, Any]:
        """Every setting's default."""
        return {name: parameter.default for name, parameter in self.settings.items()}

    @property
    def needs_reference(self) -> bool:
        """Whether the loss compares the policy with a reference."""
        return "reference" in self.needs


@dataclass(frozen=True, slots=True)
class Term:
    """One term of an objective: a loss with its settings fixed, and how much it counts."""

    entry: Entry
    settings: Mapping[str, Any]
    weight: float = 1.0

    def __call__(
        self, scores: SequenceScores, labels: Labels, state: State | None = None, noise: Noise | None = None
    ) -> Losses:
        """The loss of each label. Without a state it is the one before the first step; without noise none is drawn."""
        more: list[object] = []
        if self.entry.memory is not None:
            more.append(self.first_state() if state is None else state)
        if self.entry.random:
            more.append(noise)
        return self.entry.fn(scores, labels, *more, **self.settings)

    def first_state(self) -> State:
        """What a loss with memory knows before the first step; nothing for others."""
        return {} if self.entry.memory is None else self.entry.memory.start(**self.settings)

    def next_state(self, state: State, scores: SequenceScores, labels: Labels) -> State:
        """What it knows after a step; `scores` are those of the whole step, without gradient."""
        memory = self.entry.memory
        return state if memory is None else memory.advance(state, scores, labels, **self.settings)

    def start(self, scores: SequenceScores, labels: Labels) -> Losses | None:
        """What the loss declares for a policy that equals its reference."""
        return None if self.entry.start is None else self.entry.start(scores, labels, **self.settings)

    @property
    def beta(self) -> float | None:
        """The setting that turns nats into reward: beta times a whole answer's log-ratio is the loss's own reward.

        None where the loss has none, has no reference, or has its reward per token.
        """
        value = self.settings.get("beta", self.settings.get("tau"))
        averaged = self.entry.averaged or self.settings.get("length_norm") == "token"
        return None if value is None or averaged or not self.entry.needs_reference else float(value)


LOSSES: dict[str, Entry] = {}
ANYWHERE = Domain()


def loss(
    name: str,
    *,
    kind: Kind,
    needs: tuple[Need, ...] = (),
    soft_labels: str | None = None,
    neutral_tie: bool = True,
    across_step: bool = False,
    mismatched: bool = False,
    desirable_only: bool = False,
    memory: Memory | None = None,
    random: bool = False,
    start: Callable[..., Losses] | None = None,
    first_move: tuple[int, int] | None,
    domain: Domain = ANYWHERE,
    averaged: bool = False,
) -> Callable[[LossFn], LossFn]:
    """Register the decorated function under `name`; the facts are those of `Entry`."""

    def register(fn: LossFn) -> LossFn:
        assert name not in LOSSES, f"two losses are called {name!r}"
        LOSSES[name] = Entry(
            name=name,
            fn=fn,
            kind=kind,
            needs=frozenset(needs),
            soft_labels=soft_labels,
            neutral_tie=neutral_tie,
            across_step=across_step,
            mismatched=mismatched,
            desirable_only=desirable_only,
            memory=memory,
            random=random,
            start=start,
            first_move=first_move,
            domain=domain,
            averaged=averaged,
        )
        return fn

    return register


def find(name: str, *, where: str = "") -> Entry:
    """The loss of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in LOSSES:
        raise ConfigError("loss.unknown", f"no loss is called {name!r}", where=where, fix=nearest(name, LOSSES))
    return LOSSES[name]


def resolve(name: str, settings: Mapping[str, Any], *, weight: float = 1.0, where: str = "loss") -> Term:
    """Look a loss up and fix its settings; values given as text are converted by the parameter's annotation.

    Raises:
        ConfigError: no loss or setting has that name, or a value is of the wrong kind or outside its range.
    """
    entry = find(name, where=f"{where}.name")
    fixed = entry.defaults
    hints = get_type_hints(inspect.unwrap(entry.fn), include_extras=True)
    for key, value in settings.items():
        if key not in fixed:
            what = f"{name} has no setting {key}"
            raise ConfigError("loss.setting", what, where=f"{where}.{key}", fix=nearest(key, fixed))
        fixed[key] = _converted(value, hints[key], f"{where}.{key}", fix=f"the default is {fixed[key]}")
    return Term(entry, fixed, weight)


def _converted(value: object, hint: object, where: str, *, fix: str) -> object:
    """The value as the annotation wants it: a number inside its range, or one of the listed words."""
    if get_origin(hint) is Literal:
        if isinstance(value, bool):
            value = "yes" if value else "no"  # as YAML reads these words
        if value not in get_args(hint):
            known = ", ".join(map(str, get_args(hint)))
            raise ConfigError("loss.value", f"{value!r} is not one of {known}", where=where, fix=fix)
        return value
    inside = next((each for each in get_args(hint)[1:] if isinstance(each, Range)), Range())
    try:
        number = float("nan") if isinstance(value, bool) else float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        number = float("nan")
    if not inside.holds(number):
        raise ConfigError("loss.value", f"{value!r} is not a number in {inside}", where=where, fix=fix)
    return number
