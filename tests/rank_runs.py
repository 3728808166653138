"""Runs by several processes that go wrong: under torchrun, every process writes down how each ended for it.

The model and the rows are in the folder already.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from planted import config_for, pairs
from tiny import write_rows

from prefsmith.config import RunConfig
from prefsmith.errors import PrefsmithError
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
    real = loop.accumulate_step

    def broken(policy: object, *given: object, **more: object) -> Scored:
        steps.append(None)
        if RANK and len(steps) == 3:
            with torch.no_grad():
                policy.model.get_output_embeddings().weight.fill_(float("nan"))
        return real(policy, *given, **more)

    steps: list[None] = []
    loop.accumulate_step = broken
    try:
        fit(config, say=print)
    finally:
        loop.accumulate_step = real


def signalled(_folder: Path, config: RunConfig) -> None:
    """A signal comes to the last process, in its second step."""
    real = loop.accumulate_step

    def told(*given: object, **more: object) -> Scored:
        steps.append(None)
        if RANK and len(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given, **more)

    steps: list[None] = []
    loop.accumulate_step = told
    try:
        fit(config, say=print)
    finally:
        loop.accumulate_step = real


def killed(_folder: Path, config: RunConfig) -> None:
    """The last process is gone between two steps."""
    real = loop.accumulate_step

    def gone(*given: object, **more: object) -> Scored:
        steps.append(None)
        if RANK and len(steps) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **more)

    steps: list[None] = []
    loop.accumulate_step = gone
    fit(config, say=print)


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
