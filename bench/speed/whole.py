"""Whole runs from text: prefsmith's command, and TRL's trainer with its data preparation and reference pass.

A program from its start to its end, its imports, tokenising, reference pass, training and saved model included, in CPU
seconds of the process.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from .driver import PYTHON, Say
from .lengths import shuffled_order
from .machine import where
from .model import policy
from .record import Whole
from .texts import END, KEPT, LONGEST, ROOT, preferences, tokenizer_file

PAIRS, BATCH, VOCABULARY = 200, 8, 4096
FOLDER = KEPT / "whole"
VARIANTS = ("trl", "trl-cached", "trl-sorted")


def measure_whole(rounds: int, say: Say) -> Whole:
    """All programs in turns.

    Raises:
        FileNotFoundError: the preferences are not on this machine.
    """
    data = prepare()
    say(f"whole: {PAIRS} pairs, {rounds} rounds")
    commands = {each: _theirs(each, data) for each in VARIANTS} | {
        "prefsmith": _ours(data),
        "prefsmith-cached": [*_ours(data), "reference.kind=cached", f"reference.cache={FOLDER / 'out-cache'}"],
    }
    seconds: dict[str, list[float]] = {arm: [] for arm in commands}
    for _ in range(rounds):
        for arm, command in commands.items():
            for left in ("out", "out-cache"):  # nothing is known beforehand
                shutil.rmtree(FOLDER / left, ignore_errors=True)
            seconds[arm].append(_cpu_seconds(command))
            say(f"  {arm} {seconds[arm][-1]:.1f}")
    return Whole(PAIRS, BATCH, VOCABULARY, seconds, where(*_versions()))


def prepare() -> Path:
    """The model's folder, and the file of pairs, which it returns; made anew each time."""
    folder = tokenizer_file(VOCABULARY)
    coder = ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    coder.add_special_tokens([END])
    model = policy(VOCABULARY)
    model.config.eos_token_id = model.config.pad_token_id = coder.token_to_id(END)
    model.save_pretrained(FOLDER / "model")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=coder._tokenizer, eos_token=END, pad_token=END)
    tokenizer.model_max_length = LONGEST
    tokenizer.save_pretrained(FOLDER / "model")
    rows = preferences("hh_harmless")
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "model")  # as both sides will have it
    kept = [rows[index] for index in shuffled_order(len(rows), 0) if _fits(tokenizer, rows[index])][:PAIRS]
    path = FOLDER / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return path


def _fits(tokenizer: PreTrainedTokenizerBase, row: dict[str, str]) -> bool:
    """Nothing of it need be cut, so that both sides train on the same tokens."""
    longest = max(len(tokenizer.encode(row["prompt"] + row[side])) for side in ("chosen", "rejected"))
    return longest < LONGEST


def _ours(data: Path) -> list[str]:
    settings = [
        f"data.max_length={LONGEST}", "data.eval_fraction=0", "evaluate.samples=0", f"train.pairs_per_step={BATCH}",
        "optim.learning_rate=1e-6", "optim.warmup_steps=0",
    ]  # fmt: skip
    places = ["--model", str(FOLDER / "model"), "--data", str(data), "--out", str(FOLDER / "out")]
    return [str(ROOT / ".venv/bin/prefsmith"), "train", *places, *settings]


def _theirs(variant: str, data: Path) -> list[str]:
    places = [str(FOLDER / "model"), str(data), str(FOLDER / "out")]
    return [str(ROOT / PYTHON["theirs"]), "-m", "speed.whole_theirs", variant, *places]


def _cpu_seconds(command: Sequence[str]) -> float:
    """Of the process and whatever it started.

    Raises:
        RuntimeError: it failed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    log = KEPT / "whole.log"
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT / "bench", env=environment, stdout=file, stderr=file)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[:4]} failed; {log} says why")
    return used.ru_utime + used.ru_stime


def _versions() -> list[dict[str, str]]:
    """Of both sides."""
    code = "import json; from speed.worker import versions; print(json.dumps(versions()))"
    done = [
        subprocess.run([ROOT / python, "-c", code], cwd=ROOT / "bench", capture_output=True, text=True, check=True)
        for python in PYTHON.values()
    ]
    return [json.loads(each.stdout) for each in done]
