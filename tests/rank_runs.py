"""Runs by several processes that go wrong: under torchrun, every process writes down how each ended for it.

The model and the rows are in the folder already.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import torch
from planted import config_for, pairs
from tiny import write_rows

from prefsmith.config import RunConfig
from prefsmith.errors import PrefsmithError
from prefsmith.model.score import Scorer
from prefsmith.run import fit
from prefsmith.train import loop
from prefsmith.train.step import Scored

RANK = int(os.environ.get("RANK", "0"))
SETTINGS = {"train": {"pairs_per_step": 8}, "checkpoint": {"every": 1}}


def other_rows(folder: Path, config: RunConfig) -> None:
    """Every process reads a file of one name, and the last one's differs in a word."""
    here = folder / f"machine-{RANK}"
    here.mkdir()
    rows = pairs(40)
    rows[3]["chosen"] += " w1" * RANK
    write_rows(here / "rows.jsonl", rows)
    os.chdir(here)
    fit(with_data(config, train="rows.jsonl"), say=print)


def other_settings(_folder: Path, config: RunConfig) -> None:
    """The last process is told to leave more rows out."""
    fit(with_data(config, eval_fraction=0.1 + 0.1 * RANK), say=print)


def with_data(config: RunConfig, **changes: object) -> RunConfig:
    return config.model_copy(update={"data": config.data.model_copy(update=changes)})


def not_finite(_folder: Path, config: RunConfig) -> None:
    """Something goes wrong in the last process alone, in the third step."""

    def spoil(policy: Scorer) -> None:
        with torch.no_grad():
            policy.model.get_output_embeddings().weight.fill_(float("nan"))

    with before_step(3, spoil):
        fit(config, say=print)


def signalled(_folder: Path, config: RunConfig) -> None:
    """A signal comes to the last process, in its second step."""
    with before_step(2, lambda policy: os.kill(os.getpid(), signal.SIGINT)):
        fit(config, say=print)


def killed(_folder: Path, config: RunConfig) -> None:
    """The last process is gone between two steps."""
    with before_step(3, lambda policy: os.kill(os.getpid(), signal.SIGKILL)):
        fit(config, say=print)


@contextmanager
def before_step(number: int, what: Callable[[Scorer], object]) -> Iterator[None]:
    """Do something to the last process when a step begins."""
    real, steps = loop.accumulate_step, count(1)

    def watched(policy: Scorer, *given: object, **more: object) -> Scored:
        if next(steps) == number and RANK:
            what(policy)
        return real(policy, *given, **more)

    loop.accumulate_step = watched
    try:
        yield
    finally:
        loop.accumulate_step = real


FAULTS = {each.__name__: each for each in (other_rows, other_settings, not_finite, signalled, killed)}


def main(folder: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun ends those who are left, and we want to hear them first
    for name in names:
        config = config_for(folder, pairs(40), **SETTINGS, out=str(folder / name))
        try:
            FAULTS[name](folder, config)
            ended = "nothing"
        except PrefsmithError as error:
            ended = str(error)
        (folder / f"{name}-{RANK}.json").write_text(json.dumps(ended))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
