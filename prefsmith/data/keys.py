"""What rows, and their ids, are made of: whatever changes one of these makes them anew."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from prefsmith.config import DataConfig
from prefsmith.data.cache import FORMAT, Facts
from prefsmith.data.encode import Encoder
from prefsmith.data.tokens import is_direct
from prefsmith.data.views import Wanted
from prefsmith.files import digest_of_files

OF_READING = ("format", "columns", "pairs", "skip_bad", "limit", "eval_fraction")
LIBRARIES = ("prefsmith", "transformers", "tokenizers")


def facts_of_rows(
    config: DataConfig, files: Mapping[str, Mapping[str, object]], wanted: Sequence[Wanted]
) -> dict[str, object]:
    """What labelled rows depend on.

    Args:
        config: the settings.
        files: of each side that has a file of its own, its name and digest.
        wanted: the labels that each loss term takes.
    """
    settings = config.model_dump(include=set(OF_READING))
    return {
        "version": version("prefsmith"),
        "format": FORMAT,
        "files": files,
        "settings": settings,
        "wanted": [asdict(each) for each in wanted],
    }


def facts_of_ids(rows: Facts, encoder: Encoder) -> dict[str, object] | None:
    """What ids depend on.

    Args:
        rows: what the rows depend on.
        encoder: of the run.

    Returns:
        None where it cannot be told: code that comes with a tokenizer may do anything.
    """
    tokenizer = _digest_of_tokenizer(encoder.tokenizer)
    if tokenizer is None:
        return None
    renderer = encoder.renderer
    return {
        "rows": rows,
        "versions": {name: version(name) for name in LIBRARIES},
        "tokenizer": tokenizer,
        "template": renderer.template,
        "special": renderer.special,
        "control": renderer.control.pattern,
        "date": renderer.today.isoformat() if renderer.dated else None,
        "max_length": encoder.max_length,
        "truncation": encoder.truncation,
        "begin": [encoder.begin, encoder.known_begin],
        "end": [encoder.end, sorted(encoder.ends)],
    }


def _digest_of_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str | None:
    kind = type(tokenizer)
    if not kind.__module__.startswith("transformers."):
        return None
    words: dict[str, object] = {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "as_text": bool(tokenizer.split_special_tokens),
    }
    if is_direct(tokenizer):
        words["file"] = cast("Any", tokenizer).backend_tokenizer.to_str()
    else:
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
            files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            words["file"] = [[path.name for path in files], digest_of_files(files)]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()
