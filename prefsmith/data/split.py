"""Which rows are held out: decided by a hash of the prompt, so that no prompt is on both sides.

A prompt's side never depends on the other rows: adding rows to a file moves none.
"""

import hashlib

import numpy as np

from prefsmith.data.rowstore import Digests
from prefsmith.records import Group

DIGEST_BYTES = 16


def prompt_digest(group: Group) -> bytes:
    """The same for equal prompts, and only for them."""
    return hashlib.sha256(group.prompt_key().encode("utf-8")).digest()[:DIGEST_BYTES]


def is_held_out(digest: bytes, eval_fraction: float) -> bool:
    """Whether a prompt is held out.

    Args:
        digest: of the prompt.
        eval_fraction: expected share of the prompts that is held out, in [0, 1).
    """
    return int.from_bytes(digest[:8], "big") / 2**64 < eval_fraction


def shared_prompts(train: Digests, held_out: Digests) -> int:
    """How many held-out rows have a prompt that is trained on."""
    return int(np.isin(_as_one(held_out), _as_one(train)).sum())


def digests_of(joined: bytes | bytearray) -> Digests:
    """Digests that stand one behind the other as rows of an array, which shares their memory."""
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def _as_one(digests: Digests) -> np.ndarray:
    return np.ascontiguousarray(digests).view(f"V{DIGEST_BYTES}").reshape(-1)
