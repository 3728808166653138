"""The parts of a run put together as the run does, up to where it would begin to train.

Nothing is trained and nothing is written. Where the run would stop, the error is noted and everything that does not
need what failed is still made.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import torch

from prefsmith.assembly import (
    Models,
    check_places,
    labels_wanted,
    load_or_take,
    make_encoder,
    make_models,
    make_stream,
    objective_of,
    resolved,
)
from prefsmith.config import DataConfig, RunConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.prepare import Preparation
from prefsmith.data.sides import EncodedSides, Sides
from prefsmith.data.stream import Stream
from prefsmith.errors import PrefsmithError
from prefsmith.model.load import Loaded
from prefsmith.preflight.facts import Memory, Pace, Problem, problem_of
from prefsmith.preflight.lengths import LengthRecord
from prefsmith.preflight.memory import estimate
from prefsmith.preflight.work import Load, load_of, measured_pace, scored_tokens
from prefsmith.train.budget import settle
from prefsmith.train.folder import refuse_taken
from prefsmith.train.monitor import peak_memory_bytes
from prefsmith.train.objective import Objective
from prefsmith.train.room import is_out_of_memory

Tell = Callable[[str], None]


@dataclass(slots=True)
class Parts:
    """What there is of a run. A part is None, or empty, until it was made, and stays so if it cannot be.

    Args:
        config: the settings; with every value in force once the objective is known.
        problems: what training would stop with, in the order in which it would meet them.
        preparation: that read and encoded the rows; it has the refused ones.
        sides: rows as groups.
        encoder: what turns them into ids.
        rows: the same as ids.
        lengths: of the training rows, before anything was cut.
        held: held-out rows as the losses need them.
        load: what there is to compute.
        out_of_memory: whether the GPU could not hold the first micro-batch.
    """

    config: RunConfig
    problems: list[Problem] = field(default_factory=list)
    objective: Objective | None = None
    preparation: Preparation | None = None
    sides: Sides | None = None
    loaded: Loaded | None = None
    encoder: Encoder | None = None
    rows: EncodedSides | None = None
    lengths: LengthRecord | None = None
    models: Models | None = None
    stream: Stream | None = None
    held: Sequence[EncodedGroup] = ()
    load: Load | None = None
    memory: Memory | None = None
    pace: Pace | None = None
    out_of_memory: bool = False

    @property
    def good_name(self) -> str:
        """What a desirable completion is called: where nothing compares, it is simply a completion."""
        terms = self.objective.terms if self.objective is not None else ()
        return "completion" if all(term.entry.desirable_only for term in terms) else "desirable"


def put_together(config: RunConfig, tell: Tell) -> Parts:
    """Every part in the order of the run, so that the first problem is the one that it would stop with.

    Args:
        config: every setting.
        tell: is given a few words on what is done now.
    """
    parts = Parts(config)
    with _noting(parts):
        parts.objective = objective_of(config)
        parts.config = resolved(config, parts.objective)
    with _noting(parts):
        check_places(config)
    with _noting(parts):
        if config.out is not None:
            refuse_taken(Path(config.out), parts.config, resume=False)
    tell("reading the rows")
    _read(parts)
    tell("loading the model")
    before_loading = peak_memory_bytes(torch.device("cpu"))
    with _noting(parts):
        parts.loaded = load_or_take(config, None)
    with _noting(parts):
        if parts.loaded is not None:
            parts.encoder = make_encoder(config.data, parts.loaded, date.today(), _silent)
    tell("encoding the rows")
    _encode(parts)
    tell("comparing the ways to run the model")
    _make_models(parts)
    tell("counting and timing")
    _measure(parts, before_loading)
    return parts


def _silent(_line: str) -> None:
    """What a run would say here is among the facts."""


@contextmanager
def _noting(parts: Parts) -> Iterator[None]:
    """Note the error that ends the block, unless it was met before."""
    try:
        yield
    except PrefsmithError as error:
        _note(parts, problem_of(error))


def _note(parts: Parts, problem: Problem) -> None:
    if problem not in parts.problems:
        parts.problems.append(problem)


def _read(parts: Parts) -> None:
    """Bad rows are read past, so that all of them are seen, whatever training is told to do with them."""
    data = parts.config.data
    _read_sides(parts, data)
    if parts.sides is None and data.eval is not None:
        # The training file may still be looked at by itself; an error that is met again is noted once.
        _read_sides(parts, data.model_copy(update={"eval": None, "eval_fraction": 0.0}))


def _read_sides(parts: Parts, data: DataConfig) -> None:
    wanted = [] if parts.objective is None else labels_wanted(parts.objective)
    parts.preparation = Preparation(data.model_copy(update={"skip_bad": True, "cache": "none"}), wanted, _silent)
    error = None
    try:
        parts.preparation.read(None)
    except PrefsmithError as caught:
        error = caught
    parts.sides = parts.preparation.sides  # rows that a loss cannot learn from are still shown
    _note_refused(parts, parts.preparation, error)


def _encode(parts: Parts) -> None:
    preparation, sides, encoder = parts.preparation, parts.sides, parts.encoder
    if parts.objective is None or preparation is None or sides is None or encoder is None:
        return
    parts.lengths = lengths = LengthRecord(parts.good_name)
    error = None
    try:
        parts.rows = preparation.encode(encoder, sides, lengths.add)
    except PrefsmithError as caught:
        error = caught
    _note_refused(parts, preparation, error)


def _note_refused(parts: Parts, preparation: Preparation, error: PrefsmithError | None) -> None:
    """The first refused row, where training would stop at it, and then what ended the reading."""
    refused = [] if parts.config.data.skip_bad else preparation.rejects.rows
    for row in refused[:1]:
        _note(parts, Problem(str(row["code"]), str(row["reason"]), str(row["where"]), str(row["fix"]), 3))
    # That no row is left says less than why the first one is refused.
    if error is not None and not (refused and error.code == "data.no_rows"):
        _note(parts, problem_of(error))


def _make_models(parts: Parts) -> None:
    if parts.objective is None or parts.loaded is None or parts.encoder is None or parts.rows is None:
        return
    config, max_length = parts.config, parts.encoder.max_length
    torch.manual_seed(config.train.seed)
    with _noting(parts):
        parts.models = make_models(
            config,
            parts.objective,
            parts.loaded,
            parts.rows,
            _silent,
            max_length=max_length,
            attention=config.model.attention,
        )
    with _noting(parts):
        parts.stream, parts.held = make_stream(config, parts.objective, parts.rows, parts.encoder, _silent)


def _measure(parts: Parts, process: int) -> None:
    objective, models, stream, rows = parts.objective, parts.models, parts.stream, parts.rows
    if objective is None or models is None or stream is None or rows is None:
        return
    with _noting(parts):
        parts.config = settle(parts.config, objective, models.policy, models.reference, stream, parts.held, _silent)
    if parts.config.train.token_budget == "auto":
        return
    parts.load = load_of(parts.config, objective, stream, models.policy.path)
    try:
        longest = max(rows.train, key=lambda group: group.tokens)
        scored = scored_tokens(parts.load.largest)
        parts.memory = estimate(models, longest, parts.load.work.largest, scored, process=process)
        with _noting(parts):
            parts.pace = measured_pace(parts.config, objective, models, stream, parts.load.work)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        parts.out_of_memory = True
