"""What is seen of an answer without understanding it: lengths, marks of formatting, phrases of a refusal."""

import re

import numpy as np
from jaxtyping import Float32

NAMES = (
    "words",
    "characters",
    "line breaks",
    "list items",
    "headings",
    "bold",
    "code",
    "exclamation marks",
    "question marks",
    "links",
    "refusal",
)
"""In the order in which `surface` counts."""
LENGTHS = ("words", "characters")
REFUSAL = "refusal"

_ITEMS = re.compile(r"^[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]", re.MULTILINE)
_HEADINGS = re.compile(r"^#{1,6}[ \t]", re.MULTILINE)
_REFUSALS = re.compile(
    r"sorry|apologi[sz]e"
    r"|\bi (?:ca(?:n['\u2019]t|nnot|n not)|won['\u2019]t|will not|must decline|refuse)\b"
    r"|(?:unable|not able|not comfortable|not willing) (?:to|with)\b"
    r"|\bas an ai\b"
)

Features = Float32[np.ndarray, "completion feature"]


def surface(text: str) -> tuple[float, ...]:
    """How often each of `NAMES` is in a text; for a refusal, 1 where a phrase of one is.

    Such phrases are words like sorry, I can't, unable to. They are found wherever they stand, so that a few that mean
    something else are counted too.
    """
    lines = text.count("\n")
    return (
        len(text.split()),
        len(text),
        lines,
        len(_ITEMS.findall(text)),
        len(_HEADINGS.findall(text)) if "#" in text else 0,
        text.count("**") // 2,
        text.count("`"),
        text.count("!"),
        text.count("?"),
        text.count("http://") + text.count("https://"),
        float(_REFUSALS.search(text.lower()) is not None),
    )
