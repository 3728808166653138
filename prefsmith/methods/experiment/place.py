"""Where a seed's files are, and where its noise comes from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefsmith.evaluate.points import Arm

Use = Literal["pairs", "held out", "frontier", "measuring", "judged"]
_USES: tuple[Use, ...] = ("pairs", "held out", "frontier", "measuring")
_BEYOND_STEPS = 2**40
"""Noise of measurements is never that of a step of training, whose seeds are smaller."""


@dataclass(frozen=True, slots=True)
class Place:
    """A seed of an experiment.

    Args:
        folder: of its files.
        seed: of everything in it.
        runs: the one folder of whatever is trained; None for one in `folder` for each arm.
    """

    folder: Path
    seed: int
    runs: Path | None = None

    @property
    def start(self) -> Path:
        """The model that every method starts from."""
        return self.folder / "sft" / "model"

    @property
    def pairs(self) -> Path:
        """What methods learn from."""
        return self.folder / "pairs.jsonl"

    @property
    def held_out(self) -> Path:
        """What the reward model is chosen by."""
        return self.folder / "held-out.jsonl"

    @property
    def answers(self) -> Path:
        """The start's answers of which the frontier is computed."""
        return self.folder / "answers.jsonl"

    @property
    def reward(self) -> Path:
        """The reward model."""
        return self.folder / "reward"

    @property
    def cache(self) -> Path:
        """Rows as ids, which the seed's runs share."""
        return self.folder / "cache"

    def of(self, arm: Arm) -> Path:
        """Folder of an arm's run."""
        return self.runs or self.folder / "arms" / str(arm).replace(", ", "-").replace(" ", "-")

    def noise(self, use: Use) -> int:
        """Seed of the answers for a use, of which no two share any."""
        if use == "judged":
            return 2 * _BEYOND_STEPS + self.seed
        return _BEYOND_STEPS + self.seed * len(_USES) + _USES.index(use)
