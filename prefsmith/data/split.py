"""Which rows are held out: decided by a hash of the prompt, so that no prompt is on both sides.

A prompt's side never depends on the other rows: adding rows to a file moves none.
"""

import hashlib
from collections.abc import Sequence

from prefsmith.records import Group


def split(groups: Sequence[Group], eval_fraction: float) -> tuple[list[Group], list[Group]]:
    """Training groups and held-out groups, in their order.

    Args:
        groups: rows of a file.
        eval_fraction: expected share of the prompts that is held out, in [0, 1).
    """
    train: list[Group] = []
    held_out: list[Group] = []
    for group in groups:
        (held_out if _place(group) < eval_fraction else train).append(group)
    return train, held_out


def shared_prompts(train: Sequence[Group], held_out: Sequence[Group]) -> int:
    """How many held-out rows have a prompt that is trained on."""
    known = {group.prompt_key() for group in train}
    return sum(group.prompt_key() in known for group in held_out)


def _place(group: Group) -> float:
    """A number in [0, 1) that depends on the prompt alone, uniform over prompts."""
    digest = hashlib.sha256(group.prompt_key().encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
