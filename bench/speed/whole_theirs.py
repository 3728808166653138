"""A whole run of TRL: load, tokenise, score the reference where that is asked, train, save. Runs in TRL's environment.

../.venv-agreement/bin/python -m speed.whole_theirs trl|trl-cached|trl-sorted MODEL PAIRS OUT
"""

import sys

from .theirs import compact_head  # sets what must be set before TRL is imported

# isort: split
import torch
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportMissingImports]

from .texts import LONGEST
from .whole import BATCH


def main(variant: str, model: str, pairs: str, out: str) -> None:
    """Train one epoch."""
    torch.set_num_threads(1)
    compact_head()
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = load_dataset("json", data_files=pairs, split="train", cache_dir=f"{out}/cache")
    more: dict[str, object] = {}
    if variant != "trl":
        more = {"precompute_ref_log_probs": True, "gradient_checkpointing": False}
    if variant == "trl-sorted":
        # TRL makes no column of lengths, and drops a foreign one: whoever wants sorted batches sees to both.
        more |= {"train_sampling_strategy": "group_by_length", "remove_unused_columns": False}
        rows = rows.map(
            lambda row: {
                "length": max(len(tokenizer(row["prompt"] + row[side])["input_ids"]) for side in ("chosen", "rejected"))
            }
        )
    arguments = DPOConfig(
        output_dir=out, use_cpu=True, bf16=False, report_to="none", disable_tqdm=True, num_train_epochs=1,
        per_device_train_batch_size=BATCH, learning_rate=1e-6, max_length=LONGEST, **more,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model),
        args=arguments,
        processing_class=tokenizer,
        train_dataset=rows,
    )
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main(*sys.argv[1:])
