"""TRL's trainers on the problem, and what is read off them."""

import inspect
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import trl
import trl.trainer.utils
from datasets import Dataset
from torch import Tensor
from trl.experimental import cpo, orpo, tpo

from . import problem
from .case import Theirs, Trainer

TRAINERS: dict[Trainer, Any] = {
    "DPO": (trl.DPOTrainer, trl.DPOConfig),
    "KTO": (trl.KTOTrainer, trl.KTOConfig),
    "CPO": (cpo.CPOTrainer, cpo.CPOConfig),
    "ORPO": (orpo.ORPOTrainer, orpo.ORPOConfig),
    "TPO": (tpo.TPOTrainer, tpo.TPOConfig),
    "SFT": (trl.SFTTrainer, trl.SFTConfig),
}
SHARED = {
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "report_to": "none",
    "disable_tqdm": True,
    "remove_unused_columns": False,
}


@dataclass(frozen=True)
class Setup:
    """The model's type and which rows."""

    dtype: torch.dtype
    rows: str = "random"


def build(theirs: Theirs, setup: Setup, **more: Any) -> Any:
    """TRL's trainer with policy, reference and rows; `more` replaces what its constructor is given."""
    make, configure = TRAINERS[theirs.trainer]
    batch = {"per_device_train_batch_size": theirs.device_batch}
    args = configure(output_dir=tempfile.mkdtemp(), **SHARED, **batch, **theirs.arguments)
    given: dict[str, Any] = {
        "model": problem.policy(setup.dtype),
        "args": args,
        "train_dataset": Dataset.from_list(rows_for(theirs.trainer, problem.ROWS[setup.rows]())),
        "processing_class": problem.tokenizer(),
    }
    if theirs.trainer in ("DPO", "KTO"):
        given["ref_model"] = problem.reference(setup.dtype)
    return make(**(given | more))


def rows_for(trainer: str, rows: Sequence[problem.Row]) -> list[dict[str, Any]]:
    """The rows in the trainer's format. KTO judges one answer to each prompt, alternately a good and a bad one."""
    if trainer == "KTO":
        return [
            {"prompt": row.prompt, "completion": (row.rejected if place % 2 else row.chosen), "label": place % 2 == 0}
            for place, row in enumerate(rows)
        ]
    if trainer == "SFT":
        return [{"prompt": row.prompt, "completion": row.chosen} for row in rows]
    return [row.as_dict() | ({"reference": row.chosen} if trainer == "TPO" else {}) for row in rows]


def prepared(trainer: Any) -> list[dict[str, Any]]:
    """The rows as the trainer tokenised them, in order."""
    return list(trainer.train_dataset)


def loss_of(trainer: Any, rows: Sequence[dict[str, Any]]) -> float:
    """TRL's loss of one device batch."""
    with torch.no_grad():
        return float(_loss(trainer, rows))


def loss_and_gradient(trainer: Any, rows: Sequence[dict[str, Any]], device_batch: int) -> tuple[float, Tensor]:
    """The loss of a step and its gradient on all weights; device batches are averaged, as by transformers' Trainer."""
    trainer.model.zero_grad()
    parts = [rows[start : start + device_batch] for start in range(0, len(rows), device_batch)]
    total = 0.0
    for part in parts:
        loss = _loss(trainer, part) / len(parts)
        loss.backward()
        total += float(loss)
    weights = [
        weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in trainer.model.parameters()
    ]
    return total, torch.cat([each.flatten() for each in weights]).double()


def _loss(trainer: Any, rows: Sequence[dict[str, Any]]) -> Tensor:
    trainer.model.train()
    batch = trainer.data_collator([dict(row) for row in rows])
    return trainer.compute_loss(trainer.model, batch)


def loss_types() -> dict[str, list[str]]:
    """Every word of `loss_type` in the source of each trainer and its configuration, in order."""
    found = {}
    for name, made in TRAINERS.items():
        source = "".join(Path(inspect.getfile(each)).read_text(encoding="utf-8") for each in made)
        words = re.findall(r"loss_type (?:==|(?:not )?in) (.*?)[:)\n]", source)
        found[name] = list(dict.fromkeys(word for each in words for word in re.findall(r'"([\w-]+)"', each)))
    return found


class _Float64Head:
    """The outputs of TRL's `ChunkedLogProbFunction`, in the type of the model."""

    @staticmethod
    def apply(hidden, weight, bias, targets, temperature, _chunk, softcap, logit_scale, outputs):
        assert softcap is None and logit_scale == 1.0 and temperature == 1.0
        logits = torch.nn.functional.linear(hidden, weight, bias)
        every = logits.log_softmax(-1)
        chances = every.exp()
        more = {
            "entropy": -(chances * every).sum(-1),
            "log_sum_sq_probs": chances.square().sum(-1).log().detach(),
            "mean_logits": logits.mean(-1).detach(),
            "is_top1": logits.argmax(-1) == targets,
        }
        own = every.gather(-1, targets[:, None])[:, 0]
        return (own, *(value if name in outputs else None for name, value in more.items()))


@contextmanager
def float64_head() -> Iterator[None]:
    """While it is open, the head computes in the type of the model."""
    kernel = trl.trainer.utils._ChunkedLogProbFunction
    trl.trainer.utils._ChunkedLogProbFunction = _Float64Head
    try:
        yield
    finally:
        trl.trainer.utils._ChunkedLogProbFunction = kernel
