"""prefsmith: turn preferences into a better language model, and show the evidence.

The public names are resolved when they are first used, so that `import prefsmith` and `prefsmith --help` load no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefsmith.config import RunConfig
    from prefsmith.data.groups import read_groups
    from prefsmith.errors import ConfigError, DataError, Interrupted, PrefsmithError, TrainingError
    from prefsmith.losses import LOSSES
    from prefsmith.records import Comparison, Completion, Group, Message, Rating, Vote
    from prefsmith.run import Run, fit
    from prefsmith.trainers import (
        ConstitutionalDPOTrainer,
        DPOTrainer,
        DPOTrainerWithLoRA,
        ProbabilisticDPOTrainer,
    )
    from prefsmith.types import Batch, Preferences, Ratings, SequenceScores

_HOMES = {
    "prefsmith.config": ("RunConfig",),
    "prefsmith.data.groups": ("read_groups",),
    "prefsmith.errors": ("ConfigError", "DataError", "Interrupted", "PrefsmithError", "TrainingError"),
    "prefsmith.losses": ("LOSSES",),
    "prefsmith.records": ("Comparison", "Completion", "Group", "Message", "Rating", "Vote"),
    "prefsmith.run": ("Run", "fit"),
    "prefsmith.trainers": (
        "ConstitutionalDPOTrainer",
        "DPOTrainer",
        "DPOTrainerWithLoRA",
        "ProbabilisticDPOTrainer",
    ),
    "prefsmith.types": ("Batch", "Preferences", "Ratings", "SequenceScores"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "LOSSES",
    "Batch",
    "Comparison",
    "Completion",
    "ConfigError",
    "ConstitutionalDPOTrainer",
    "DPOTrainer",
    "DPOTrainerWithLoRA",
    "DataError",
    "Group",
    "Interrupted",
    "Message",
    "Preferences",
    "PrefsmithError",
    "ProbabilisticDPOTrainer",
    "Rating",
    "Ratings",
    "Run",
    "RunConfig",
    "SequenceScores",
    "TrainingError",
    "Vote",
    "fit",
    "read_groups",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"prefsmith has no {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
