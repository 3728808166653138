"""Pairs of files as arrays: encoded for a model, and scored by it and its reference."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.rejects import Rejects
from prefsmith.data.views import Labelled, Wanted, label
from prefsmith.errors import ConfigError, DataError
from prefsmith.evaluate.pairs import Answers, Pairs, turned
from prefsmith.losses import resolve
from prefsmith.model.score import Frozen
from prefsmith.records import Group
from prefsmith.train.objective import Objective
from prefsmith.train.room import OutOfRoom, budget_that_fits
from prefsmith.train.step import Scored, score_step

AT_ONCE = 512
"""Rows that are encoded together."""
PAIRS = Wanted("eval implicit", "pairwise")


def encode_pairs(encoder: Encoder, groups: Sequence[Group], rejects: Rejects) -> list[EncodedGroup]:
    """The rows that compare answers, as ids; the encoder counts what was done to them.

    Args:
        encoder: of the model.
        groups: rows as they were read.
        rejects: collects those that compare nothing, or that cannot be encoded.

    Raises:
        DataError: a row cannot be used, and `rejects` does not skip it.
    """
    encoded: list[EncodedGroup] = []
    for start in range(0, len(groups), AT_ONCE):
        rows: list[Labelled] = []
        for group in groups[start : start + AT_ONCE]:
            try:
                rows.append(label(group, [PAIRS], "all"))
            except DataError as error:
                rejects.refuse(_comparing_nothing(error), asdict(group))
        for row, outcome in zip(rows, encoder.encode_all(rows), strict=True):
            if outcome.error is not None:
                rejects.refuse(outcome.error, asdict(row.group))
                continue
            encoder.counts.count(outcome.encoded, outcome.kinds, row.group.source)
            encoded += [] if outcome.encoded is None else [outcome.encoded]
    return encoded


def score_pairs(
    policy: Frozen, reference: Frozen, files: Sequence[Sequence[EncodedGroup]], *, token_budget: int
) -> Pairs:
    """Log-probabilities of every compared answer under both models.

    Args:
        policy: the trained model.
        reference: what it is compared with; it reads the same ids.
        files: rows of each file.
        token_budget: most tokens of a forward; longer rows run alone.

    Raises:
        ConfigError: memory ran out.
        TrainingError: a log-probability is not finite.
    """
    groups = [group for file in files for group in file]
    scored = score_groups(policy, reference, groups, token_budget)
    texts = [completion.content for group in groups for completion in group.group.completions]
    assert scored.scores.reference is not None  # there is one
    answers = Answers(
        policy=scored.scores.policy.numpy(),
        reference=scored.scores.reference.numpy(),
        tokens=scored.scores.tokens.double().numpy(),
        characters=np.array([float(len(text)) for text in texts]),
        words=np.array([float(len(text.split())) for text in texts]),
        prompt=_numbered(group.group.prompt_key() for group in groups for _ in group.completions),
    )
    return turned(
        answers,
        scored.compared.chosen.numpy(),
        scored.compared.rejected.numpy(),
        scored.compared.prob.numpy(),
        scored.compared.weight.numpy(),
        tuple(group.group.tags for group in groups for _ in group.compared),
        np.array([number for number, file in enumerate(files) for group in file for _ in group.compared]),
    )


def score_groups(policy: Frozen, reference: Frozen | None, groups: Sequence[EncodedGroup], token_budget: int) -> Scored:
    """Log-probabilities of every compared answer, in the order of the groups.

    Args:
        policy: whose they are.
        reference: whose they are too; may be none.
        groups: rows that compare.
        token_budget: most tokens of a forward; longer rows run alone.

    Raises:
        ConfigError: memory ran out.
        TrainingError: a log-probability is not finite.
    """
    name = "simpo" if reference is None else "dpo"  # a loss that reads what there is; its value is not looked at
    objective = Objective((resolve(name, {}, weight=1.0, where=name),))

    def attempt(groups: Sequence[EncodedGroup], budget: int) -> Scored:
        return score_step(policy, reference, objective, groups, budget)

    try:
        return attempt(groups, token_budget)
    except OutOfRoom as error:
        left = error.groups
    fits = budget_that_fits(left, attempt)
    tokens, rows = sum(group.tokens for group in left), [group.group.source for group in left]
    fix = f"--token-budget {fits}: these rows were tried with it" if fits is not None else "a machine with more memory"
    what = f"memory ran out on {tokens:,} tokens that were scored together"
    raise ConfigError("eval.memory", what, where=f"rows {', '.join(rows[:5])}", fix=fix)


def _comparing_nothing(error: DataError) -> DataError:
    """Words for who evaluates, not trains."""
    if error.code != "data.no_pairs":
        return error
    what, fix = "the row compares no two answers to its prompt", "give pairs, or ranked answers"
    return DataError("data.no_pairs", what, where=error.where, fix=fix)


def _numbered(keys: Iterable[str]) -> np.ndarray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])
