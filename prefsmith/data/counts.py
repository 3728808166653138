"""What was done to rows on their way to ids."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from prefsmith.data.encoded import EncodedGroup

PLACES = 10
"""Rows of each kind whose place is kept, so that somebody can look at them."""


@dataclass(slots=True)
class EncodingCounts:
    """What was done to the rows on their way to ids; each group is counted once per kind.

    `places` has file:line of the first rows of each kind.
    """

    groups: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, kind: str, source: str) -> None:
        """Count a row, and keep its place if it is among the first of its kind."""
        self.kinds[kind] += 1
        places = self.places.setdefault(kind, [])
        if len(places) < PLACES:
            places.append(source)

    def count(self, encoded: EncodedGroup | None, kinds: Iterable[str], source: str) -> None:
        """Count what became of a row."""
        for kind in sorted(kinds):
            self.add(kind, source)
        if encoded is not None:
            self.groups += 1
            self.prompt_tokens += len(encoded.prompt)
            self.completion_tokens += sum(len(each.ids) - each.unscored for each in encoded.completions)

    def join(self, others: "EncodingCounts") -> None:
        """Add what was counted of rows that come behind these."""
        self.groups += others.groups
        self.prompt_tokens += others.prompt_tokens
        self.completion_tokens += others.completion_tokens
        for kind, n in others.kinds.items():
            self.kinds[kind] += n
            self.places[kind] = [*self.places.get(kind, []), *others.places.get(kind, [])][:PLACES]

    def as_dict(self) -> dict[str, int]:
        """For data.json."""
        return {
            "groups": self.groups,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            **dict(sorted(self.kinds.items())),
        }
