"""Scores and labels for any registered loss: what it needs, and nothing that it did not ask for."""

from dataclasses import dataclass, replace

import torch

from prefsmith.losses.registry import Entry
from prefsmith.types import Labels, PerToken, Preferences, Rankings, Ratings, SequenceScores

LENGTHS = (3, 5, 2, 4, 3, 2, 4, 1)
LABELLED = 6  # sequences that labels are about; the last two answer other prompts


def column(*values):
    return torch.tensor(values, dtype=torch.float64)


def owners(lengths=LENGTHS):
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def summed(tokens, lengths=LENGTHS):
    return torch.zeros(len(lengths), dtype=torch.float64).index_add(0, owners(lengths), tokens)


@dataclass(frozen=True)
class World:
    """Token scores of eight completions; `policy` and `kl` may carry gradients."""

    policy: torch.Tensor
    reference: torch.Tensor
    kl: torch.Tensor
    confidence: torch.Tensor
    lengths: tuple[int, ...] = LENGTHS

    def scores(self, entry: Entry) -> SequenceScores:
        lengths = torch.tensor(self.lengths)
        reference = self.reference if entry.needs_reference else None
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        return SequenceScores(
            policy=summed(self.policy, self.lengths),
            reference=None if reference is None else summed(reference, self.lengths),
            tokens=lengths,
            per_token=PerToken(self.policy, reference, offsets) if "per_token" in entry.needs else None,
            confidence=self.confidence if "confidence" in entry.needs else None,
            kl=summed(self.kl, self.lengths) if "kl" in entry.needs else None,
        )

    def with_gradients(self) -> "World":
        return replace(self, policy=self.policy.clone().requires_grad_(), kl=self.kl.clone().requires_grad_())


def world(seed=0, *, same=False, lengths=LENGTHS):
    """Random scores; `same`: the policy is the reference."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(count):
        return torch.rand(count, dtype=torch.float64, generator=generator)

    total = sum(lengths)
    policy = -3 * drawn(total) - 0.05
    reference = policy.clone() if same else policy + 0.6 * torch.randn(total, dtype=torch.float64, generator=generator)
    kl = torch.zeros(total, dtype=torch.float64) if same else drawn(total)
    return World(policy, reference, kl, -drawn(len(lengths)), lengths)


def pairs(*members, prob=1.0, weight=1.0, gap=(1.5, 0.7)):
    chosen, rejected = zip(*members, strict=True)
    n = len(members)
    return Preferences(
        torch.tensor(chosen),
        torch.tensor(rejected),
        torch.full((n,), prob, dtype=torch.float64),
        torch.full((n,), weight, dtype=torch.float64),
        column(*(gap[index % len(gap)] for index in range(n))),
    )


def ratings(*members, weight=1.0, mismatched=(6, 7)):
    seq, value = zip(*members, strict=True)
    return Ratings(
        torch.tensor(seq),
        column(*value),
        torch.full((len(members),), weight, dtype=torch.float64),
        torch.tensor(mismatched),
    )


def lists(*members, weight=1.0, scores=(2.0, 1.0, 0.4)):
    """Ranked lists of indices, the best first."""
    items = [each for member in members for each in member]
    lengths = torch.tensor([len(member) for member in members])
    return Rankings(
        items=torch.tensor(items),
        starts=torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        tier=torch.tensor([place for member in members for place in range(len(member))]),
        scores=column(*(scores[place] for member in members for place in range(len(member)))),
        weight=torch.full((len(members),), weight, dtype=torch.float64),
    )


def labels_for(entry: Entry, weight=1.0, *, hard=False) -> Labels:
    """Two or more labels on the first six sequences."""
    if entry.kind == "pairwise":
        return pairs((0, 1), (2, 3), prob=0.8 if entry.soft_labels and not hard else 1.0, weight=weight)
    if entry.kind == "listwise":
        return lists((0, 1, 2), (3, 4), weight=weight)
    if "scores" in entry.needs:
        return ratings((0, 0.9), (1, 0.2), (3, 0.5), weight=weight)
    other = 1.0 if entry.desirable_only else 0.0
    return ratings((0, 1.0), (1, other), (2, 1.0), (3, other), weight=weight)


def taken(labels: Labels, places) -> Labels:
    """The labels at these places, in this order; a place may come twice."""
    index = torch.tensor(places)
    if isinstance(labels, Rankings):
        ranges = [range(int(labels.starts[place]), int(labels.starts[place + 1])) for place in places]
        item = torch.tensor([each for members in ranges for each in members])
        lengths = torch.tensor([len(members) for members in ranges])
        return Rankings(
            labels.items[item],
            torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
            labels.tier[item],
            labels.scores[item],
            labels.weight[index],
        )
    if isinstance(labels, Ratings):
        return Ratings(labels.seq[index], labels.value[index], labels.weight[index], labels.mismatched)
    return Preferences(*(getattr(labels, name)[index] for name in Preferences.__slots__))
