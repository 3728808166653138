"""A sample of audited pairs under a model: their tokens, their log-probabilities, and answers of its own."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from prefsmith.audit.audited import Audited
from prefsmith.audit.decided import decided
from prefsmith.audit.effects import in_order
from prefsmith.audit.fit import Fit
from prefsmith.data.encode import Encoder, Uncut
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.split import prompt_digest
from prefsmith.data.views import label
from prefsmith.errors import ConfigError, DataError
from prefsmith.evaluate.reader import Reader, open_reader
from prefsmith.evaluate.samples import answer_nats, draw, first_prompts
from prefsmith.evaluate.scored import PAIRS, score_groups
from prefsmith.evaluate.side_by_side import reference_of
from prefsmith.model.generate import Sampling
from prefsmith.model.load import digest
from prefsmith.records import Comparison, Group

Say = Callable[[str], None]
SAMPLED = 500
"""Rows that are scored."""
OWN = 32
"""Prompts that the model answers itself."""
OWN_TOKENS = 64
"""Most tokens of such an answer."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a model is asked.

    Args:
        model: folder of a model, an adapter or a run, or a hub id.
        rows: most rows that are scored, a seeded sample.
        max_length: most tokens of a prompt and an answer, as in `data.max_length`; None for the model's own limit.
        token_budget: most tokens that are scored together.
        template: `auto`, `plain`, or a Jinja file.
        device: `auto` takes a GPU where there is one.
        trust_remote_code: run code that comes with the model.
        seed: of the sample and of the model's own answers.
    """

    model: str
    rows: int = SAMPLED
    max_length: int | None = None
    token_budget: int = 8192
    template: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Encoded:
    """Rows as ids, each with its number and its lengths before anything was cut."""

    groups: list[EncodedGroup]
    rows: list[int]
    uncut: list[Uncut]
    kinds: Counter[str]
    refused: Counter[str]


class _OfPairs(TypedDict):
    """What is known of pairs before they are scored, as `Fit` has it."""

    row: np.ndarray
    prompt: np.ndarray
    prompt_tokens: np.ndarray
    tokens: tuple[np.ndarray, np.ndarray]
    cut: np.ndarray


def measure_fit(fitting: Fitting, data: Audited, *, say: Say = print) -> Fit | None:
    """Score a sample of the training rows; None where none of them prefers an answer.

    Args:
        fitting: the model, and how it is asked.
        data: the audited files.
        say: is given a line at a time.

    Raises:
        ConfigError: the model cannot be loaded, or memory ran out.
        DataError: none of the sampled rows can be encoded for it.
        TrainingError: a log-probability is not finite.
    """
    sampled, of = _sample(data, fitting)
    if not sampled:
        return None
    where = {"device": fitting.device, "template": fitting.template}
    reader = open_reader(fitting.model, **where, trust_remote_code=fitting.trust_remote_code)
    reference = _reference(fitting, reader)
    encoder = reader.encoder
    limits = [each for each in (fitting.max_length, encoder.max_length) if each is not None]
    encoder.max_length = min(limits, default=None)
    encoded = _encode(encoder, sampled)
    if not encoded.groups:
        codes = ", ".join(f"{code} {count}" for code, count in encoded.refused.items())
        what, fix = f"none of {len(sampled)} sampled rows can be encoded ({codes})", "prefsmith check shows the first"
        raise DataError("data.no_rows", what, where=fitting.model, fix=fix)
    say(f"{fitting.model}: {len(encoded.groups):,} of {of:,} rows are scored")
    scored = score_groups(reader.model, None if reference is None else reference.model, encoded.groups,
                          fitting.token_budget)  # fmt: skip
    sides = scored.compared.chosen.numpy(), scored.compared.rejected.numpy()
    nats, tokens = scored.scores.policy.numpy(), scored.scores.tokens.numpy()
    beside = None if scored.scores.reference is None else scored.scores.reference.numpy()
    say(f"{fitting.model}: answers of its own")
    own = _own(reference or reader, [group.group for group in encoded.groups], fitting)
    return Fit(
        model=fitting.model,
        sha256=digest(reader.model.scorer.model),
        reference="" if reference is None else reference.origin,
        seed=fitting.seed,
        sampled_from=of,
        longest=encoder.max_length,
        scored=(tokens[sides[0]], tokens[sides[1]]),
        nats=(nats[sides[0]], nats[sides[1]]),
        reference_nats=None if beside is None else (beside[sides[0]], beside[sides[1]]),
        own=own,
        kinds=dict(sorted(encoded.kinds.items())),
        refused=dict(sorted(encoded.refused.items())),
        **_of_pairs(encoded),
    )


def _sample(data: Audited, fitting: Fitting) -> tuple[list[tuple[int, Group]], int]:
    """Training rows with a decided pair, in the order of the files, and how many training rows there are."""
    rows = np.flatnonzero(data.part("train"))
    order = np.random.default_rng(fitting.seed).permutation(len(rows))
    found: list[tuple[int, Group]] = []
    for place in order:
        group = data.group(int(rows[place]))
        pairs = decided(group)
        if pairs and any(completion.content for completion in group.completions):
            comparisons = tuple(Comparison(better, worse) for better, worse in pairs)
            found.append((int(rows[place]), replace(group, comparisons=comparisons, ranking=())))
        if len(found) == fitting.rows:
            break
    return sorted(found, key=lambda each: each[0]), len(rows)


def _reference(fitting: Fitting, reader: Reader) -> Reader | None:
    """What the model was trained from, where its folder says so."""
    try:
        return reference_of(fitting.model, reader, device=fitting.device, template=fitting.template)
    except ConfigError as error:
        if error.code != "generate.reference":
            raise
        return None


def _encode(encoder: Encoder, sampled: Sequence[tuple[int, Group]]) -> _Encoded:
    made = _Encoded([], [], [], Counter(), Counter())
    labelled = [label(group, [PAIRS], "all") for _, group in sampled]
    for (row, _), outcome in zip(sampled, encoder.encode_all(labelled), strict=True):
        if outcome.error is not None or outcome.encoded is None or outcome.uncut is None:
            made.refused[outcome.error.code if outcome.error is not None else "dropped"] += 1
            continue
        made.kinds.update(outcome.kinds)
        made.groups.append(outcome.encoded)
        made.rows.append(row)
        made.uncut.append(outcome.uncut)
    return made


def _of_pairs(encoded: _Encoded) -> _OfPairs:
    """What is known of each pair before it is scored; pairs are in the order in which groups compare."""
    row, prompt, prompt_tokens, chosen, rejected, cut = [], [], [], [], [], []
    for number, (group, uncut) in enumerate(zip(encoded.groups, encoded.uncut, strict=True)):
        lengths = [len(each.ids) - each.unscored for each in group.completions]
        digest_of = int.from_bytes(prompt_digest(group.group)[:8], "big")
        for each in group.compared:
            row.append(encoded.rows[number])
            prompt.append(digest_of)
            prompt_tokens.append(uncut.prompt)
            sides = (each.better, each.worse)
            whole = [uncut.completions[side] for side in sides]
            chosen.append(whole[0])
            rejected.append(whole[1])
            cut.append(any(lengths[side] < uncut.completions[side] for side in sides))
    return {
        "row": np.array(row, dtype=np.int64),
        "prompt": in_order(np.array(prompt, dtype=np.uint64)),
        "prompt_tokens": np.array(prompt_tokens, dtype=np.int64),
        "tokens": (np.array(chosen, dtype=np.int64), np.array(rejected, dtype=np.int64)),
        "cut": np.array(cut, dtype=bool),
    }


def _own(reader: Reader, groups: Sequence[Group], fitting: Fitting) -> np.ndarray:
    """Mean log-probability per token of answers of the model itself, drawn at temperature 1."""
    longest = reader.encoder.max_length
    room = OWN_TOKENS if longest is None else max(1, min(OWN_TOKENS, longest // 2))
    sampling = Sampling(max_new_tokens=room, seed=fitting.seed)
    answers = draw(reader.model, reader.encoder, first_prompts(groups, OWN), sampling)
    nats = answer_nats(reader.model, answers, token_budget=fitting.token_budget).numpy()
    return nats / np.array([len(answer.ids) for answer in answers], dtype=np.float64)
