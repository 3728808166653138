"""What a preflight found, as plain values without torch.

The names of the fields are the keys of `prefsmith check --json`, and stay what they are; docs/check.md explains them.
A part that could not be looked at, because something before it failed, is None or empty.
"""

from dataclasses import asdict, dataclass
from typing import Literal

from prefsmith.errors import PrefsmithError

Kind = Literal["text", "control", "typed", "cut", "omitted", "unended"]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error that training would stop with."""

    code: str
    what: str
    where: str
    fix: str
    exit_status: int


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that training would go on with, and that somebody should have decided.

    Args:
        name: stable, for programs.
        what: what is outside customary ranges, with its value.
        why: why it matters.
        instead: what to type or to do.
    """

    name: str
    what: str
    why: str
    instead: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of the run. `side` is train or eval; `refused` rows are those that cannot be read as what they should be.

    `notes` counts what was done to rows when they were read.
    """

    side: str
    path: str
    sha256: str
    recognised: str
    rows: int
    groups: int
    refused: int
    notes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Rows:
    """What the files hold and what was made of it.

    Args:
        files: the training file, then the held-out one where there is one.
        made: what each loss term reads, in words.
        train: rows to train on, without those that are refused or dropped.
        held_out: rows that are held out, likewise.
        eval_fraction: share of the prompts that is held out; None where another file is.
        eval_prompts_in_train: held-out rows whose prompt is trained on.
    """

    files: tuple[File, ...]
    made: tuple[str, ...]
    train: int
    held_out: int
    eval_fraction: float | None
    eval_prompts_in_train: int


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be used, and why."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that were refused with one error code; `rows` has the first ten."""

    code: str
    count: int
    fix: str
    rows: tuple[RefusedRow, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of tokens as text.

    Args:
        text: what they say, decoded; empty for tokens that are not there.
        kind: `control` for a control token, `typed` for its name as somebody typed it, `cut` for tokens that
            data.max_length has cut from a prompt, `omitted` for tokens that are only left out here, `unended` in the
            place of an end token that is missing.
        scored: whether the loss counts them.
        tokens: how many they are.
    """

    text: str
    kind: Kind
    scored: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A prompt or an answer as the model reads it.

    Args:
        role: prompt, chosen, rejected, desirable, undesirable or completion; in a ranked row best or worst, or tied;
            with the label's probability if not 1, and with the answer's score if it has one.
        tokens: of it, before anything was left out for showing; of an answer those that are scored.
        pieces: in order.
    """

    role: str
    tokens: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A training row as the model reads it; `why` says how it was chosen, `parts` are the prompt and the answers."""

    source: str
    why: str
    parts: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Lengths in tokens, of `n` prompts, answers or rows."""

    what: str
    n: int
    min: int
    median: int
    p95: int
    max: int
    mean: float


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of the training rows in tokens, before anything is cut.

    Args:
        parts: the prompt, each kind of answer, and the whole (the prompt with its longest answer).
        max_length: most tokens that are kept; None for no limit.
        over: rows whose whole is longer.
        difference: mean tokens by which chosen answers are longer than rejected ones; None without such pairs.
    """

    parts: tuple[Quantiles, ...]
    max_length: int | None
    over: int
    truncation: str
    difference: float | None


@dataclass(frozen=True, slots=True)
class Treated:
    """Rows to which something was done on their way to ids; `places` has the first ten."""

    side: str
    what: str
    count: int
    of: int
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """The begin token.

    Args:
        token: its text; None where the tokenizer has none.
        writer: `tokenizer`, `template`, `both` (it still stands once) or `nobody`.
        rows: training rows, of which `present` begin with it and `repeated` hold it again in their prompt.
        doubled: rows that begin with it twice.
    """

    token: str | None
    writer: Literal["tokenizer", "template", "both", "nobody"]
    rows: int
    present: int
    repeated: int
    doubled: int


@dataclass(frozen=True, slots=True)
class End:
    """The end token.

    Args:
        tokens: the ones that end an answer of the training rows, most frequent first.
        known: all that count as an end.
        writer: `template`, or `prefsmith` behind plain text.
        answers: of the training rows, of which `ended` end with one.
        generation: whether the model's own settings name the one that ends most answers, so that sampling stops there.
    """

    tokens: tuple[str, ...]
    known: tuple[str, ...]
    writer: Literal["template", "prefsmith"]
    answers: int
    ended: int
    generation: bool


@dataclass(frozen=True, slots=True)
class Template:
    """How messages become text.

    Args:
        kind: `model` for the model's chat template, `file`, or `plain`.
        path: of the file.
        first_line: of the template.
        sha256: of the template.
        wraps: `turns` where rows are lists of messages, `dialogues` where they are dialogues in text, else `texts`.
        prefix_broken: rows whose prompt is written differently once the answer follows; they are refused.
        prefaced: rows in which the template writes text of its own in front of the answer, which is scored.
    """

    kind: Literal["model", "file", "plain"]
    path: str | None
    first_line: str | None
    sha256: str | None
    wraps: Literal["turns", "dialogues", "texts"]
    prefix_broken: int
    prefaced: int


@dataclass(frozen=True, slots=True)
class Model:
    """The model and what of it is trained. `longest` is the most tokens that it takes; None where it sets no limit."""

    origin: str
    sha256: str | None
    kind: str
    weights: int
    trained: int | None
    adapter: str
    device: str
    longest: int | None


@dataclass(frozen=True, slots=True)
class Reference:
    """What the policy is compared with. `needed` is False for losses without a reference."""

    needed: bool
    what: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Way:
    """How batches are run, and how far that is from the model's own forward.

    Args:
        path: shared, packed or padded.
        why: what ruled out the ones before it.
        value_gap: largest difference of a token's log-probability, in nats.
        gradient_gap: relative norm of the difference of gradients.
        head: how log-probabilities are made of hidden rows.
    """

    path: str
    why: str
    value_gap: float
    gradient_gap: float
    head: str


@dataclass(frozen=True, slots=True)
class Work:
    """What training does.

    Args:
        losses: each with its settings in force.
        learning_rate: at its peak.
        labels: what a step counts: comparisons, ratings, completions or ranked lists.
        steps: optimiser steps.
        epochs: passes over the rows.
        pairs_per_step: labels that share a step.
        scored_tokens: of the labelled answers of the whole run.
        tokens: that are run through the policy in all, prompts and padding included.
        tokens_unshared: the same, if each answer had a prompt of its own.
        first_step: tokens of each micro-batch of the first step.
        largest: tokens of the largest micro-batch of the run.
    """

    losses: tuple[str, ...]
    learning_rate: float
    labels: str
    steps: int
    epochs: int
    pairs_per_step: int
    scored_tokens: int
    tokens: int
    tokens_unshared: int
    first_step: tuple[int, ...]
    largest: int


@dataclass(frozen=True, slots=True)
class Memory:
    """An estimate of the most memory that training takes, in bytes; `prefsmith.preflight.memory` has the formula.

    Args:
        weights: of the policy.
        gradients: of what is trained.
        optimizer: AdamW's two averages.
        reference: a copy of its own.
        activations: what the largest micro-batch keeps for its backward.
        transient: what the backward of a layer makes and throws away.
        logits: the chunk of them that exists at a time.
        process: Python, its libraries and the rows, where the device is the machine's own memory; measured.
        total: all of it.
        available: of the device or the machine; None where unknown.
    """

    weights: int
    gradients: int
    optimizer: int
    reference: int
    activations: int
    transient: int
    logits: int
    process: int
    total: int
    available: int | None


@dataclass(frozen=True, slots=True)
class Pace:
    """A measured time.

    Args:
        seconds: that the gradient of `tokens` took on this machine.
        tokens: that were run.
        total_seconds: of all steps at this pace, without evaluation, samples and checkpoints.
        start_loss: the loss before the first step, on those rows.
    """

    seconds: float
    tokens: int
    total_seconds: float
    start_loss: float


@dataclass(frozen=True, slots=True)
class Preflight:
    """Everything that a run would do and meet, found without training and without writing anything."""

    rows: Rows | None
    refused: tuple[Refused, ...]
    examples: tuple[Example, ...]
    lengths: Lengths | None
    treated: tuple[Treated, ...]
    begin: Begin | None
    end: End | None
    template: Template | None
    model: Model | None
    reference: Reference | None
    path: Way | None
    work: Work | None
    memory: Memory | None
    pace: Pace | None
    warnings: tuple[Caution, ...]
    problems: tuple[Problem, ...]

    @property
    def exit_status(self) -> int:
        """That of the first error that training would stop with; 0 where it would begin."""
        return self.problems[0].exit_status if self.problems else 0

    def to_json(self) -> dict[str, object]:
        """Every fact under its name."""
        return {**asdict(self), "exit_status": self.exit_status}


def problem_of(error: PrefsmithError) -> Problem:
    """An error as a fact."""
    return Problem(error.code, error.what, error.where, error.fix, error.exit_code)
