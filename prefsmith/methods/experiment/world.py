"""What happens in a world whose true reward is known: a model learns its texts, answers, and its answers are compared.

The model is small and learns from scratch; comparisons are those of Bradley and Terry on the true reward. Nothing is
special to a world but its texts and its reward: every part is what a run on other data uses.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

import torch

from prefsmith.config import RunConfig
from prefsmith.errors import TrainingError
from prefsmith.evaluate.reader import Reader
from prefsmith.evaluate.samples import Answer, draw
from prefsmith.feedback.label import Judged, bradley_terry, by_rule
from prefsmith.feedback.world import World
from prefsmith.files import write_durably
from prefsmith.model.generate import Sampling
from prefsmith.model.scratch import new_model
from prefsmith.records import Group
from prefsmith.run import Watch, fit

TOKEN_BUDGET = 16_384
BATCH = 512
"""Answers that are written together."""


def learn(
    world: World,
    folder: Path,
    *,
    examples: int,
    steps: int,
    per_step: int,
    learning_rate: float,
    seed: int,
    watch: Watch | None = None,
    shape: Mapping[str, int] | None = None,
) -> Path:
    """Train a new model on texts of a world (sft).

    Args:
        world: writes them.
        folder: a file of the texts, `new/` and the run in `sft/` are written into it.
        examples: how many are written.
        steps: of the training.
        per_step: texts of a step.
        learning_rate: its peak.
        seed: of texts, weights and order.
        watch: is given every row of metrics.
        shape: width, layers and heads of the model.

    Returns:
        The folder of the trained model.

    Raises:
        TrainingError: the disk is full or fails.
    """
    rows = write_rows(folder / f"{world.name}.jsonl", [each.as_row() for each in world.examples(examples, seed)])
    new = new_model(folder / "new", world.words, longest=world.longest_text, seed=seed, **(shape or {}))
    config = RunConfig.model_validate(
        {
            "model": {"path": str(new), "device": "cpu"},
            "data": {"train": str(rows), "eval_fraction": 0.0},
            "loss": {"name": "sft"},
            "optim": {"learning_rate": learning_rate, "warmup_steps": 20},
            "train": {
                "pairs_per_step": per_step,
                "epochs": epochs_for(steps, per_step, examples),
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
    world: World,
    reader: Reader,
    prompts: Sequence[Group],
    *,
    asked: int,
    answers: int,
    seed: int,
    labels: Literal["bradley_terry", "deterministic"] = "bradley_terry",
) -> list[Judged]:
    """Pairs of a model's own answers, compared on the true reward, in an order drawn by lot.

    Args:
        world: knows the reward.
        reader: writes the answers.
        prompts: that are answered.
        asked: how often each prompt is asked.
        answers: each time; all of them are compared, but for equal and empty ones.
        seed: of answers, verdicts and order.
        labels: a judge that errs, or the better one, where ties are left out.
    """
    written = write_answers(world, reader, prompts, per_prompt=answers * asked, seed=seed)
    random = Random(seed)
    judged: list[Judged] = []
    for start in range(0, len(written), answers):
        own = written[start : start + answers]
        texts = [answer.text for answer in own if answer.text.strip()]
        prompt = str(own[0].group.prompt)
        reward = partial(world.reward, prompt)
        if labels == "deterministic":
            judged += by_rule(prompt, texts, reward)
        else:
            judged += bradley_terry(prompt, texts, reward, random)
    random.shuffle(judged)
    return judged


def write_answers(
    world: World, reader: Reader, prompts: Sequence[Group], *, per_prompt: int, seed: int, temperature: float = 1.0
) -> list[Answer]:
    """So many answers to every prompt, those to one side by side."""
    sampling = Sampling(max_new_tokens=world.longest, temperature=temperature, seed=seed, batch_size=BATCH)
    return draw(reader.model, reader.encoder, prompts, sampling, per_prompt=per_prompt)


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
