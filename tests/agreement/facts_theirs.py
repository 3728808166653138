"""What TRL does around its losses: tokens, metrics, divided steps, references. Numbers only, judged elsewhere."""

import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import TrainerCallback

from . import problem
from .case import Theirs, Trainer, trl
from .trainers import TRAINERS, Setup, build, float64_head, loss_of, loss_types, prepared, rows_for

UNEVEN = 7  # rows of a step whose device batches hold 3, 3 and 1
DEVICE_BATCH = 3


def measure() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Every number, and the gradients that belong to them."""
    loss, gradient = uneven_step()
    return {
        "first_ids": {name: first_ids(name) for name in TRAINERS},
        "start_accuracy": start_accuracy(),
        "metrics": {str(size): metrics(size) for size in (UNEVEN, DEVICE_BATCH)},
        "uneven_step": loss,
        "reference_from_disk": reference_from_disk(precompute=False),
        "reference_precomputed": reference_from_disk(precompute=True),
        "robust_at_one_half": shown(half_noise()),
        "far_away": [shown(value) for value in far_away()],
        "moving_reference": moving_reference(),
        "labels": labels_of_pairs(),
        "loss_types": loss_types(),
        "smoothed": smoothed(),
    }, {"uneven_step": gradient}


def first_ids(trainer: Trainer) -> list[int]:
    """The first id of every prompt, by a tokenizer that knows a begin token and does not write it."""
    made = build(trl(trainer), Setup(torch.float32), processing_class=problem.tokenizer(writes_begin=False))
    places = ("prompt_ids", "prompt_input_ids", "input_ids")
    return [next(row[place] for place in places if place in row)[0] for row in prepared(made)]


def start_accuracy() -> float:
    """The accuracy that is reported before the first step, where policy and reference are the same weights."""
    trainer = build(trl("DPO"), Setup(torch.float32), ref_model=problem.policy(torch.float32))
    loss_of(trainer, prepared(trainer)[: problem.BATCH])
    return trainer._metrics["train"]["rewards/accuracies"][-1]


def metrics(size: int) -> dict[str, float]:
    """What an evaluation on the first 7 rows reports, in batches of `size`."""
    rows = Dataset.from_list([row.as_dict() for row in problem.random_rows()[:UNEVEN]])
    theirs = Theirs("DPO", {"beta": 0.1, "per_device_eval_batch_size": size})
    found = build(theirs, Setup(torch.float32), eval_dataset=rows).evaluate()
    names = {"loss": "eval_loss", "reward_margin": "eval_rewards/margins", "accuracy": "eval_rewards/accuracies"}
    return {ours: found[name] for ours, name in names.items()}


class _Catch(TrainerCallback):
    """Keeps the gradient as the optimiser gets it."""

    gradient: Tensor

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.gradient = torch.cat([weight.grad.flatten() for weight in given["model"].parameters()]).double()


def uneven_step() -> tuple[float, Tensor]:
    """Loss and gradient of one real training step on 7 rows, in device batches of 3, 3 and 1, in float64."""
    catch = _Catch()
    divided = {"gradient_accumulation_steps": 3, "max_steps": 1, "max_grad_norm": 0.0}
    quiet = {"train_sampling_strategy": "sequential", "logging_steps": 1, "save_strategy": "no"}
    theirs = Theirs("DPO", {"loss_type": "sigmoid", "beta": 0.1, **divided, **quiet}, DEVICE_BATCH)
    torch.set_default_dtype(torch.float64)
    try:
        with float64_head():
            rows = Dataset.from_list(rows_for("DPO", problem.random_rows()[:UNEVEN]))
            done = build(theirs, Setup(torch.float64), train_dataset=rows, callbacks=[catch]).train()
    finally:
        torch.set_default_dtype(torch.float32)
    return done.training_loss, catch.gradient


def reference_from_disk(*, precompute: bool) -> float:
    """DPO's first loss without a `ref_model`, for a policy that was changed in memory since it was loaded."""
    folder = Path(tempfile.mkdtemp())
    problem.reference(torch.float32).save_pretrained(folder)
    model = type(problem.policy(torch.float32)).from_pretrained(folder)
    model.load_state_dict(problem.policy(torch.float32).state_dict())
    theirs = Theirs("DPO", {"beta": 0.1, "precompute_ref_log_probs": precompute})
    trainer = build(theirs, Setup(torch.float32), model=model, ref_model=None)
    return loss_of(trainer, prepared(trainer)[: problem.BATCH])


def moving_reference() -> list[float]:
    """DPO's loss of a batch after steps 1 to 4, whose second and fourth move the reference; the policy stands still."""
    moves = {"sync_ref_model": True, "ref_model_mixup_alpha": 0.6, "ref_model_sync_steps": 2}
    trainer = build(trl("DPO", beta=0.1, **moves), Setup(torch.float32))
    found = []
    for step in range(1, 5):
        trainer.state.global_step = step
        trainer.callback_handler.on_step_end(trainer.args, trainer.state, trainer.control)
        found.append(loss_of(trainer, prepared(trainer)[: problem.BATCH]))
    return found


def half_noise() -> float:
    """The robust loss for labels of which half are wrong."""
    trainer = build(trl("DPO", loss_type="robust", label_smoothing=0.5), Setup(torch.float32))
    return loss_of(trainer, prepared(trainer)[: problem.BATCH])


def far_away() -> list[float]:
    """The loss under forward KL of every row, where the policy has moved far from the reference."""
    arguments = {"loss_type": "sigmoid", "beta": 0.1, "f_divergence_type": "forward_kl"}
    trainer = build(Theirs("DPO", arguments), Setup(torch.float32), model=problem.far_policy(torch.float32))
    return [loss_of(trainer, [row]) for row in prepared(trainer)]


def labels_of_pairs() -> list[list[bool]]:
    """The labels of KTO's device batches, for a file of pairs."""
    rows = Dataset.from_list([row.as_dict() for row in problem.random_rows()])
    trainer = build(trl("KTO"), Setup(torch.float32), train_dataset=rows)
    return [batch["label"].bool().tolist() for batch in trainer.get_train_dataloader()]


def smoothed() -> dict[str, list[float]]:
    """DPO's loss of a step with a label smoothing of 0.1 and of 0.3, by loss type."""
    found = {}
    for kind in loss_types()["DPO"]:
        trainers = [
            build(trl("DPO", loss_type=kind, label_smoothing=share), Setup(torch.float32)) for share in (0.1, 0.3)
        ]
        found[kind] = [loss_of(trainer, prepared(trainer)[: problem.BATCH]) for trainer in trainers]
    return found


def shown(value: float) -> float | str:
    """JSON has no infinities."""
    return value if math.isfinite(value) else str(value)
