"""Worlds: problems whose true reward can be computed, so that "better" can be measured.

A world writes texts to learn from, asks prompts, and knows what every answer is worth. Experiments know nothing else of
it: the model that learns its texts, the comparisons, the training and the measuring are those of any other data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from prefsmith.records import Group

Use = Literal["train", "held out", "measured", "judged"]
"""Of prompts: to learn from, to choose a reward model by, to measure reward and KL on, to compare answers on."""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt, and how its text goes on behind a space."""

    prompt: str
    completion: str

    def as_row(self) -> dict[str, str]:
        """As a row of a file of examples."""
        return {"prompt": self.prompt, "completion": self.completion}


@runtime_checkable
class World(Protocol):
    """A problem of which everything is known."""

    @property
    def name(self) -> str:
        """One word, as recipes have it."""
        ...

    @property
    def words(self) -> Sequence[str]:
        """All that its texts are made of."""
        ...

    @property
    def longest(self) -> int:
        """Tokens after which an answer is cut; none of its own is as long."""
        ...

    @property
    def longest_text(self) -> int:
        """Most tokens of a prompt with its answer."""
        ...

    @property
    def criteria(self) -> Sequence[str]:
        """Those of `evaluate.criteria` that have to hold here."""
        ...

    def examples(self, count: int, seed: int) -> list[Example]:
        """Texts that the start learns from."""
        ...

    def prompts(self, use: Use, count: int, seed: int) -> list[Group]:
        """Different prompts, those to be judged with the answer of the data as their completion.

        Args:
            use: what they are for; no prompt that is measured or judged is one to learn from, where there are enough.
            count: how many; a world with few asks all of them and does not look at it.
            seed: of the draw.
        """
        ...

    def reward(self, prompt: str, answer: str) -> float:
        """What an answer is worth, in nats."""
        ...

    def well_formed(self, prompt: str, answer: str) -> bool:
        """Whether the world's own writers could have written it."""
        ...


@dataclass(frozen=True, slots=True)
class TrueReward:
    """The reward of a world, as whatever else gives answers a number.

    Args:
        world: that knows it.
    """

    world: World

    @property
    def name(self) -> str:
        """What it is."""
        return f"true reward of {self.world.name}"

    def rewards(self, groups: Sequence[Group]) -> list[tuple[float, ...]]:
        """For each group the reward of each of its completions."""
        return [
            tuple(self.world.reward(str(group.prompt), completion.content) for completion in group.completions)
            for group in groups
        ]
