"""Tiny models of many architectures, by name; each call makes the same weights anew."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import transformers
from tiny import encoded_groups, stirred, tiny_llama
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from prefsmith.config import AdapterConfig
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack
from prefsmith.model import adapters

transformers_logging.set_verbosity_error()

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT2_SIZES = {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
QWEN3_NEXT = {
    "head_dim": 8,
    "linear_num_value_heads": 2,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "layer_types": ["linear_attention", "full_attention"],
}


def made(family: str, config: str, **settings: object) -> PreTrainedModel:
    return stirred(getattr(transformers, family)(getattr(transformers, config)(**settings)))


def llama_with_lora() -> nn.Module:
    """An adapter that has been trained: its second matrix is not zero."""
    adapted = adapters.attach(tiny_llama(), AdapterConfig(kind="lora", rank=2), seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.05)
    return adapted.eval()


def dynamic_rope() -> PreTrainedModel:
    """Trained on 12 tokens; beyond them every frequency depends on the length."""
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    return tiny_llama(rope_parameters=rope, max_position_embeddings=12)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "llama": tiny_llama,
    "qwen2": lambda: made("Qwen2ForCausalLM", "Qwen2Config", **SIZES, tie_word_embeddings=True),
    "gemma3": lambda: made(
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        **SIZES,
        head_dim=8,
        sliding_window=6,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "gpt2": lambda: made("GPT2LMHeadModel", "GPT2Config", **GPT2_SIZES),
    "cohere": lambda: made("CohereForCausalLM", "CohereConfig", **SIZES, logit_scale=0.3),
    "granite": lambda: made(
        "GraniteForCausalLM", "GraniteConfig", **SIZES, logits_scaling=4.0, attention_multiplier=0.3
    ),
    "opt": lambda: made("OPTForCausalLM", "OPTConfig", **SIZES, ffn_dim=48, word_embed_proj_dim=32),
    "phi": lambda: made("PhiForCausalLM", "PhiConfig", **SIZES),
    "llama_lora": llama_with_lora,
    "gemma2": lambda: made("Gemma2ForCausalLM", "Gemma2Config", **SIZES, head_dim=8, sliding_window=64),
    "bloom": lambda: made("BloomForCausalLM", "BloomConfig", vocab_size=40, hidden_size=32, n_layer=2, n_head=4),
    "mamba": lambda: made(
        "MambaForCausalLM", "MambaConfig", vocab_size=40, hidden_size=32, num_hidden_layers=2, state_size=4
    ),
    "qwen3_next": lambda: made("Qwen3NextForCausalLM", "Qwen3NextConfig", **(SIZES | QWEN3_NEXT)),
    "dynamic_rope": dynamic_rope,
}


@pytest.fixture(scope="session")
def build():
    """Name -> a fresh model with always the same weights."""
    return lambda name: MODELS[name]()


def with_unscored(group: EncodedGroup) -> EncodedGroup:
    """Every other completion starts with a token that belongs to the prompt."""
    marked = (replace(each, unscored=place % 2) for place, each in enumerate(group.completions))
    return replace(group, completions=tuple(marked))


@pytest.fixture(scope="session")
def probe():
    """Groups of 1, 2 and 4 completions; some start with an unscored token; the longest is beyond Gemma 3's window."""
    groups = [
        *encoded_groups(1, completions=1, answer=(3, 7)),
        *encoded_groups(2, seed=1, answer=(2, 7)),
        *encoded_groups(1, seed=2, completions=4, prompt=(7, 9), answer=(4, 8)),
    ]
    return pack([with_unscored(group) for group in groups])
