"""What a search varies: whatever can be tried with some settings and then says what it is worth."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from prefsmith.methods.sweep.worth import Objective, Worth

Report = Callable[[float, int], None]
"""Told the first objective at a step of a trial; it raises what ends the trial."""


@runtime_checkable
class Subject(Protocol):
    """Something with settings, of which trials are made."""

    @property
    def objectives(self) -> Sequence[Objective]:
        """One or two, by which trials are judged."""
        ...

    @property
    def prune(self) -> bool:
        """Whether trials that do worse than half of the others by then are stopped."""
        ...

    def settings(self) -> dict[str, Any]:
        """Those of all trials; a search goes on where they are the same."""
        ...

    def check(self, values: Mapping[str, Any]) -> None:
        """Refuse settings that no trial could have.

        Raises:
            ConfigError: a key is no setting, or a value is outside its range.
        """
        ...

    def attempt(self, values: Mapping[str, Any], folder: Path, report: Report | None) -> Sequence[Worth | None]:
        """One trial, gone on with where its folder has part of it; None for an objective that it does not have.

        Raises:
            TrainingError: it came to nothing.
        """
        ...

    def as_yaml(self, values: Mapping[str, Any]) -> str:
        """A file that does it again with these settings."""
        ...
