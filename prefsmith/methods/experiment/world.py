"""A world in which the true reward is known, so that "better" can be measured: reviews from a grammar.

A small model learns them from scratch; its own answers are compared by Bradley and Terry on the true reward. Nothing is
special to it but its corpus and its reward: every part is what a run on other data uses.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Literal

import torch

from prefsmith.config import RunConfig
from prefsmith.errors import TrainingError
from prefsmith.evaluate.reader import Reader
from prefsmith.evaluate.samples import Answer, draw
from prefsmith.feedback.label import Judged, bradley_terry, by_rule
from prefsmith.feedback.reviews import PROMPTS, WORDS, true_reward, write_reviews
from prefsmith.feedback.reward import TextReward
from prefsmith.files import write_durably
from prefsmith.model.generate import Sampling
from prefsmith.model.scratch import new_model
from prefsmith.records import Group
from prefsmith.run import Watch, fit

TRUE = TextReward("true reward of the grammar", true_reward)
LONGEST = 24
"""Tokens of an answer; the grammar's longest has 14."""
LONGEST_TEXT = 32
TOKEN_BUDGET = 16_384
BATCH = 512
"""Answers that are written together."""


def prompts() -> list[Group]:
    """Every prompt of the grammar."""
    return [Group(prompt, f"grammar:{line}", prompt, ()) for line, prompt in enumerate(PROMPTS, 1)]


def learn_reviews(
    folder: Path,
    *,
    reviews: int,
    steps: int,
    per_step: int,
    learning_rate: float,
    seed: int,
    watch: Watch | None = None,
    shape: Mapping[str, int] | None = None,
) -> Path:
    """Train a new model on reviews of the grammar (sft).

    Args:
        folder: `reviews.jsonl`, `new/` and the run in `sft/` are written into it.
        reviews: how many are written.
        steps: of the training.
        per_step: reviews of a step.
        learning_rate: its peak.
        seed: of reviews, weights and order.
        watch: is given every row of metrics.
        shape: width, layers and heads of the model.

    Returns:
        The folder of the trained model.

    Raises:
        TrainingError: the disk is full or fails.
    """
    rows = write_rows(folder / "reviews.jsonl", [each.as_row() for each in write_reviews(reviews, seed)])
    new = new_model(folder / "new", WORDS, longest=LONGEST_TEXT, seed=seed, **(shape or {}))
    config = RunConfig.model_validate(
        {
            "model": {"path": str(new), "device": "cpu"},
            "data": {"train": str(rows), "eval_fraction": 0.0},
            "loss": {"name": "sft"},
            "optim": {"learning_rate": learning_rate, "warmup_steps": 20},
            "train": {
                "pairs_per_step": per_step,
                "epochs": epochs_for(steps, per_step, reviews),
                "max_steps": steps,
                "seed": seed,
            },
            "checkpoint": {"every": 10_000, "keep": 1},
            "evaluate": {"samples": 0},
            "out": str(folder / "sft"),
        }
    )
    return fit(config, say=quiet, watch=watch).folder / "model"


def judged_answers(
    reader: Reader,
    *,
    asked: int,
    answers: int,
    seed: int,
    labels: Literal["bradley_terry", "deterministic"] = "bradley_terry",
) -> list[Judged]:
    """Pairs of a model's own answers, compared on the true reward, in an order drawn by lot.

    Args:
        reader: writes the answers.
        asked: how often each prompt is asked.
        answers: each time; all of them are compared, but for equal and empty ones.
        seed: of answers, verdicts and order.
        labels: a judge that errs, or the better one, where ties are left out.
    """
    sampling = Sampling(max_new_tokens=LONGEST, seed=seed, batch_size=BATCH)
    written = draw(reader.model, reader.encoder, prompts(), sampling, per_prompt=answers * asked)
    random = Random(seed)
    judged: list[Judged] = []
    for start in range(0, len(written), answers):
        own = written[start : start + answers]
        texts = [answer.text for answer in own if answer.text.strip()]
        prompt = str(own[0].group.prompt)
        if labels == "deterministic":
            judged += by_rule(prompt, texts, true_reward)
        else:
            judged += bradley_terry(prompt, texts, true_reward, random)
    random.shuffle(judged)
    return judged


def write_answers(reader: Reader, *, per_prompt: int, seed: int) -> list[Answer]:
    """So many answers to every prompt, those to one side by side."""
    sampling = Sampling(max_new_tokens=LONGEST, seed=seed, batch_size=BATCH)
    return draw(reader.model, reader.encoder, prompts(), sampling, per_prompt=per_prompt)


def epochs_for(steps: int, per_step: int, rows: int) -> int:
    """Passes over the rows that have at least so many steps."""
    return -(-steps // max(1, rows // per_step))


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """JSON lines."""
    return write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_text(path: Path, text: str) -> Path:
    """A file that is on the disk when this returns.

    Raises:
        TrainingError: the disk is full or fails.
    """
    try:
        write_durably(path, text.encode())
    except OSError as error:
        what = f"the experiment cannot be written: {error.strerror}"
        raise TrainingError("run.write", what, where=str(path), fix="make room, or give another --out") from error
    return path


@contextmanager
def one_thread() -> Iterator[None]:
    """Models this small are slower on many threads; and one thread gives the same numbers again."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def quiet(line: str) -> None:
    """What the runs of an experiment say stands in their reports."""
