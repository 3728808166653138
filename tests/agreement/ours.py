"""prefsmith's numbers on the same rows and weights: text to ids, ids to scores, scores to the gradient of a step."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from prefsmith import read_groups
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.render import Renderer
from prefsmith.data.views import View
from prefsmith.losses import resolve
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Comparison, Rating
from prefsmith.train.objective import Objective, States
from prefsmith.train.step import Scored, accumulate_step, score_step

from . import problem
from .case import Part

ROOM = 200  # tokens of a micro-batch: less than a step, so that every step is divided


def encoded(path: Path, *, writes_begin: bool = True) -> list[EncodedGroup]:
    """The rows of a file of pairs as token ids, through the program's own reading and encoding."""
    tokenizer = problem.tokenizer(writes_begin=writes_begin)
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    view = View(comparisons=(Comparison(0, 1),))
    groups = [encoder.encode(group, [view]) for group in read_groups(path).groups]
    assert None not in groups
    return [group for group in groups if group is not None]


def scorer(model: PreTrainedModel) -> Scorer:
    """The model as the program runs it."""
    return Scorer(model.eval(), "shared")


class Ours:
    """Policy and reference in one type, on encoded pairs.

    Args:
        dtype: of both models.
        pairs: the rows, chosen first.
        mismatched: for each row the answer that TRL puts behind its prompt for KTO; None for the program's own.
    """

    def __init__(
        self, dtype: torch.dtype, pairs: Sequence[EncodedGroup], mismatched: Sequence[Sequence[int]] | None = None
    ) -> None:
        self.pairs, self.mismatched = pairs, mismatched
        self.policy = scorer(problem.policy(dtype))
        self.reference = Frozen(scorer(problem.reference(dtype).requires_grad_(False)))

    def alone(self, parts: Sequence[Part]) -> list[float]:
        """The loss of every row as a step of its own."""
        return [sum(self._score(part, [index]).loss for part in parts) for index in range(len(self.pairs))]

    def batches(self, parts: Sequence[Part], size: int) -> list[tuple[float, Tensor]]:
        """Loss and gradient of every batch; as means over pieces of `size` rows, each a step of its own."""
        found = []
        states: dict[str, States] = {}
        for first in range(0, len(self.pairs), problem.BATCH):
            pieces = [range(start, start + size) for start in range(first, first + problem.BATCH, size)]
            self.policy.model.zero_grad()
            total = sum(self._step(part, piece, states) for part in parts for piece in pieces)
            found.append((total / len(pieces), gradient_of(self.policy) / len(pieces)))
        return found

    def _step(self, part: Part, rows: Sequence[int], states: dict[str, States]) -> float:
        objective = self._objective(part, rows)
        kept = states.get(str(part)) if part.remember else None
        groups = self._groups(part, rows)
        scored = accumulate_step(self.policy, self._reference(objective), objective, groups, ROOM, states=kept)
        before = objective.first_states() if kept is None else kept
        states[str(part)] = objective.next_states(before, scored.scores, scored.labels)
        return scored.loss

    def _score(self, part: Part, rows: Sequence[int]) -> Scored:
        objective = self._objective(part, rows)
        return score_step(self.policy, self._reference(objective), objective, self._groups(part, rows), ROOM)

    def _objective(self, part: Part, rows: Sequence[int]) -> Objective:
        """The term; a mean by confidence is not divided by the sum of the weights, but by the number of labels."""
        factor = sum(self._confidence(row) for row in rows) / len(rows) if part.by == "confidence" else 1.0
        return Objective((resolve(part.name, part.settings, weight=part.weight * factor),))

    def _reference(self, objective: Objective) -> Frozen | None:
        return self.reference if objective.needs_reference else None

    def _groups(self, part: Part, rows: Sequence[int]) -> list[EncodedGroup]:
        made = [self._group(part, row) for row in rows]
        if part.labels == "alternate":
            made = [replace(group, mismatched=(self._foreign(rows, place),)) for place, group in enumerate(made)]
        return made

    def _group(self, part: Part, row: int) -> EncodedGroup:
        pair = self.pairs[row]
        chosen, rejected = pair.completions
        if part.labels == "pairs":
            weight = self._confidence(row) if part.by == "confidence" else 1.0
            return replace(pair, views=(View(comparisons=(Comparison(0, 1, part.prob, weight),)),))
        if part.labels == "both":
            return _rated(pair, (chosen, rejected), (1.0, 0.0))
        if part.labels == "alternate":
            return _rated(pair, (pair.completions[row % 2],), (1.0 - row % 2,))
        if part.labels == "whole":
            chosen = EncodedCompletion((*pair.prompt[1:], *chosen.ids))
            pair = replace(pair, prompt=pair.prompt[:1])
        return _rated(pair, (chosen,), (1.0,), float(len(chosen.ids)) if part.by == "token" else 1.0)

    def _foreign(self, rows: Sequence[int], place: int) -> EncodedCompletion:
        """The answer behind which KTO's z0 is estimated: TRL's, or that of the next row of the step."""
        if self.mismatched is not None:
            return EncodedCompletion(tuple(self.mismatched[rows[place]]))
        after = rows[(place + 1) % len(rows)]
        return self.pairs[after].completions[after % 2]

    def _confidence(self, row: int) -> float:
        """The product of WPO's weights of both sides, without a clamp."""
        scored = self._score(Part("wpo"), [row])
        assert scored.scores.confidence is not None
        return float(scored.scores.confidence.sum().exp())


def gradient_of(policy: Scorer) -> Tensor:
    """The gradient on all weights, end to end."""
    weights = list(policy.model.parameters())
    return torch.cat(
        [(torch.zeros_like(each) if each.grad is None else each.grad).flatten() for each in weights]
    ).double()


def _rated(
    pair: EncodedGroup, answers: tuple[EncodedCompletion, ...], values: tuple[float, ...], weight: float = 1.0
) -> EncodedGroup:
    ratings = tuple(Rating(place, value, weight) for place, value in enumerate(values))
    return replace(pair, completions=answers, views=(View(ratings=ratings),), compared=())
