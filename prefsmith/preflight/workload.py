"""What the steps of a run are made of: its rows, or rows of stated lengths where there are none to look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path

from prefsmith.assembly import labels_wanted, make_encoder, make_stream
from prefsmith.config import RunConfig
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.encoded_rows import Numbers, Selection, tokens_of
from prefsmith.data.lazy import Lazy
from prefsmith.data.pack import shares
from prefsmith.data.prepare import Preparation
from prefsmith.data.stream import Stream
from prefsmith.data.views import View
from prefsmith.errors import ConfigError
from prefsmith.model.load import describe_loaded, load_tokenizer
from prefsmith.model.numberless import on_no_device
from prefsmith.model.score import Path as Route
from prefsmith.model.shape import Shape
from prefsmith.preflight.work import scored_tokens
from prefsmith.records import Comparison, Completion, Group, Ranking, Rating
from prefsmith.train.objective import Objective
from prefsmith.train.peak import computed_tokens

LISTED = 4
"""Answers of a ranked row whose lengths are stated."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of a row, where they are stated.

    Args:
        prompt: tokens.
        answer: tokens of each answer, all of which are scored.
    """

    prompt: int = 512
    answer: int = 256


@dataclass(frozen=True, slots=True)
class Turn:
    """A micro-batch in numbers.

    Args:
        tokens: that are run.
        scored: rows of logits.
        seen: pairs of tokens of which the later sees the earlier.
    """

    tokens: int
    scored: int
    seen: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The steps over processes and micro-batches.

    Args:
        largest: the groups of the micro-batch that computes most.
        first: whether it is the only one of its process in its step.
        turns: by step, by micro-batch, what every process has.
        idle: processes that have nothing to do in the first step.
    """

    largest: list[EncodedGroup]
    first: bool
    turns: list[list[list[Turn]]]
    idle: int


class Members(Selection):
    """The groups of one step."""

    @cached_property
    def tokens(self) -> Numbers:
        """Tokens of each group, its prompt once; no group is read for them."""
        return tokens_of(self.sources[0])[self.places]


class Steps(Lazy[Sequence[EncodedGroup]]):
    """The groups of each step, read when they are asked for: the ids of a large file would fill the memory."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __len__(self) -> int:
        return len(self.stream)

    def at(self, place: int) -> "Members":
        """The entry at a place, made anew."""
        return Members([self.stream.groups], self.stream.plan[place][1])


@dataclass(frozen=True, slots=True)
class Workload:
    """The steps of a run.

    Args:
        words: where they come from.
        steps: the groups of each; of stated lengths one step, which stands for all.
        labels: that a step holds.
        rows: training rows; None where nobody says how many.
        count: steps of the whole run; None likewise.
        epoch: steps of an epoch, also where the run ends before; None likewise.
        held_out: rows beside them; where rows are stated, as many as `data.eval_fraction` expects.
    """

    words: str
    steps: Sequence[Sequence[EncodedGroup]]
    labels: str
    rows: int | None
    count: int | None
    epoch: int | None
    held_out: float = 0
    _spread: dict[tuple[int, int, Route], Spread] = field(default_factory=dict, compare=False, repr=False)

    @property
    def longest(self) -> int:
        """Tokens of the longest row, which a budget must hold."""
        return max(int(tokens_of(groups).max()) for groups in self.steps)

    def spread(self, budget: int, processes: int, path: Route) -> Spread:
        """Every step divided as training divides it; the last answer is kept, since finding it reads every row."""
        key = budget, processes, path
        if key not in self._spread:
            self._spread.clear()
            self._spread[key] = self._divided(budget, processes, path)
        return self._spread[key]

    def _divided(self, budget: int, processes: int, path: Route) -> Spread:
        largest, most, first, idle = list[EncodedGroup](), -1, True, 0
        turns: list[list[list[Turn]]] = []
        for number, step in enumerate(self.steps):
            groups = list(step)
            own = shares(groups, budget, processes)
            idle = sum(not any(each) for each in own) if number == 0 else idle
            for batches in own:
                for members in batches:
                    batch = [groups[index] for index in members]
                    if batch and (size := computed_tokens(batch, path)) > most:
                        largest, most, first = batch, size, sum(map(bool, batches)) == 1
            rounds = max(map(len, own))
            turns.append(
                [
                    [turn_of([groups[index] for index in each[turn]], path) for each in own if turn < len(each)]
                    for turn in range(rounds)
                ]
            )
        return Spread(largest, first, turns, idle)


def turn_of(groups: Sequence[EncodedGroup], path: Route) -> Turn:
    """A micro-batch of these groups in numbers."""
    if not groups:
        return Turn(0, 0, 0.0)
    return Turn(computed_tokens(groups, path), scored_tokens(groups), sum(_seen(each, path) for each in groups))


def _seen(group: EncodedGroup, path: Route) -> float:
    prompt = len(group.prompt)
    answers = [len(each.ids) for each in group.completions]
    if path != "shared":
        return sum((prompt + each) * (prompt + each + 1) / 2 for each in answers)
    return prompt * (prompt + 1) / 2 + sum(each * prompt + each * (each + 1) / 2 for each in answers)


def workload_of(
    config: RunConfig, objective: Objective, shape: Shape, lengths: Lengths | None, rows: int | None
) -> Workload:
    """From the run's rows where they are on this machine, else from lengths.

    Args:
        config: the settings.
        objective: the loss terms.
        shape: of the model.
        lengths: that are stated; they count more than rows that are there.
        rows: how many training rows there are, where lengths are stated.

    Raises:
        ConfigError: the rows are there and no tokenizer is, or the template or the lengths do not fit the model.
        DataError: a row cannot be used.
    """
    if lengths is None and config.data.train and Path(config.data.train).expanduser().exists():
        if rows is not None:
            what, fix = "--pairs is for rows that are not there, and these are", "leave it out, or state --tokens too"
            raise ConfigError("plan.lengths", what, where=config.data.train, fix=fix)
        return _from_rows(config, objective, shape)
    return _stated(config, objective, lengths, rows, shape.longest)


def _from_rows(config: RunConfig, objective: Objective, shape: Shape) -> Workload:
    def silent(_line: str) -> None:
        """A run would say here what the file holds; `prefsmith check` shows it."""

    origin = config.model.path
    try:
        tokenizer = load_tokenizer(origin, trust_remote_code=config.model.trust_remote_code)
    except ConfigError as error:
        what = "the rows are there, and no tokenizer to tell their lengths"
        fix = "put the model's tokenizer beside its config.json, or state lengths: --tokens 512,256"
        raise ConfigError("plan.lengths", what, where=origin, fix=fix) from error
    loaded = describe_loaded(on_no_device(lambda: shape.at(shape.depths[0])), tokenizer, origin)
    preparation = Preparation(config.data.model_copy(update={"cache": "none"}), labels_wanted(objective), silent)
    encoder = make_encoder(config.data, loaded, date.today(), silent)
    rows = preparation.encode(encoder, preparation.read(None))
    stream, _ = make_stream(config, objective, rows, encoder, silent)
    return Workload(
        words=f"{config.data.train}: {len(rows.train):,} rows to train on",
        steps=Steps(stream),
        labels=labels_of_a_step(objective),
        rows=len(rows.train),
        count=len(stream),
        epoch=len(Stream(rows.train, pairs_per_step=config.train.pairs_per_step, epochs=1, seed=config.train.seed)),
        held_out=len(rows.held_out),
    )


def _stated(
    config: RunConfig, objective: Objective, lengths: Lengths | None, rows: int | None, longest: int | None
) -> Workload:
    known = lengths or Lengths()
    kind = objective.terms[0].entry.kind
    answers = {"pairwise": 2, "unpaired": 1, "listwise": LISTED}[kind]
    most = min((each for each in (longest, config.data.max_length) if each is not None), default=None)
    if most is not None and known.prompt + known.answer > most:
        what = f"a prompt of {known.prompt} and an answer of {known.answer} tokens are more than {most}"
        fix = f"state lengths that fit: --tokens {max(1, most // 2)},{max(1, most // 2)}"
        raise ConfigError("plan.lengths", what, where="--tokens", fix=fix)
    each = f"rows of a prompt of {known.prompt:,} and {answers} x {known.answer:,} tokens"
    words = f"{each}, as stated" if lengths is not None else f"no rows here: {each} are assumed (--tokens)"
    group = _made_up(known, answers, kind)
    epoch = None if rows is None else -(-rows // config.train.pairs_per_step)
    steps = None if epoch is None else epoch * config.train.epochs
    if steps is not None and config.train.max_steps is not None:
        steps = min(steps, config.train.max_steps)
    groups = [replace(group) for _ in range(config.train.pairs_per_step)]
    fraction = 0.0 if config.data.eval is not None else config.data.eval_fraction
    held_out = (rows or 0) * fraction / (1 - fraction)
    return Workload(words, [groups], labels_of_a_step(objective), rows, steps, epoch, held_out)


def labels_of_a_step(objective: Objective) -> str:
    """What `train.pairs_per_step` counts."""
    return {"pairwise": "pairs", "listwise": "ranked lists", "unpaired": "answers"}[objective.terms[0].entry.kind]


def _made_up(lengths: Lengths, answers: int, kind: str) -> EncodedGroup:
    """A row of these lengths; what its tokens are does not matter."""
    places = tuple(range(answers))
    comparisons = tuple(Comparison(0, other) for other in places[1:])
    view = {
        "pairwise": View(comparisons=comparisons),
        "unpaired": View(ratings=tuple(Rating(place, 1.0) for place in places)),
        "listwise": View(rankings=(Ranking(places, places, tuple(float(-place) for place in places)),)),
    }[kind]
    completions = tuple(Completion(str(place)) for place in places)
    group = Group("stated", "--tokens", "stated", completions, comparisons=comparisons)
    made = tuple(EncodedCompletion((0,) * lengths.answer) for _ in places)
    return EncodedGroup(group, (0,) * lengths.prompt, made, (view,), comparisons, whole_prompt=lengths.prompt)
