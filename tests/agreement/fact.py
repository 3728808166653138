"""A row of the page's last table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """What both do, in numbers, and whether it is as declared.

    Args:
        key: what it is about.
        theirs: TRL's number or numbers, in words.
        ours: ours.
        why: and who is right.
        holds: whether both are as declared.
    """

    key: str
    theirs: str
    ours: str
    why: str
    holds: bool

    @property
    def problem(self) -> str:
        """Empty where both are as declared."""
        return "" if self.holds else f"TRL: {self.theirs}; ours: {self.ours}"
