"""What the methods of an experiment are called on its page."""

from collections.abc import Mapping

NAMES = {
    "reference": "the start",
    "dpo": "DPO",
    "ipo": "IPO",
    "kto": "KTO",
    "sft": "fine-tuning on chosen",
    "unlikelihood": "unlikelihood",
    "best_of_n": "best of n",
    "rloo": "RLOO",
}
"""Others by their own names."""
REWARDS = {"task": "true reward", "learned": "learned reward"}


def title_of(method: str, settings: Mapping[str, float | str]) -> str:
    """An arm in words: `DPO, beta 0.1`."""
    values = [
        REWARDS.get(str(value), str(value)) if key == "reward" else f"{key} {_as_given(value)}"
        for key, value in settings.items()
    ]
    return ", ".join((NAMES.get(method, method), *values))


def _as_given(value: float | str) -> str:
    """A setting as it was given."""
    return value if isinstance(value, str) else f"{value:g}"
