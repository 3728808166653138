"""The audit: rows per second and peak memory, over files of the lengths of real dialogues.

    .venv/bin/python bench/audit.py [--pairs 10000 100000] [--full]

Each file has the turns and lengths of hh_harmless, which lies beside the repository, with words drawn from all of it,
so that rows differ as real ones do; of a hundred rows one is an exact copy of another, and one nearly.
`--full` takes a million pairs too. Memory is that of the command and its worker processes together, sampled; pages that
they share count for each.
"""

import argparse
import gzip
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from speed.texts import require

PROGRAM = str(Path(sys.executable).with_name("prefsmith"))
FULL = 1_000_000
MINUTES, GIGABYTES = 20, 2.0
"""What a million pairs may take on two cores."""
_WORD = re.compile(r"\S+")


def write_pairs(path: Path, pairs: int, seed: int = 0) -> None:
    """Write dialogues of real lengths with words drawn anew."""
    draw = np.random.default_rng(seed)
    with gzip.open(require("hh_harmless.jsonl.gz"), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [
        row for row in rows if _prompt(row["chosen"]) == _prompt(row["rejected"]) and row["chosen"].strip()[-1] != ":"
    ]
    words = np.array(
        _WORD.findall(" ".join(row["chosen"] for row in rows).replace("Human:", "").replace("Assistant:", ""))
    )
    before: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(pairs):
            line = before[number % len(before)] if before and number % 100 == 7 else None
            if line is None and before and number % 100 == 57:
                line = before[number % len(before)].replace(" the ", " that ", 2)
            if line is None:
                line = "\n".join(_drawn(rows[number % len(rows)], words, draw))
            if len(before) < 1000:
                before.append(line)
            chosen, rejected = line.split("\n")
            file.write(f'{{"chosen": {chosen}, "rejected": {rejected}}}\n')


def _prompt(text: str) -> str:
    return text[: text.rindex("Assistant:")]


def _drawn(row: dict[str, str], words: np.ndarray, draw: np.random.Generator) -> Iterator[str]:
    """Both sides as JSON: the same drawn prompt, and answers of their own."""
    prompt = _filled(_prompt(row["chosen"]), words, draw)
    for side in ("chosen", "rejected"):
        answer = row[side][row[side].rindex("Assistant:") + len("Assistant:") :]
        yield json.dumps(f"{prompt}Assistant:{_filled(answer, words, draw)}", ensure_ascii=False)


def _filled(text: str, words: np.ndarray, draw: np.random.Generator) -> str:
    """The text with every word but the names of the speakers drawn anew."""
    drawn = iter(words[draw.integers(len(words), size=len(text.split()))].tolist())
    return _WORD.sub(lambda found: found[0] if found[0] in ("Human:", "Assistant:") else next(drawn), text)


def measure(path: Path, folder: Path) -> tuple[float, float, float]:
    """Seconds, seconds of all processors together, and the most gigabytes of an audit of the file."""
    start, used = time.perf_counter(), _processor_seconds()
    process = subprocess.Popen([PROGRAM, "audit", str(path), "--out", str(folder), "--json"], stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, sum(map(_resident, _family(process.pid))))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"the audit ended with {process.returncode}")
    return time.perf_counter() - start, _processor_seconds() - used, most / 1e9


def _processor_seconds() -> float:
    """Of all processes that were waited for, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family(parent: int) -> list[int]:
    """A process and its children."""
    found = [parent]
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile
    return found


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows per second and peak memory of the audit.")
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--full", action="store_true", help="a million pairs too")
    options = parser.parse_args()
    sizes = [*options.pairs, *([FULL] if options.full else [])]
    print(f"{'pairs':>9}  {'seconds':>8}  {'CPU s':>8}  {'rows/s':>8}  {'peak GB':>8}")
    taken: list[tuple[int, float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for pairs in sizes:
            path = Path(folder) / f"{pairs}.jsonl"
            write_pairs(path, pairs)
            seconds, busy, memory = measure(path, Path(folder) / f"audit-{pairs}")
            path.unlink()
            taken.append((pairs, seconds, busy, memory))
            print(f"{pairs:>9,}  {seconds:>8.1f}  {busy:>8.1f}  {pairs / seconds:>8,.0f}  {memory:>8.2f}", flush=True)
    if len(taken) > 1 and taken[-1][0] < FULL:
        (few, short, idle, small), (many, long, busy, large) = taken[-2:]
        ahead = (FULL - many) / (many - few)
        minutes, gigabytes = (long + (long - short) * ahead) / 60, large + (large - small) * ahead
        processor = (busy + (busy - idle) * ahead) / 60
        took = f"{minutes:.1f} minutes (at most {MINUTES}), {gigabytes:.2f} GB (at most {GIGABYTES})"
        print(f"a million, in a straight line: {took}, {processor:.1f} minutes of processors")


if __name__ == "__main__":
    main()
