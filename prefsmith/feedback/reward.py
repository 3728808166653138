"""Rewards: whatever gives every answer a number. The true one of a task, a rule of the text, or a learned one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.data.render import Renderer
from prefsmith.data.truncate import Truncation
from prefsmith.data.views import Labelled, View
from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback.label import OfText
from prefsmith.model.load import describe_loaded, load_tokenizer
from prefsmith.model.reward import RewardModel, load_reward_model
from prefsmith.records import Group, Rating

RECORD = "reward.json"
"""How a reward model came to be; beside it lies model/."""
_DAY = date(2000, 1, 1)  # that templates write, so that the same answer has the same reward on every day


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
        refused: is told of a group that cannot be written for the model, which then has no numbers; without it such a
            group is an error.
    """

    def __init__(
        self,
        model: RewardModel,
        encoder: Encoder,
        *,
        name: str,
        token_budget: int = 8192,
        refused: Callable[[DataError], None] | None = None,
    ) -> None:
        self.model, self.encoder, self.name, self.token_budget = model, encoder, name, token_budget
        self.refused = refused

    @torch.no_grad()
    def rewards(self, groups: Sequence[Group]) -> list[tuple[float, ...]]:
        """For each group the reward of each of its completions; an empty one is the end token alone.

        A group that is refused, or that the encoder drops since the model cannot read it whole, has no numbers: each
        is NaN.

        Raises:
            DataError: a group cannot be written for this model.
        """
        every = [self._encoded_or_refused(group) for group in groups]
        found = {index: (math.nan,) * len(group.completions) for index, group in enumerate(groups)}
        encoded = {index: each for index, each in enumerate(every) if each is not None}
        places = list(encoded)
        for part in plan(list(encoded.values()), self.token_budget):
            members = [places[number] for number in part]
            values = self.model(pack([encoded[index] for index in members])).tolist()
            for index in members:
                count = len(encoded[index].completions)
                found[index], values = tuple(values[:count]), values[count:]
        return [found[index] for index in range(len(groups))]

    def _encoded_or_refused(self, group: Group) -> EncodedGroup | None:
        try:
            return self._encoded(group)
        except DataError as error:
            if self.refused is None:
                raise
            self.refused(error)
            return None

    def _encoded(self, group: Group) -> EncodedGroup | None:
        said = [index for index, each in enumerate(group.completions) if each.content.strip()]
        whole, ids = self.encoder.prompt_ids(group, room=1), dict[int, EncodedCompletion]()
        prompt = whole
        if said:
            view = View(ratings=tuple(Rating(index, 1.0) for index in said))
            (outcome,) = self.encoder.encode_all([Labelled(group, (view,), ())])
            if outcome.error is not None:
                raise outcome.error
            if outcome.encoded is None:
                return None
            prompt = outcome.encoded.prompt
            ids = dict(zip(said, outcome.encoded.completions, strict=True))
        rest = whole[len(prompt) :] if whole[: len(prompt)] == prompt else ()
        nothing = EncodedCompletion((*rest, min(self.encoder.ends)), unscored=len(rest))
        completions = tuple(ids.get(index, nothing) for index in range(len(group.completions)))
        return EncodedGroup(group, prompt, completions, (), (), whole_prompt=len(prompt))


def open_reward(
    path: str | Path, *, device: str = "auto", refused: Callable[[DataError], None] | None = None
) -> LearnedReward:
    """A reward model as it was saved: what `fit_reward` wrote, or any sequence classification model with one label.

    Args:
        path: its folder or hub id.
        device: `auto` takes a GPU where there is one.
        refused: is told of what cannot be written for the model, which then has no number, as what is longer than the
            model reads. Without it the one is an error and the other is cut, as in training.

    Raises:
        ConfigError: it cannot be loaded, or the folder holds no reward model.
    """
    folder = Path(path).expanduser()
    if (folder / "run.yaml").is_file():
        what = "this run trained a policy, not a reward model"
        fix = "name a folder that `fit_reward` wrote, or a sequence classification model with one label"
        raise ConfigError("reward.model", what, where=str(folder), fix=fix)
    origin = str(folder / "model") if (folder / RECORD).is_file() else str(path)
    model = load_reward_model(origin, device=device)
    tokenizer = load_tokenizer(origin, trust_remote_code=False)
    loaded = describe_loaded(model.inner, tokenizer, origin)
    renderer = Renderer(tokenizer, "auto", today=_DAY)
    cut: Truncation = "keep_end" if refused is None else "drop"
    encoder = Encoder(tokenizer, renderer, max_length=loaded.longest, truncation=cut, end_ids=loaded.end_ids)
    return LearnedReward(model, encoder, name=f"reward model {path}", refused=refused)
