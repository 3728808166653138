"""The memory that `prefsmith check` estimates, beside the most that two steps then take.

    .venv/bin/python bench/memory.py --model MODEL --data pairs.jsonl [settings as for prefsmith train]

Each in a process of its own, since a process keeps its peak. Prints both in MiB and their ratio.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("prefsmith"))


def main() -> None:
    """Measure and print."""
    settings = [*sys.argv[1:], "train.max_steps=2", "evaluate.samples=0"]
    with tempfile.TemporaryDirectory() as folder:
        looked = subprocess.run([PROGRAM, "check", *settings, "--json"], capture_output=True, text=True, check=True)
        estimate = json.loads(looked.stdout)["memory"]
        out = Path(folder) / "run"
        subprocess.run([PROGRAM, "train", *settings, "--out", str(out)], capture_output=True, check=True)
        rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    peak = max(row["peak_memory_bytes"] for row in rows if "split" not in row)
    parts = ", ".join(f"{name} {value / 2**20:,.0f}" for name, value in estimate.items() if name != "available")
    print(f"estimate (MiB): {parts}")
    print(f"peak (MiB): {peak / 2**20:,.0f}, {peak / estimate['total']:.2f} of the estimate")


if __name__ == "__main__":
    main()
