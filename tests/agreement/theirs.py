"""TRL's numbers: its own trainers, data preparation, collators and loss code, on the rows of `problem.py`.

    cd tests && ../.venv-agreement/bin/python -m agreement.theirs FOLDER

writes FOLDER/theirs.json (values and facts) and FOLDER/theirs.safetensors (gradients). Runs in its own environment.

TRL computes the head of a model in float32, whatever the model's type (`ChunkedLogProbFunction`). For the comparison
in float64 that one function is replaced by the same formulas in plain float64; everything around it stays TRL's.
"""

import json
import os
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "TQDM_DISABLE": "1",
    "ACCELERATE_USE_CPU": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}

import datasets
import torch
from safetensors.torch import save_file

from . import facts_theirs, problem
from .case import Theirs
from .cases import CASES
from .trainers import TRAINERS, Setup, build, float64_head, loss_and_gradient, loss_of, prepared


def numbers(case, setup):
    """Loss of every row alone, and of every batch; the gradient of every batch."""
    trainer = build(case.theirs, setup)
    rows = prepared(trainer)
    batches = [rows[start : start + problem.BATCH] for start in range(0, len(rows), problem.BATCH)]
    found = [loss_and_gradient(trainer, batch, case.theirs.device_batch) for batch in batches]
    alone = [loss_of(trainer, [row]) for row in rows] if case.theirs.trainer != "KTO" else []
    return {"alone": alone, "batches": [value for value, _ in found]}, [gradient for _, gradient in found]


def ids_of(theirs):
    """The rows as that trainer tokenises them: every column of token ids."""
    rows = prepared(build(theirs, Setup(torch.float32)))
    return [{key: value for key, value in row.items() if key.endswith("ids")} for row in rows]


def mismatched(device_batch):
    """For each row the answer that KTO puts behind its prompt, which depends on the device batch."""
    return [row["KL_completion_ids"] for row in ids_of(Theirs("KTO", {}, device_batch))]


def main(folder: Path) -> None:
    """Every case in float32, and in float64 where TRL can."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    sys.stdout = sys.stderr  # trainers print what they log
    warnings.filterwarnings("ignore")
    datasets.disable_progress_bars()
    values, gradients = {}, {}
    for dtype in (torch.float32, torch.float64):
        wide = dtype == torch.float64
        torch.set_default_dtype(dtype)
        with float64_head() if wide else tempfile.TemporaryDirectory():
            for key, case in CASES.items():
                if wide and not case.float64:
                    continue
                kind = "float64" if wide else "float32"
                values[f"{key}/{kind}"], found = numbers(case, Setup(dtype, case.rows))
                gradients |= {f"{key}/{kind}/{place}": each for place, each in enumerate(found)}
                print(f"  TRL, {kind}: {key}", file=sys.stderr)
    torch.set_default_dtype(torch.float32)
    facts, more = facts_theirs.measure()
    gradients |= {f"facts/{name}": each for name, each in more.items()}
    result = {
        "versions": {name: version(name) for name in ("trl", "torch", "transformers", "accelerate", "datasets")},
        "rows": {kind: [row.as_dict() for row in problem.ROWS[kind]()] for kind in problem.ROWS},
        "ids": {name: ids_of(Theirs(name, {})) for name in TRAINERS},
        "mismatched": {
            size: mismatched(size) for size in sorted({case.theirs.device_batch for case in CASES.values()})
        },
        "values": values,
        "facts": facts,
    }
    for kind, rows in result["rows"].items():
        (folder / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "theirs.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    save_file(gradients, folder / "theirs.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
