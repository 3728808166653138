"""The model that both sides train, and the tokens that they train it on. Both environments import this file."""

import random
from collections.abc import Sequence

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from .lengths import Lengths

HIDDEN, WIDE, LAYERS, HEADS, KEY_HEADS = 256, 704, 6, 8, 4
LEARNING_RATE = 1e-6  # weights move and stay where they were
RESERVED = 8  # ids below are padding, end and the like

Ids = dict[str, list[int]]
"""A pair as TRL names it: `prompt_ids`, `chosen_ids`, `rejected_ids`."""


def config(vocabulary: int) -> Qwen2Config:
    """Its shape, like Qwen2's."""
    return Qwen2Config(
        vocab_size=vocabulary, hidden_size=HIDDEN, intermediate_size=WIDE, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, max_position_embeddings=4096,
        tie_word_embeddings=True, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip


def policy(vocabulary: int) -> Qwen2ForCausalLM:
    """Random weights in float32, the same in every process."""
    model = Qwen2ForCausalLM(config(vocabulary))
    draw(model, seed=0, around=0.0)
    return model


def reference(vocabulary: int) -> Qwen2ForCausalLM:
    """The policy's weights and a little beside them, so that losses are not all log 2."""
    model = policy(vocabulary)
    draw(model, seed=1, around=1.0, spread=0.002)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def draw(model: torch.nn.Module, *, seed: int, around: float, spread: float = 0.02, only: str = "") -> None:
    """Matrices become `around` x themselves + noise; `only` names a part of the names that are drawn."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(model.named_parameters(), key=lambda each: each[0].removeprefix("base_model.model.")):
        if weight.dim() > 1 and only in name:
            weight.mul_(around).add_(torch.randn(weight.shape, generator=generator), alpha=spread)


def ids_of(pairs: Sequence[Lengths], vocabulary: int, seed: int = 0) -> list[Ids]:
    """Random tokens of these lengths."""
    rng = random.Random(seed)

    def tokens(count: int) -> list[int]:
        return [rng.randrange(RESERVED, vocabulary) for _ in range(count)]

    return [
        {"prompt_ids": tokens(each.prompt), "chosen_ids": tokens(each.chosen), "rejected_ids": tokens(each.rejected)}
        for each in pairs
    ]
