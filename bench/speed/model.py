"""The model that both sides train, and the tokens that they train it on. Both environments import this file."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from .lengths import Lengths

LEARNING_RATE = 1e-6  # weights move and stay where they were
RESERVED = 8  # ids below are padding, end and the like

Ids = dict[str, list[int]]
"""A pair as TRL names it: `prompt_ids`, `chosen_ids`, `rejected_ids`."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the model is beside its vocabulary; `wide` is the feed-forward's width."""

    hidden: int
    wide: int
    layers: int
    heads: int
    key_heads: int
    tied: bool = True


SMALL = Shape(hidden=256, wide=704, layers=6, heads=8, key_heads=4)


@dataclass(frozen=True, slots=True)
class Place:
    """What is trained where.

    Args:
        shape: of the model.
        device: `cpu` or `cuda`.
        precision: of matrix products; weights are float32.
        one_model: whether the padded loop trains the very weights that prefsmith trains, where two do not fit.
    """

    shape: Shape = SMALL
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    one_model: bool = False


HERE = Place()


def config(vocabulary: int, shape: Shape = SMALL) -> Qwen2Config:
    """Its shape, like Qwen2's."""
    return Qwen2Config(
        vocab_size=vocabulary, hidden_size=shape.hidden, intermediate_size=shape.wide, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.key_heads, max_position_embeddings=4096,
        tie_word_embeddings=shape.tied, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip


def policy(vocabulary: int, place: Place = HERE) -> Qwen2ForCausalLM:
    """Random weights in float32, made on their device, the same in every process."""
    with torch.device(place.device):
        model = Qwen2ForCausalLM(config(vocabulary, place.shape))
    draw(model, seed=0, around=0.0)
    return model


def reference(vocabulary: int, place: Place = HERE) -> Qwen2ForCausalLM:
    """The policy's weights and a little beside them, so that losses are not all log 2."""
    model = policy(vocabulary, place)
    draw(model, seed=1, around=1.0, spread=0.002)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def draw(model: torch.nn.Module, *, seed: int, around: float, spread: float = 0.02, only: str = "") -> None:
    """Matrices become `around` x themselves + noise; `only` names a part of the names that are drawn."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    for name, weight in sorted(model.named_parameters(), key=lambda each: each[0].removeprefix("base_model.model.")):
        if weight.dim() > 1 and only in name:
            weight.mul_(around).add_(torch.randn(weight.shape, generator=generator, device=device), alpha=spread)


def ids_of(pairs: Sequence[Lengths], vocabulary: int, seed: int = 0) -> list[Ids]:
    """Random tokens of these lengths."""
    rng = random.Random(seed)

    def tokens(count: int) -> list[int]:
        return [rng.randrange(RESERVED, vocabulary) for _ in range(count)]

    return [
        {"prompt_ids": tokens(each.prompt), "chosen_ids": tokens(each.chosen), "rejected_ids": tokens(each.rejected)}
        for each in pairs
    ]
