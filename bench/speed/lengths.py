"""How long pairs are, and how much of a batch of them is padding."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

POPULATION = 20_000


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a pair: its prompt and its two completions, end tokens included."""

    prompt: int
    chosen: int
    rejected: int

    @property
    def unique(self) -> int:
        """With the prompt counted once."""
        return self.prompt + self.chosen + self.rejected

    @property
    def longest(self) -> int:
        """Of the longer of the two sequences."""
        return self.prompt + max(self.chosen, self.rejected)

    @property
    def sequences(self) -> int:
        """Of both sequences, each with a prompt of its own."""
        return self.unique + self.prompt


@dataclass(frozen=True, slots=True)
class Drawn:
    """Log-normal lengths: mean and shape of the prompt's and of a completion's."""

    prompt: tuple[float, float]
    completion: tuple[float, float]
    longest_prompt: int = 1536
    longest_completion: int = 512

    def population(self, seed: int = 0) -> list[Lengths]:
        """Many pairs, always the same."""
        rng = random.Random(seed)

        def draw(mean: float, shape: float, most: int) -> int:
            return min(most, max(4, int(rng.lognormvariate(math.log(mean) - shape**2 / 2, shape))))

        return [
            Lengths(
                draw(*self.prompt, self.longest_prompt),
                draw(*self.completion, self.longest_completion),
                draw(*self.completion, self.longest_completion),
            )
            for _ in range(POPULATION)
        ]


def batches_of(order: Sequence[int], size: int) -> list[list[int]]:
    """The order, cut into whole batches; what is left over is left out."""
    return [list(order[start : start + size]) for start in range(0, len(order) - size + 1, size)]


def sorted_order(pairs: Sequence[Lengths]) -> list[int]:
    """Longest sequence last."""
    return sorted(range(len(pairs)), key=lambda index: (pairs[index].longest, index))


def shuffled_order(count: int, seed: int) -> list[int]:
    """A permutation that depends on the seed alone."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order


def padding(pairs: Sequence[Lengths], batches: Sequence[Sequence[int]]) -> float:
    """Tokens of padded batches (every sequence as long as its batch's longest) over the unique tokens in them."""
    padded = sum(2 * len(batch) * max(pairs[index].longest for index in batch) for batch in batches)
    return padded / sum(pairs[index].unique for batch in batches for index in batch)
