"""Rewards: whatever gives every answer a number. The true one of a task, a rule of the text, or a learned one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.data.views import Labelled, View
from prefsmith.feedback.label import OfText
from prefsmith.model.reward import RewardModel
from prefsmith.records import Group, Rating


@runtime_checkable
class Reward(Protocol):
    """Whatever gives answers a number."""

    @property
    def name(self) -> str:
        """What it is, for reports."""
        ...

    def rewards(self, groups: Sequence[Group]) -> list[tuple[float, ...]]:
        """For each group the reward of each of its completions, larger is better."""
        ...


@dataclass(frozen=True, slots=True)
class TextReward:
    """A function of the answer's text alone: the true reward of a task, or a rule.

    Args:
        name: what it is.
        of: the function.
    """

    name: str
    of: OfText

    def rewards(self, groups: Sequence[Group]) -> list[tuple[float, ...]]:
        """For each group the reward of each of its completions."""
        return [tuple(self.of(completion.content) for completion in group.completions) for group in groups]


class LearnedReward:
    """What a reward model says.

    Args:
        model: looked at, not trained.
        encoder: of the model that its body is from.
        name: what it is.
        token_budget: most tokens of a forward.
    """

    def __init__(self, model: RewardModel, encoder: Encoder, *, name: str, token_budget: int = 8192) -> None:
        self.model, self.encoder, self.name, self.token_budget = model, encoder, name, token_budget

    @torch.no_grad()
    def rewards(self, groups: Sequence[Group]) -> list[tuple[float, ...]]:
        """For each group the reward of each of its completions; an empty one is the end token alone.

        Raises:
            DataError: a group cannot be written for this model.
        """
        encoded = [self._encoded(group) for group in groups]
        found: dict[int, tuple[float, ...]] = {}
        for members in plan(encoded, self.token_budget):
            values = self.model(pack([encoded[index] for index in members])).tolist()
            for index in members:
                count = len(encoded[index].completions)
                found[index], values = tuple(values[:count]), values[count:]
        return [found[index] for index in range(len(groups))]

    def _encoded(self, group: Group) -> EncodedGroup:
        said = [index for index, each in enumerate(group.completions) if each.content.strip()]
        whole, ids = self.encoder.prompt_ids(group), dict[int, EncodedCompletion]()
        prompt = whole
        if said:
            view = View(ratings=tuple(Rating(index, 1.0) for index in said))
            (outcome,) = self.encoder.encode_all([Labelled(group, (view,), ())])
            if outcome.error is not None:
                raise outcome.error
            assert outcome.encoded is not None  # the encoder of a reward drops nothing
            prompt = outcome.encoded.prompt
            ids = dict(zip(said, outcome.encoded.completions, strict=True))
        rest = whole[len(prompt) :] if whole[: len(prompt)] == prompt else ()
        nothing = EncodedCompletion((*rest, min(self.encoder.ends)), unscored=len(rest))
        completions = tuple(ids.get(index, nothing) for index in range(len(group.completions)))
        return EncodedGroup(group, prompt, completions, (), (), whole_prompt=len(prompt))
