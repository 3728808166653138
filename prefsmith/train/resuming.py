"""Going on behind a checkpoint: which one, with what of it, and what must not have changed since."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch

from prefsmith.errors import ConfigError
from prefsmith.train.checkpoint import Checkpoint, CheckpointStore
from prefsmith.train.loop import Trainer
from prefsmith.train.parallel import Ranks

Say = Callable[[str], None]


def newest(store: CheckpointStore, say: Say) -> Checkpoint | None:
    """The checkpoint to go on from; what is wrong with newer ones is told."""
    store.clean()
    checkpoint, damaged = store.newest()
    for each in damaged:
        say(f"warning: a checkpoint is damaged and not used: {each}")
    return checkpoint


def choices_of(checkpoint: Checkpoint | None, *, attention: str, ranks: Ranks, say: Say) -> dict[str, Any]:
    """What was chosen when the run began and decides its bits: made once, kept in every checkpoint.

    Args:
        checkpoint: where the run goes on from; None where it begins.
        attention: the path that the settings name.
        ranks: the processes of the run.
        say: is told where the run goes on in another way than it began.
    """
    if checkpoint is None:
        today = ranks.from_first(lambda: date.today().isoformat())  # chat templates may write it
        choices = {"date": today, "threads": torch.get_num_threads(), "attention": attention}
        return {**choices, "processes": ranks.count}
    choices = {key: checkpoint.state[key] for key in ("date", "threads", "attention")}
    choices["token_budget"] = checkpoint.state.get("token_budget")
    before, choices["processes"] = checkpoint.state.get("processes", 1), ranks.count
    if before != ranks.count:
        say(f"  by {ranks.count} processes, where {before} were: the same steps, summed in another order")
        choices["threads"] = torch.get_num_threads()
    elif choices["threads"] != torch.get_num_threads():
        say(f"  on {choices['threads']} threads, as the run began")
        torch.set_num_threads(choices["threads"])
    return choices


def refuse_others(checkpoint: Checkpoint, identity: Mapping[str, Any], folder: Path) -> None:
    """Another model or other rows than the run began with.

    Raises:
        ConfigError: a digest differs.
    """
    for key, now in identity.items():
        if checkpoint.state.get(key) != now:
            what = f"the {key} is not what this run began with"
            fix = "resume with the same files, or start anew in another folder"
            raise ConfigError("run.changed", what, where=str(folder), fix=fix)


def go_back(trainer: Trainer, checkpoint: Checkpoint | None, say: Say) -> int:
    """Put everything back where the checkpoint has it; returns the steps that were done."""
    if checkpoint is None:
        if not trainer.log.is_empty():
            say("there is no checkpoint yet: starting from the beginning")
        trainer.log.rewind(0)
        return 0
    if not trainer.log.rewind(int(checkpoint.state["metrics_bytes"])):
        say("warning: metrics.jsonl has lost rows from before the checkpoint")
    trainer.load(checkpoint)
    say(f"resuming after step {checkpoint.step}")
    return checkpoint.step
