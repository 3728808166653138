"""Pairs with what two models make of them, as arrays: everything about the implicit reward follows from these."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int

PerAnswer = Float64[np.ndarray, " answer"]
PerPair = Float64[np.ndarray, " pair"]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers with their log-probabilities in nats, summed over their tokens.

    Args:
        policy: under the trained model.
        reference: under the model that it is compared with.
        tokens: scored tokens, the end token among them; at least 1.
        characters: of the text.
        words: of the text, split at spaces.
        prompt: number of the prompt; equal prompts have equal numbers.
    """

    policy: PerAnswer
    reference: PerAnswer
    tokens: PerAnswer
    characters: PerAnswer
    words: PerAnswer
    prompt: Int[np.ndarray, " answer"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Comparisons of these answers, each turned so that the side that its label prefers stands first.

    Args:
        answers: that are compared; one may be in several pairs.
        better: index of the preferred answer; of a tie the first one of the row.
        worse: index of the other.
        prob: probability that `better` is better, in [1/2, 1]; one half is a tie.
        weight: how much the pair counts, >= 0.
        tags: what each pair is about.
        files: number of the file that each pair is from.
    """

    answers: Answers
    better: Int[np.ndarray, " pair"]
    worse: Int[np.ndarray, " pair"]
    prob: PerPair
    weight: PerPair
    tags: tuple[tuple[str, ...], ...]
    files: Int[np.ndarray, " pair"]

    def __len__(self) -> int:
        return len(self.better)

    @property
    def margin(self) -> PerPair:
        """h in nats: the log-ratio of the preferred answer less that of the other."""
        return self.difference(self.answers.policy - self.answers.reference)

    @property
    def prompt(self) -> Int[np.ndarray, " pair"]:
        """Number of the prompt of each pair."""
        return self.answers.prompt[self.better]

    @property
    def decided(self) -> Bool[np.ndarray, " pair"]:
        """Whether the label prefers a side, and counts."""
        return (self.prob != 0.5) & (self.weight > 0)

    def difference(self, values: PerAnswer) -> PerPair:
        """A number of the preferred answer less that of the other."""
        return values[self.better] - values[self.worse]

    def where(self, kept: Bool[np.ndarray, " pair"]) -> "Pairs":
        """Some of the pairs; the answers stay."""
        tags = tuple(tags for tags, keep in zip(self.tags, kept, strict=True) if keep)
        return replace(
            self,
            better=self.better[kept],
            worse=self.worse[kept],
            prob=self.prob[kept],
            weight=self.weight[kept],
            tags=tags,
            files=self.files[kept],
        )


def turned(
    answers: Answers,
    first: Int[np.ndarray, " pair"],
    second: Int[np.ndarray, " pair"],
    prob: PerPair,
    weight: PerPair,
    tags: tuple[tuple[str, ...], ...],
    files: Int[np.ndarray, " pair"],
) -> Pairs:
    """Pairs of labels as they stand in a file: `prob` is the probability that the first side is better."""
    round_ = prob < 0.5
    better, worse = np.where(round_, second, first), np.where(round_, first, second)
    return Pairs(answers, better, worse, np.where(round_, 1 - prob, prob), weight, tags, files)
