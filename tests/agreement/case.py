"""What is compared: a loss of ours and its settings, TRL's trainer and its arguments, and what is declared of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Labels = Literal["pairs", "chosen", "both", "alternate", "whole"]
"""pairs: chosen against rejected; chosen: the chosen side alone, desirable; both: the two sides, one desirable and one
not; alternate: one of them, the chosen one of every other row; whole: as chosen, with all tokens but the first
scored, prompt included."""

By = Literal["label", "token", "confidence"]
"""What a label counts in the mean: one; its tokens; or the product of WPO's weights of both sides, not normalised."""


@dataclass(frozen=True)
class Part:
    """One term of ours.

    Args:
        name: of the loss in the registry.
        settings: others than its defaults.
        weight: factor of the term.
        labels: what it is given.
        by: what a label counts in the mean.
        prob: P(chosen is better), of every pair.
        remember: whether a loss with memory keeps it from batch to batch.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    labels: Labels = "pairs"
    by: By = "label"
    prob: float = 1.0
    remember: bool = False

    def __str__(self) -> str:
        given = [f"{key}={value}" for key, value in self.settings.items()]
        if self.prob != 1.0:
            given.append(f"prob={self.prob:g}")
        words = f"{self.name}({', '.join(given)})" if given else self.name
        if self.weight != 1.0:
            words = f"{self.weight:g} {words}"
        return words


Trainer = Literal["DPO", "KTO", "CPO", "ORPO", "TPO", "SFT"]
"""TRL's trainers of preferences, and that of fine-tuning on the chosen answers."""


@dataclass(frozen=True)
class Theirs:
    """TRL's side.

    Args:
        trainer: which of TRL's.
        arguments: of its configuration, others than those that every case shares.
        device_batch: rows of a device batch; the batch of 8 is divided into these, and their mean is taken.
    """

    trainer: Trainer
    arguments: Mapping[str, Any]
    device_batch: int = 8

    def __str__(self) -> str:
        given = [
            f"{key}={value!r}" if isinstance(value, str) else f"{key}={value}" for key, value in self.arguments.items()
        ]
        divided = f", device batches of {self.device_batch}" if self.device_batch != 8 else ""
        return f"{self.trainer}: {', '.join(given) or 'defaults'}{divided}".replace("'", '"')


def trl(trainer: Trainer, *, device_batch: int = 8, **arguments: Any) -> Theirs:
    """TRL's trainer with these arguments."""
    return Theirs(trainer, arguments, device_batch)


@dataclass(frozen=True)
class Difference:
    """Why the two numbers are not the same.

    Args:
        why: in a sentence or two, with the place in TRL's source.
        right: who is right, and by what.
        like: what TRL computes, in terms of ours; the comparison must then be equal.
        device_batch: as TRL's, for a loss that looks across the step.
        mismatched: as in `Case`.
    """

    why: str
    right: str
    like: tuple[Part, ...]
    device_batch: int = 8
    mismatched: Literal["theirs", "ours"] = "ours"


@dataclass(frozen=True)
class Case:
    """A row of the page.

    Args:
        ours: terms of ours, summed.
        theirs: what is compared with it.
        differs: None where both are to be equal.
        rows: `random` words, or `likely` ones under the policy.
        mismatched: for KTO: whether ours is given TRL's mismatched answers or makes its own.
        float64: whether TRL's code can compute it in float64.
        float32_inside: whether TRL's formula goes through float32 whatever the model.
        note: what a reader should know.
    """

    ours: tuple[Part, ...]
    theirs: Theirs
    differs: Difference | None = None
    rows: Literal["random", "likely"] = "random"
    mismatched: Literal["theirs", "ours"] = "ours"
    float64: bool = True
    float32_inside: bool = False
    note: str = ""

    @property
    def names(self) -> set[str]:
        """The losses of ours that it is about."""
        return {part.name for part in self.ours}

    @property
    def needed(self) -> set[str]:
        """The losses of ours that must be registered."""
        return self.names | {part.name for part in (self.differs.like if self.differs else ())}
