"""What can be told of an answer without a model: its words, and how long it is. A floor, and a fallback."""

import re
import zlib

import numpy as np
from jaxtyping import Float64

BUCKETS = 512
"""Words are told apart by a hash of so many values."""
_WORD = re.compile(r"\w+|[^\w\s]")


def of_words(text: str) -> Float64[np.ndarray, " feature"]:
    """How often each word is in a text, as log(1 + count) and of length 1 together; then log(1 + characters).

    Args:
        text: of one answer. Words are told apart in small letters; some share a number.
    """
    counts = np.zeros(BUCKETS + 1)
    for word in _WORD.findall(text.lower()):
        counts[zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS] += 1
    said = np.log1p(counts)
    size = np.sqrt((said**2).sum())
    said = said / size if size > 0 else said
    said[BUCKETS] = np.log1p(len(text))
    return said
