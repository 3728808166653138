"""The tensors that cross folder borders, and the only place where their shapes are written down.

Axes
    token   tokens of the batch, prompts and completions
    group   prompts in the batch; each stands once, its completions behind it
    seq     completions in the batch; one that is used in three comparisons is here once
    scored  scored tokens, in token order, which is also seq order
    pair    comparisons
    rating  ratings
    list    ranked lists of completions of one prompt
    item    places in the lists, one list behind the other
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
    value: Float64[Tensor, " rating"]  # 1 desirable, 0 undesirable; for a loss that needs scores a share in [0, 1]
    weight: Float64[Tensor, " rating"]  # data weight, >= 0
    mismatched: Int[Tensor, " mismatched"] | None = None  # sequences that answer another prompt, for KTO's KL term

    def __len__(self) -> int:
        return self.seq.shape[0]

    def offset(self, by: int) -> "Ratings":
        """The same ratings, where `by` sequences stand in front."""
        mismatched = None if self.mismatched is None else self.mismatched + by
        return replace(self, seq=self.seq + by, mismatched=mismatched)


@dataclass(frozen=True, slots=True)
class Rankings:
    """Lists of completions of one prompt, the best first."""

    items: Int[Tensor, " item"]  # index into the seq axis; list i has the items starts[i] to starts[i + 1]
    starts: Int[Tensor, " bounds"]  # one more than there are lists
    tier: Int[Tensor, " item"]  # 0 is the best, never falling within a list; completions of one tier are tied
    scores: Float64[Tensor, " item"]  # a judge's number, larger is better; NaN where there are only ranks
    weight: Float64[Tensor, " list"]  # data weight, >= 0

    def __len__(self) -> int:
        return self.weight.shape[0]

    def offset(self, by: int) -> "Rankings":
        """The same lists, where `by` sequences stand in front."""
        return replace(self, items=self.items + by)

    def owner(self) -> Int[Tensor, " item"]:
        """The list that each item belongs to."""
        return torch.repeat_interleave(torch.arange(len(self)), self.starts.diff())


Labels = Preferences | Ratings | Rankings


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
    # The rest is there if and only if a loss declares that it needs it.
    per_token: PerToken | None = None
    confidence: Nats | None = None  # mean over tokens of log policy(y_t) - log sum_v policy(v)^2, without gradient
    kl: Nats | None = None  # sum over tokens of KL(reference(. | x, y_<t) || policy(. | x, y_<t)), >= 0

    def log_ratio(self) -> Nats:
        """log policy(y|x) - log reference(y|x).

        Raises:
            ValueError: there is no reference.
        """
        if self.reference is None:
            raise ValueError("these scores have no reference; the loss must declare that it needs one")
        return self.policy - self.reference


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What a model says of each scored token; the optional parts are there where they were asked for."""

    policy: TokenNats  # log-probability of the token
    confidence: TokenNats | None = None  # log policy(y_t) - log sum_v policy(v)^2, without gradient
    kl: TokenNats | None = None  # KL(reference(. | x, y_<t) || policy(. | x, y_<t)), over the whole vocabulary
    reference: TokenNats | None = None  # the reference's log-probability of the token, where `kl` was asked for


@dataclass(frozen=True, slots=True)
class TokenSlopes:
    """The derivative of an objective by what `TokenScores` holds; None where it depends on none of it."""

    policy: TokenNats
    kl: TokenNats | None = None


def join_scores(parts: list[SequenceScores]) -> SequenceScores:
    """Scores of several batches as those of one, in the same order."""
    references = [part.reference for part in parts if part.reference is not None]
    tokens = [part.per_token for part in parts if part.per_token is not None]
    return SequenceScores(
        policy=torch.cat([part.policy for part in parts]),
        reference=torch.cat(references) if references else None,
        tokens=torch.cat([part.tokens for part in parts]),
        per_token=_join_tokens(tokens) if tokens else None,
        confidence=_joined([part.confidence for part in parts]),
        kl=_joined([part.kl for part in parts]),
    )


def _joined(parts: Sequence[Float64[Tensor, " _"] | None]) -> Nats | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None


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
    rankings = [part for part in moved if isinstance(part, Rankings)]
    if max(len(comparisons), len(ratings), len(rankings)) < len(moved):
        raise ValueError("labels of different kinds cannot be joined")
    if rankings:
        return _join_rankings(rankings)
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


def _join_rankings(parts: Sequence[Rankings]) -> Rankings:
    lengths = torch.cat([part.starts.diff() for part in parts])
    return Rankings(
        items=torch.cat([part.items for part in parts]),
        starts=torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        tier=torch.cat([part.tier for part in parts]),
        scores=torch.cat([part.scores for part in parts]),
        weight=torch.cat([part.weight for part in parts]),
    )
