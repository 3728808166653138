"""Texts to ids, many in a call: as the tokenizer writes them one by one, without what a call of it costs.

A tokenizer of the `tokenizers` library is asked directly. It encodes a batch on all cores.
"""

import json
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from threading import Lock
from typing import Any, cast

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

Ids = tuple[int, ...]

# Patterns by which byte-level tokenizers cut a text into words before anything else. Of each holds: between a letter
# and a space with a letter behind it a word ends and the next begins, whatever stands elsewhere.
WORD_PATTERNS = (
    # GPT-2, which ByteLevel has of its own, and those that write it out
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # Llama 3, GPT-4
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    # Qwen 2 and 3
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)
_SEAM = re.compile(r"[A-Za-z](?= [A-Za-z])")
LOOKED_AT = 400
"""Characters of a prompt's end in which a seam is looked for."""


class TextEncoder:
    """Ids of texts as the tokenizer writes them, without begin and end tokens.

    Args:
        tokenizer: of the model.

    Attributes:
        seams: whether a text may be encoded in two parts that meet at a seam.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.seams = False
        self._backend: Tokenizer | None = None
        self._lock = Lock()
        if is_direct(tokenizer):
            self._backend = cast("Any", tokenizer).backend_tokenizer
            self.seams = _has_seams(json.loads(cast("Tokenizer", self._backend).to_str()))

    def __reduce__(self) -> tuple[object, ...]:
        # A lock is no part of what is sent to another process.
        return TextEncoder, (self.tokenizer,)

    @property
    def parallel(self) -> bool:
        """Whether a batch is encoded on several cores by itself."""
        return self._backend is not None

    def ids(self, texts: Sequence[str], *, control: bool) -> list[Ids]:
        """Ids of each text.

        Args:
            texts: any number.
            control: whether control tokens in them are such; otherwise they are text.
        """
        if not texts:
            return []
        backend = self._backend
        if backend is None:
            keywords: dict[str, Any] = {} if control else {"split_special_tokens": True}
            found = (self.tokenizer(text, add_special_tokens=False, **keywords)["input_ids"] for text in texts)
            return [tuple(cast("list[int]", each)) for each in found]
        as_text = not control or bool(self.tokenizer.split_special_tokens)
        with self._lock:  # the setting is the tokenizer's, which another thread may ask otherwise
            backend.no_truncation()
            backend.no_padding()
            backend.encode_special_tokens = as_text
            encodings = backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [tuple(each.ids) for each in encodings]

    def of_prompts(self, rows: Sequence[tuple[str, Sequence[str]]], *, control: bool) -> list[tuple[Ids, list[Ids]]]:
        """Ids of prompts, and of texts that begin with them; what they share is encoded once, as far as that is exact.

        Args:
            rows: a prompt, and the texts that begin with it.
            control: as for `ids`.
        """
        seams = [self._seam(prompt) for prompt, _ in rows]
        texts: list[str] = []
        for (prompt, wholes), seam in zip(rows, seams, strict=True):
            texts += [prompt[:seam], prompt[seam:], *(whole[seam:] for whole in wholes)]
        ids = self.ids(texts, control=control)
        ends = pairwise(accumulate((2 + len(wholes) for _, wholes in rows), initial=0))
        made = []
        for start, end in ends:
            shared = ids[start]
            made.append((shared + ids[start + 1], [shared + each for each in ids[start + 2 : end]]))
        return made

    def _seam(self, prompt: str) -> int:
        """Where the prompt's last seam is; 0 where none is known."""
        if not self.seams:
            return 0
        start, last = max(0, len(prompt) - LOOKED_AT), None
        for last in _SEAM.finditer(prompt, start):  # noqa: B007 - the last one is meant
            pass
        return last.end() if last is not None else 0


def is_direct(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a call of the tokenizer is a call of the `tokenizers` library, and nothing else."""
    kind = type(tokenizer)
    return (
        isinstance(tokenizer, PreTrainedTokenizerFast)
        and kind.__call__ is PreTrainedTokenizerBase.__call__
        and all(
            getattr(kind, name, None) is getattr(PreTrainedTokenizerFast, name, None)
            for name in (
                "_encode_plus",
                "_batch_encode_plus",
                "_convert_encoding",
                "backend_tokenizer",
                "encode_special",
            )
        )
    )


def _has_seams(made: dict[str, Any]) -> bool:
    """Whether a text may be cut between a letter and a space with a letter behind it, and the ids stay the same.

    Args:
        made: the tokenizer as its file describes it.
    """
    model, normalizer = made["model"], made["normalizer"]
    return (
        model["type"] == "BPE"
        and not model.get("dropout")
        and (normalizer is None or normalizer["type"] == "NFC")
        and _cuts_words(made["pre_tokenizer"])
        # An added token is found before words are: none may reach across, or take spaces in front of it.
        and not any(re.search(r"[A-Za-z] ", each["content"]) for each in made["added_tokens"])
        and not any(each["lstrip"] and each["content"][:1].isalpha() for each in made["added_tokens"])
    )


def _cuts_words(made: dict[str, Any] | None) -> bool:
    if made is None:
        return False
    if made["type"] == "ByteLevel":
        return bool(made["use_regex"])
    if made["type"] != "Sequence":
        return False
    parts = made["pretokenizers"]
    return (
        [part["type"] for part in parts] == ["Split", "ByteLevel"]
        and parts[0]["pattern"].get("Regex") in WORD_PATTERNS
        and (parts[0]["behavior"], parts[0]["invert"]) == ("Isolated", False)
        and not parts[1]["use_regex"]
    )
