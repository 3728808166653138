"""A model as its configuration describes it, built at any depth without its weights."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from prefsmith.errors import ConfigError
from prefsmith.model.body import body_of
from prefsmith.model.load import quiet
from prefsmith.model.numberless import on_no_device

SHALLOW = 3
"""Layers of the shallower of the two models that a forecast looks at, at least: the first, the last, and one between.
The deeper has one more, or as many more as a pattern of unlike layers takes."""
_FEW_TOKENS = 64
_FIX = "a model's folder has a config.json of an architecture that transformers knows"


@dataclass(frozen=True)
class Shape:
    """A model's configuration.

    Args:
        config: as transformers reads it.
        origin: folder or hub id.
        trust_remote_code: whether its code may come with it.
    """

    config: PreTrainedConfig
    origin: str
    trust_remote_code: bool = False

    @property
    def depth(self) -> int:
        """Layers."""
        return int(self.config.get_text_config().num_hidden_layers)

    @property
    def vocabulary(self) -> int:
        """Tokens that the model knows."""
        return int(self.config.get_text_config().vocab_size)

    @property
    def longest(self) -> int | None:
        """Most tokens of a sequence; None where the model sets no limit."""
        return getattr(self.config.get_text_config(), "max_position_embeddings", None)

    def at(self, depth: int) -> PreTrainedModel:
        """The model with the first so many of its layers, in float32 and evaluation mode.

        Raises:
            ConfigError: transformers cannot build it.
        """
        try:
            model = AutoModelForCausalLM.from_config(
                shallower(self.config, depth), dtype=torch.float32, trust_remote_code=self.trust_remote_code
            )
        except Exception as error:  # a constructor may stumble over a value in any way
            what = f"transformers cannot build this model: {_first_line(error)}"
            raise ConfigError("plan.model", what, where=self.origin, fix=_FIX) from error
        return model.eval()

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Two depths from which the model's own follows by a straight line; its own alone if that is as small."""
        start, period = _pattern(self._kinds())
        least = max(SHALLOW, start + 1)
        shallow = least + (self.depth - least) % period
        deep = shallow + period
        return (self.depth,) if deep >= self.depth else (shallow, deep)

    def _kinds(self) -> list[object]:
        """What each layer is, as far as the configuration and the shapes of its weights tell."""
        model = on_no_device(lambda: self.at(self.depth))
        named = next(
            (each for each in body_of(model).modules() if isinstance(each, nn.ModuleList) and len(each) == self.depth),
            None,
        )
        if named is None:
            what = f"{type(model).__name__} does not say which of its parts are its {self.depth} layers"
            raise ConfigError("plan.model", what, where=self.origin, fix="prefsmith check measures it with its weights")
        lists = list(_lists(self.config).values())
        return [
            (
                *(repr(each[place]) for each in lists),
                *((name, weight.shape) for name, weight in layer.named_parameters()),
            )
            for place, layer in enumerate(named)
        ]


def read_shape(path: str, *, trust_remote_code: bool) -> Shape:
    """The configuration in a folder, or of a model on the hub.

    Raises:
        ConfigError: it cannot be read, is of an unknown architecture, or of no causal language model.
    """
    quiet()
    file = Path(path) / "config.json"
    try:
        if file.is_file():
            json.loads(file.read_text(encoding="utf-8"))
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    except Exception as error:  # transformers, its validation and the hub have errors of many kinds
        what = f"the model's configuration cannot be read: {_first_line(error)}"
        raise ConfigError("plan.model", what, where=str(file if file.is_file() else path), fix=_FIX) from error
    if getattr(config, "is_encoder_decoder", False):
        raise ConfigError("model.kind", "this is an encoder-decoder, not a causal language model", where=path)
    depth = getattr(config.get_text_config(), "num_hidden_layers", None)
    if not isinstance(depth, int) or depth < 1:
        what = f"the model's configuration does not say how many layers it has (num_hidden_layers is {depth!r})"
        raise ConfigError("plan.model", what, where=str(file), fix=_FIX)
    return Shape(config, path, trust_remote_code)


def shallower(config: PreTrainedConfig, depth: int) -> PreTrainedConfig:
    """The configuration with its first layers alone; what it says layer by layer is cut likewise."""
    changed = copy.deepcopy(config)
    text: Any = changed.get_text_config()
    for name, values in _lists(config).items():
        setattr(text, name, values[:depth])
    text.num_hidden_layers = depth
    return changed


def with_a_head_of_numbers(model: PreTrainedModel) -> PreTrainedModel:
    """A model of the same kind of which the head alone is real, for few tokens: it shows what becomes of logits."""
    changed = shallower(model.config, 1)
    text: Any = changed.get_text_config()
    text.vocab_size, text.pad_token_id = _FEW_TOKENS, None
    with unset_fake_temporarily():
        twin = on_no_device(lambda: type(model)(changed))
        head: Any = twin.get_output_embeddings()
        for name, weight in list(head.named_parameters(recurse=False)):
            setattr(head, name, nn.Parameter(torch.randn(weight.shape)))
    return twin.eval()


def _lists(config: PreTrainedConfig) -> dict[str, list[object]]:
    """What the configuration says of each layer."""
    text = config.get_text_config()
    return {
        name: value
        for name, value in vars(text).items()
        if isinstance(value, list) and len(value) == text.num_hidden_layers
    }


def _pattern(kinds: Sequence[object]) -> tuple[int, int]:
    """Where a pattern of layers begins that goes on to the end, and how many it has: the earliest, then the shortest.

    A first part that fits no pattern is at most half of the layers.
    """
    count = len(kinds)
    for start in range(count // 2 + 1):
        for period in range(1, (count - start) // 2 + 1):
            if all(kinds[place] == kinds[place + period] for place in range(start, count - period)):
                return start, period
    return 0, count


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] if lines else type(error).__name__
