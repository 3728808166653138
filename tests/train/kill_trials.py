"""Kill a run with SIGKILL at random moments, resume it until it ends, and compare its weights with a run in peace.

    python tests/train/kill_trials.py [TRIALS] [FOLDER]

Every second kill waits for a moment at which a checkpoint is being written. Exit status 0 if all trials agree.
"""

import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from planted import WORDS, pairs
from tiny import save_model, write_rows

KILLS = 2  # per trial


def command(folder: Path, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "prefsmith", "train", "--model", str(folder / "base"),
        "--data", str(folder / "rows.jsonl"), "--out", str(out), "train.epochs=3", "train.pairs_per_step=16",
        "optim.learning_rate=0.005", "checkpoint.every=2", "adapter.kind=lora", "adapter.dropout=0.1",
    ]  # fmt: skip


def start(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def kill_somewhere(process: subprocess.Popen, out: Path, rng: random.Random, *, while_saving: bool) -> None:
    """Wait until a step is done (by this process), then a random moment, or until a checkpoint is half written."""
    metrics = out / "metrics.jsonl"
    before = metrics.stat().st_mtime if metrics.exists() else 0.0
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_mtime > before):
        time.sleep(0.005)
    until = time.monotonic() + rng.uniform(0.0, 1.5)
    while process.poll() is None:
        if while_saving and any((out / "checkpoints").glob(".step-*")):
            break
        if not while_saving and time.monotonic() > until:
            break
        time.sleep(0.0002)
    process.kill()
    process.wait()


def finish(words: list[str]) -> None:
    process = start(words)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}:\n{errors}")


def digest(out: Path) -> str:
    return hashlib.sha256((out / "model" / "adapter_model.safetensors").read_bytes()).hexdigest()


def main(trials: int, folder: Path) -> int:
    save_model(folder / "base", WORDS)
    write_rows(folder / "rows.jsonl", pairs(300))
    finish(command(folder, folder / "peace"))
    expected, rng, same = digest(folder / "peace"), random.Random(), 0
    for trial in range(trials):
        out = folder / f"trial-{trial}"
        words = command(folder, out)
        for kill in range(KILLS):
            resume = ["--resume"] if (out / "run.yaml").exists() else []
            kill_somewhere(start([*words, *resume]), out, rng, while_saving=kill % 2 == 0)
        finish([*words, "--resume"])
        same += digest(out) == expected
        print(f"trial {trial + 1}: {digest(out)[:16]} {'same' if digest(out) == expected else 'OTHER'}", flush=True)
    print(f"{same} of {trials} ended with the same weights")
    return 0 if same == trials else 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch)
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, place))
