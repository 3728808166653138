"""The data path: rows per second and CPU time per pair, memory while a large file is streamed, the cache, the start.

    .venv/bin/python bench/data.py [--pairs 1000 10000 100000] [--stream GIB] [--start MODEL]

Rows are those of hh_harmless, with a number in front of each prompt, encoded by a BPE of 32,000 tokens that was trained
on reviews of IMDb; both lie beside the repository. Each measurement is a process of its own. `--stream` writes a file
of so many GiB to the folder for temporary files, and takes it away again.
"""

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from speed.texts import END, require, tokenizer_file

HERE = Path(__file__).parent
PROGRAM = str(Path(sys.executable).with_name("prefsmith"))
VOCABULARY = 32_000
STEP = 8
FEW = 1626
"""All rows of the file; larger ones repeat them."""


def write_pairs(path: Path, *, pairs: int | None = None, size: int | None = None) -> int:
    """Write so many pairs, or pairs of about so many bytes; returns how many."""
    number = written = 0
    with path.open("w", encoding="utf-8") as file:
        for row in _endless():
            if number == pairs or (size is not None and written >= size):
                return number
            sides = {side: row[side].replace("Human: ", f"Human: ({number}) ", 1) for side in ("chosen", "rejected")}
            written += file.write(json.dumps(sides, ensure_ascii=False) + "\n")
            number += 1
    raise AssertionError("rows never end")


def _endless() -> Iterator[dict[str, str]]:
    with gzip.open(require("hh_harmless.jsonl.gz"), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    while True:
        yield from rows


def encoder_folder() -> Path:
    """A small model with the tokenizer, as a folder that `--model` takes."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    source, folder = tokenizer_file(VOCABULARY), tokenizer_file(VOCABULARY).parent / "data-model"
    if not (folder / "tokenizer.json").exists():
        coder = ByteLevelBPETokenizer(str(source / "vocab.json"), str(source / "merges.txt"))
        coder.add_special_tokens([END])
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=coder._tokenizer, eos_token=END, pad_token=END)
        tokenizer.save_pretrained(folder)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=1024,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def prepare(path: Path, cache: str) -> None:
    """In a process of its own: read, encode, take every pair once and pack it; prints what it took."""
    from transformers import AutoTokenizer

    from prefsmith.config import DataConfig
    from prefsmith.data.encode import Encoder
    from prefsmith.data.pack import pack
    from prefsmith.data.prepare import Preparation
    from prefsmith.data.render import Renderer
    from prefsmith.data.stream import Stream
    from prefsmith.data.views import Wanted

    tokenizer = AutoTokenizer.from_pretrained(encoder_folder())
    clocks = [(time.perf_counter(), time.process_time())]
    settings = DataConfig(train=str(path), skip_bad=True, eval_fraction=0, cache=cache, workers=0)
    preparation = Preparation(settings, [Wanted("dpo", "pairwise")], lambda _: None)
    sides = preparation.read(None)
    clocks.append((time.perf_counter(), time.process_time()))
    rows = preparation.encode(Encoder(tokenizer, Renderer(tokenizer), max_length=1024), sides)
    clocks.append((time.perf_counter(), time.process_time()))
    for step in Stream(rows.train, pairs_per_step=STEP, epochs=1, seed=0).steps():
        pack(step.groups)
    clocks.append((time.perf_counter(), time.process_time()))
    wall, cpu = ([after[n] - before[n] for before, after in pairwise(clocks)] for n in (0, 1))
    print(json.dumps({"pairs": len(rows.train), "wall": wall, "cpu": cpu}))


def _in_process(*arguments: str) -> dict[str, object]:
    command = [sys.executable, str(HERE / "data.py"), "--prepare", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def sizes(numbers: list[int]) -> None:
    """CPU time per pair at several sizes, and from the cache."""
    print("|   pairs | rows a second | read, ms | encode, ms | pack, ms | CPU ms a pair | again from the cache, s |")
    print("|--------:|--------------:|---------:|-----------:|---------:|--------------:|------------------------:|")
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            path, cache = Path(folder) / "pairs.jsonl", str(Path(folder) / "cache")
            write_pairs(path, pairs=number)
            found, again = _in_process(str(path), cache), _in_process(str(path), cache)
        wall, cpu = found["wall"], found["cpu"]
        assert isinstance(wall, list) and isinstance(cpu, list) and isinstance(again["wall"], list)
        parts = " | ".join(f"{1000 * each / number:.3f}" for each in cpu)
        print(f"| {number:,} | {number / sum(wall[:2]):,.0f} | {parts} | {1000 * sum(cpu) / number:.3f} "
              f"| {sum(again['wall'][:2]):.2f} |", flush=True)  # fmt: skip


def stream(gib: float) -> None:
    """The most memory of a whole `prefsmith train` of one step on a file of so many GiB, and on a few of its rows.

    The longest row is among the few: what the model takes for it is the same.
    """
    settings = ["train.max_steps=1", "evaluate.samples=0", "data.skip_bad=true", "data.eval_fraction=0.001"]
    with tempfile.TemporaryDirectory() as folder:
        peaks = {}
        for name, size in (("few rows", None), (f"{gib:g} GiB", round(gib * 2**30))):
            path, out = Path(folder) / "pairs.jsonl", Path(folder) / name.replace(" ", "-")
            rows = write_pairs(path, pairs=FEW if size is None else None, size=size)
            started = time.perf_counter()
            command = [PROGRAM, "train", "--model", str(encoder_folder()), "--data", str(path), "--out", str(out),
                       f"data.cache={folder}/cache", *settings]  # fmt: skip
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            if status:
                raise RuntimeError(f"{' '.join(command)} failed")
            peaks[name] = used.ru_maxrss * 1024 / 2**20
            print(f"{name}: {rows:,} rows, at most {peaks[name]:,.0f} MiB, {time.perf_counter() - started:,.0f} s, "
                  f"{used.ru_utime + used.ru_stime:,.0f} s of CPU", flush=True)  # fmt: skip


def start(model: str) -> None:
    """From the command to the first step, on eight pairs; the second time with what the first left in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        write_pairs(path, pairs=8)
        for name in ("first", "again"):
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            command = [PROGRAM, "train", "--model", model, "--data", str(path), "--out", f"{folder}/{name}",
                       f"data.cache={folder}/cache"]  # fmt: skip
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            to_step = next(time.perf_counter() - started for line in process.stdout if "step 1/" in line)
            process.communicate()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(
                f"{name}: step 1 is done {to_step:.1f} s after the command; the run takes {cpu:.1f} s of CPU",
                flush=True,
            )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--stream", type=float, default=0.0, metavar="GIB")
    parser.add_argument("--start", metavar="MODEL")
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        prepare(Path(options.prepare[0]), options.prepare[1])
        return
    sizes(options.pairs)
    if options.stream:
        stream(options.stream)
    if options.start:
        start(options.start)


if __name__ == "__main__":
    main()
