"""The tensors that cross folder borders, and the only place where their shapes are written down.

Axes
    token   tokens of the batch, prompts and completions
    group   prompts in the batch; each stands once, its completions behind it
    seq     completions in the batch; one that is used in three comparisons is here once
    scored  scored tokens, in token order, which is also seq order
    pair    comparisons
    rating  ratings
Log-probabilities are natural (nats), summed in float64 over the scored tokens of a completion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

Nats = Float64[Tensor, " seq"]
TokenNats = Float64[Tensor, " scored"]


@dataclass(frozen=True, slots=True)
class Preferences:
    """Which completions were compared, and how sure the label is."""

    chosen: Int[Tensor, " pair"]  # index into the seq axis
    rejected: Int[Tensor, " pair"]  # index into the seq axis
    prob: Float64[Tensor, " pair"]  # P(chosen is better), in [0, 1]; 1 is a hard label
    weight: Float64[Tensor, " pair"]  # data weight, >= 0
    score_gap: Float64[Tensor, " pair"]  # score of chosen minus score of rejected; NaN where there are no scores

    def __len__(self) -> int:
        return self.chosen.shape[0]

    def offset(self, by: int) -> "Preferences":
        """The same comparisons, where `by` sequences stand in front."""
        return replace(self, chosen=self.chosen + by, rejected=self.rejected + by)


@dataclass(frozen=True, slots=True)
class Ratings:
    """Which completions were judged on their own."""

    seq: Int[Tensor, " rating"]  # index into the seq axis
    value: Float64[Tensor, " rating"]  # 1 desirable, 0 undesirable
    weight: Float64[Tensor, " rating"]  # data weight, >= 0
    mismatched: Int[Tensor, " mismatched"] | None = None  # sequences that answer another prompt, for KTO's KL term

    def __len__(self) -> int:
        return self.seq.shape[0]

    def offset(self, by: int) -> "Ratings":
        """The same ratings, where `by` sequences stand in front."""
        mismatched = None if self.mismatched is None else self.mismatched + by
        return replace(self, seq=self.seq + by, mismatched=mismatched)


Labels = Preferences | Ratings


@dataclass(frozen=True, slots=True)
class Batch:
    """A packed forest: each prompt once, its completions behind it, no padding.

    `labels` holds one view per loss term. `compared` holds what the data says of pairs, whatever the losses read:
    metrics are computed from it.
    """

    ids: Int[Tensor, " token"]
    prompts: Int[Tensor, "group 2"]  # start, end
    completions: Int[Tensor, "seq 3"]  # group, start, end
    scored: Bool[Tensor, " token"]
    labels: tuple[Labels, ...]
    compared: Preferences
    sources: tuple[str, ...]  # file:line of each group, for messages

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on `device`; labels stay where losses are computed, on the CPU."""
        if self.ids.device == device:
            return self
        names = ("ids", "prompts", "completions", "scored")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def scored_per_seq(self) -> Int[Tensor, " seq"]:
        """Scored tokens of each completion, >= 1."""
        before = torch.cat([self.scored.new_zeros(1, dtype=torch.int64), self.scored.cumsum(0)])
        return before[self.completions[:, 2]] - before[self.completions[:, 1]]


@dataclass(frozen=True, slots=True)
class PerToken:
    """Log-probabilities of single tokens, for losses that look inside a completion."""

    policy: TokenNats
    reference: TokenNats | None
    offsets: Int[Tensor, " bounds"]  # completion s has the scored tokens offsets[s] to offsets[s + 1]


@dataclass(frozen=True, slots=True)
class SequenceScores:
    """What policy and reference say of each completion, in nats."""

    policy: Nats
    reference: Nats | None
    tokens: Int[Tensor, " seq"]  # scored tokens, >= 1
    per_token: PerToken | None = None  # there if and only if the loss declares that it needs it

    def log_ratio(self) -> Nats:
        """log policy(y|x) - log reference(y|x).

        Raises:
            ValueError: there is no reference.
        """
        if self.reference is None:
            raise ValueError("these scores have no reference; the loss must declare that it needs one")
        return self.policy - self.reference


def join_scores(parts: list[SequenceScores]) -> SequenceScores:
    """Scores of several batches as those of one, in the same order."""
    references = [part.reference for part in parts if part.reference is not None]
    tokens = [part.per_token for part in parts if part.per_token is not None]
    return SequenceScores(
        policy=torch.cat([part.policy for part in parts]),
        reference=torch.cat(references) if references else None,
        tokens=torch.cat([part.tokens for part in parts]),
        per_token=_join_tokens(tokens) if tokens else None,
    )


def _join_tokens(parts: list[PerToken]) -> PerToken:
    references = [part.reference for part in parts if part.reference is not None]
    lengths = torch.cat([part.offsets.diff() for part in parts])
    return PerToken(
        policy=torch.cat([part.policy for part in parts]),
        reference=torch.cat(references) if references else None,
        offsets=torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
    )


def join_labels(parts: Sequence[Labels], seqs: Sequence[int]) -> Labels:
    """Labels of several batches as those of one, all of one kind; `seqs` is the number of completions in each batch.

    Raises:
        ValueError: the parts are of different kinds.
    """
    moved = [part.offset(sum(seqs[:index])) for index, part in enumerate(parts)]
    comparisons = [part for part in moved if isinstance(part, Preferences)]
    ratings = [part for part in moved if isinstance(part, Ratings)]
    if comparisons and ratings:
        raise ValueError("labels of different kinds cannot be joined")
    return _join_ratings(ratings) if ratings else join_preferences(comparisons)


def join_preferences(parts: Sequence[Preferences]) -> Preferences:
    """Comparisons whose indices already count the sequences of the joined batch."""
    return Preferences(
        chosen=torch.cat([part.chosen for part in parts]),
        rejected=torch.cat([part.rejected for part in parts]),
        prob=torch.cat([part.prob for part in parts]),
        weight=torch.cat([part.weight for part in parts]),
        score_gap=torch.cat([part.score_gap for part in parts]),
    )


def _join_ratings(parts: Sequence[Ratings]) -> Ratings:
    mismatched = [part.mismatched for part in parts if part.mismatched is not None]
    return Ratings(
        seq=torch.cat([part.seq for part in parts]),
        value=torch.cat([part.value for part in parts]),
        weight=torch.cat([part.weight for part in parts]),
        mismatched=torch.cat(mismatched) if mismatched else None,
    )
