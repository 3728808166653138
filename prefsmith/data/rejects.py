"""What happens to a row that cannot be used: the run stops, or the row is written down with its reason."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from prefsmith.errors import DataError


@dataclass(slots=True)
class Rejects:
    """The rows that were refused.

    Args:
        skip: go on after a bad row. False raises its error instead.
        rows: for each refused row where it stands, the error's code, words and mend, and the row as it was read.
    """

    skip: bool = False
    rows: list[dict[str, object]] = field(default_factory=list)

    def refuse(self, error: DataError, row: object) -> None:
        """Write the row down, or raise its error where bad rows are not skipped."""
        if not self.skip:
            raise error
        said = {"where": error.where, "code": error.code, "reason": error.what, "fix": error.fix}
        self.rows.append({**said, "row": row})

    def counts(self) -> dict[str, int]:
        """How many rows were refused, by code."""
        return dict(Counter(str(row["code"]) for row in self.rows))

    def write(self, path: Path) -> None:
        """One JSON object per refused row, non-ASCII as escapes; no file where no row was refused."""
        if not self.rows:
            return
        with path.open("w", encoding="utf-8") as file:
            for row in self.rows:
                file.write(json.dumps(row, ensure_ascii=True, default=str) + "\n")
