"""What became of rows on their way into another format: nothing is left out without being counted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Account:
    """Counts of rows, each by what happened.

    Args:
        read: rows of the file.
        refused: rows that cannot be read, by the code of their error.
        written: rows of the new file.
        left_out: rows, or comparisons of a list, that the target cannot hold, by reason.
        lost: rows that are written without something, by its key.
        unread: rows that are written with something that the target's program does not look at, by column.
        changed: rows that say the same in another way.
        notes: what reading says of its rows.
    """

    read: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, row: "Account", *, written: bool) -> None:
        """Count one row. What was changed in it or lost from it counts where it is written, and once for the row."""
        self.left_out += row.left_out
        if written:
            self.lost.update(row.lost.keys())
            self.unread.update(row.unread.keys())
            self.changed.update(row.changed.keys())

    def as_dict(self) -> dict[str, object]:
        """For programs."""
        counters = {name: dict(getattr(self, name)) for name in ("left_out", "lost", "unread", "changed", "notes")}
        return {"read": self.read, "refused": dict(self.refused), "written": self.written, **counters}
