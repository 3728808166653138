"""The memory that `prefsmith check` estimates, beside the most that two steps then take.

    .venv/bin/python bench/memory.py --model MODEL --data pairs.jsonl [settings as for prefsmith train]

A row as the settings are, and rows with activation checkpointing, bf16, and both. Each run is a process of its own,
since a process keeps its peak. Prints MiB, the estimate by its parts, and the peak over the estimate.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("prefsmith"))
ROWS = {
    "as set": (),
    "activation checkpointing": ("train.activation_checkpointing=true",),
    "bf16": ("train.precision=bf16",),
    "both": ("train.activation_checkpointing=true", "train.precision=bf16"),
}


def measured(settings: list[str]) -> tuple[dict[str, int], int]:
    """The estimate by its parts, and the peak of two steps, in bytes."""
    settings = [*settings, "train.max_steps=2", "evaluate.samples=0"]
    with tempfile.TemporaryDirectory() as folder:
        looked = subprocess.run([PROGRAM, "check", *settings, "--json"], capture_output=True, text=True, check=True)
        estimate = json.loads(looked.stdout)["memory"]
        out = Path(folder) / "run"
        subprocess.run([PROGRAM, "train", *settings, "--out", str(out)], capture_output=True, check=True)
        rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return estimate, max(row["peak_memory_bytes"] for row in rows if "split" not in row)


def main() -> None:
    """Measure and print."""
    for name, changes in ROWS.items():
        estimate, peak = measured([*sys.argv[1:], *changes])
        parts = ", ".join(f"{part} {value / 2**20:,.0f}" for part, value in estimate.items() if part != "available")
        print(f"{name}: peak {peak / 2**20:,.0f} MiB, {peak / estimate['total']:.2f} of the estimate ({parts})")


if __name__ == "__main__":
    main()
