"""Real preferences and their lengths in tokens of a byte-level BPE that is trained on real text.

The data lies beside the repository and is none of it; what is made of it is kept under build/.
"""

import gzip
import json
import lzma
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer

from .lengths import Lengths

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
KEPT = ROOT / "build" / "bench"
LONGEST = 1024
END = "<|endoftext|>"  # the name that Qwen2's tokenizer expects


def require(name: str) -> Path:
    """The file of that name.

    Raises:
        FileNotFoundError: it is not on this machine.
    """
    if not (DATA / name).exists():
        raise FileNotFoundError(f"{name} is not in {DATA}")
    return DATA / name


def preferences(name: str) -> list[dict[str, str]]:
    """Rows with prompt, chosen and rejected; those without an answer on both sides, or with the same, are left out."""
    path = require(f"{name}.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [_of_dialogue(row) if name == "hh_harmless" else _of_judged(row) for row in map(json.loads, file)]
    return [row for row in rows if row["prompt"] and row["chosen"] and row["rejected"]]


def _of_dialogue(row: dict[str, str]) -> dict[str, str]:
    """The prompt ends where the assistant's last answer begins in both dialogues."""
    turn = "\n\nAssistant:"
    sides = zip(row["chosen"], row["rejected"], strict=False)
    shared = sum(1 for _ in takewhile(lambda each: each[0] == each[1], sides))
    cut = row["chosen"][:shared].rfind(turn)
    end = cut + len(turn) if cut >= 0 else 0
    same = row["chosen"] == row["rejected"]
    return {"prompt": row["chosen"][:end], **{side: "" if same else row[side][end:] for side in ("chosen", "rejected")}}


def _of_judged(row: dict[str, str]) -> dict[str, str]:
    better, worse = ("b", "a") if float(row["p_b"]) > 0.5 else ("a", "b")
    same = row["a"] == row["b"]
    return {"prompt": row["prompt"], "chosen": "" if same else row[better], "rejected": "" if same else row[worse]}


def tokenizer_file(vocabulary: int) -> Path:
    """The folder of a BPE of that size, trained on the reviews of IMDb the first time."""
    folder = KEPT / f"bpe-{vocabulary}"
    if not (folder / "vocab.json").exists():
        made = ByteLevelBPETokenizer()
        made.train_from_iterator(_reviews(), vocab_size=vocabulary, special_tokens=[END], show_progress=False)
        folder.mkdir(parents=True, exist_ok=True)
        made.save_model(str(folder))
    return folder


def _reviews() -> Iterator[str]:
    for name in ("imdb_train_labelled.jsonl.xz", "imdb_unsup.jsonl.xz"):
        with lzma.open(require(name), "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["text"]


@cache
def lengths_of(name: str, vocabulary: int = 32_000) -> list[Lengths]:
    """Lengths of all rows, each sequence cut behind 1,024 tokens; rows whose prompt alone is longer are left out.

    Raises:
        FileNotFoundError: the preferences are not on this machine.
    """
    require(f"{name}.jsonl.gz")
    kept = KEPT / f"{name}-{vocabulary}.json"
    if not kept.exists():
        folder = tokenizer_file(vocabulary)
        coder = ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
        rows = preferences(name)
        columns = [
            [len(each.ids) for each in coder.encode_batch([row[side] for row in rows])]
            for side in ("prompt", "chosen", "rejected")
        ]
        kept.write_text(json.dumps(list(zip(*columns, strict=True))), encoding="utf-8")
    triples = json.loads(kept.read_text(encoding="utf-8"))
    return [_cut(*each) for each in triples if each[0] < LONGEST]


def _cut(prompt: int, chosen: int, rejected: int) -> Lengths:
    """With an end token behind each answer, which a cut takes away again."""
    return Lengths(prompt, min(chosen + 1, LONGEST - prompt), min(rejected + 1, LONGEST - prompt))
