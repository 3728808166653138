"""TRL's arms: its trainer, collator, loss and head, one optimiser step at a time. Runs in TRL's environment.

On a GPU, TRL computes its head on the completions' rows only, on a CPU on all. Here it is made to do what it does on a
GPU: that is the fairer rival.
"""

import os
import tempfile
from collections.abc import Sequence
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

import torch
import trl.trainer.utils  # pyright: ignore[reportMissingImports]
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportMissingImports]

from . import model
from .model import HERE, Ids, Place


def compact_head() -> None:
    """Let the head see the completions' rows only, as on a GPU."""
    trl.trainer.utils._use_triton = lambda device: True


def tokenizer() -> PreTrainedTokenizerFast:
    """Knows a few words: the trainer wants one, and is then given ids."""
    words = ["<pad>", "</s>", "<unk>", "a", "b", "c"]
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


class Arms:
    """TRL's trainer on given pairs.

    Args:
        vocabulary: of the model.
        adapter: whether a LoRA adapter is trained.
        pairs: token ids of each pair.
        place: how large the model is, where it is trained and in what.
    """

    def __init__(self, vocabulary: int, adapter: bool, pairs: Sequence[Ids], place: Place = HERE) -> None:
        on_cpu, bf16 = place.device == "cpu", place.precision == "bf16"
        if on_cpu:
            os.environ["ACCELERATE_USE_CPU"] = "1"
            compact_head()
        rows = Dataset.from_list([{"prompt": "a b", "chosen": " a", "rejected": " c"}] * 2)
        # The defaults, but for the device, files, logs, and rows of more than 1,024 tokens, which would be cut.
        arguments = DPOConfig(
            output_dir=tempfile.mkdtemp(), use_cpu=on_cpu, bf16=bf16, report_to="none", disable_tqdm=True,
            logging_steps=1000, save_strategy="no", max_length=None,
        )  # fmt: skip
        lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        self.trainer = DPOTrainer(
            model=model.policy(vocabulary, place),
            ref_model=None if adapter else model.reference(vocabulary, place),
            args=arguments,
            processing_class=tokenizer(),
            train_dataset=rows,
            peft_config=lora if adapter else None,
        )
        self.trainer.current_gradient_accumulation_steps = 1
        if bf16:  # as the trainer's own loop does before it begins: forward runs under autocast from here on
            self.trainer.accelerator.prepare_model(self.trainer.model)
        if adapter:
            model.draw(self.trainer.model, seed=2, around=0.0, only="lora_")
        self.optimizer = torch.optim.AdamW(self.weights(), lr=model.LEARNING_RATE, weight_decay=0.0, fused=True)
        self.pairs: list[dict[str, Any]] = [dict(pair) for pair in pairs]
        self._score()

    def _score(self) -> None:
        """The reference's log-probabilities, by TRL's own pass."""
        for pair in self.pairs:
            batch = self.trainer.data_collator([pair])
            scorer = self.trainer.ref_model or self.trainer.model
            chosen, rejected = self.trainer.compute_ref_log_probs(scorer, batch)
            pair["ref_chosen_logps"], pair["ref_rejected_logps"] = float(chosen[0]), float(rejected[0])

    def gradient(self, arm: str, batch: Sequence[int]) -> float:
        """The loss of a batch; its gradient stays."""
        cached = arm != "trl"
        core = self.trainer.model.get_base_model() if self.trainer.ref_model is None else self.trainer.model
        self.trainer.precompute_ref_logps = cached
        if cached:
            core.gradient_checkpointing_disable()
        else:
            core.gradient_checkpointing_enable(self.trainer.args.gradient_checkpointing_kwargs)
        keys = ["prompt_ids", "chosen_ids", "rejected_ids"]
        keys += ["ref_chosen_logps", "ref_rejected_logps"] * cached
        rows = [{key: self.pairs[index][key] for key in keys} for index in batch]
        return float(self.trainer.training_step(self.trainer.model, self.trainer.data_collator(rows)))

    def weights(self) -> Sequence[Tensor]:
        """Those that are trained."""
        return [each for each in self.trainer.model.parameters() if each.requires_grad]

    def update(self) -> None:
        """Clip the gradients, move the weights and drop the gradients."""
        torch.nn.utils.clip_grad_norm_(self.weights(), self.trainer.args.max_grad_norm)
        self.optimizer.step()
        self.drop()

    def drop(self) -> None:
        """Drop the gradients."""
        self.optimizer.zero_grad(set_to_none=True)
