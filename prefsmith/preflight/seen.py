"""What warnings are made from."""

from collections.abc import Sequence
from dataclasses import dataclass

from prefsmith.config import RunConfig
from prefsmith.data.encoded import EncodedGroup
from prefsmith.preflight.facts import Begin, End, Lengths, Memory, Rows, Template, Treated, Work
from prefsmith.train.objective import Objective


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as far as it is known; its settings have every value in force."""

    config: RunConfig
    objective: Objective
    train: Sequence[EncodedGroup]
    held_out: Sequence[EncodedGroup]
    rows: Rows
    lengths: Lengths | None
    treated: Sequence[Treated]
    begin: Begin
    end: End
    template: Template
    work: Work | None
    memory: Memory | None
    out_of_memory: bool

    @property
    def examples_only(self) -> bool:
        """Whether nothing compares answers: customary values are then others."""
        return all(term.entry.desirable_only for term in self.objective.terms)

    def key(self, index: int) -> str:
        """How the settings of a loss term are named."""
        return f"loss.{index}" if isinstance(self.config.loss, list) else "loss"
