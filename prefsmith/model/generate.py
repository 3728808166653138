"""Sampling from a model: temperature, nucleus, seed, batches, key-value cache.

A sample is a function of the model, its prompt, the seed and its own number. It depends neither on the other rows of
its batch nor on how many there are: every row draws from a generator of its own. The token at each step is

    argmax over v of  log p(v) - log E_v,   E_v exponential with mean 1

which is an exact draw from p (Gumbel's maximum). Two models that sample with the same seed share their noise, so that
their difference is measured more sharply than by independent draws.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from prefsmith.errors import ConfigError
from prefsmith.model.adapters import unwrapped
from prefsmith.model.attention import FOREST

COLDEST = 1e-30
"""Temperature below which nothing changes: no two logits in float32 are so near that the less likely one is drawn.
Divided by much less, they would overflow to one infinity, and the first of them would win."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn.

    Args:
        max_new_tokens: most tokens of an answer, its end token included; at least 1.
        temperature: logits are divided by it; 1 is the model's own distribution, 0 takes the likeliest token.
        top_p: keep the likeliest tokens that together have this probability, in (0, 1]; 1 keeps all.
        seed: of the draws.
        batch_size: prompts that are run together; changes speed and memory, not the samples (beyond rounding).

    Raises:
        ConfigError: a number is outside its range.
    """

    max_new_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    batch_size: int = 64

    def __post_init__(self) -> None:
        wrong = (
            ("max_new_tokens", "at least 1", self.max_new_tokens >= 1),
            ("temperature", "0 or above", 0 <= self.temperature < float("inf")),
            ("top_p", "above 0 and at most 1", 0 < self.top_p <= 1),
            ("seed", "0 or above", self.seed >= 0),
            ("batch_size", "at least 1", self.batch_size >= 1),
        )
        for name, wanted, holds in wrong:
            if not holds:
                what = f"{name} is {getattr(self, name)}, and must be {wanted}"
                raise ConfigError("generate.value", what, where=name, fix=f"{name}: {wanted}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer.

    Args:
        ids: its tokens; the last one is the end token where `ended`.
        ended: whether the model ended it; otherwise it was cut at `max_new_tokens`.
    """

    ids: tuple[int, ...]
    ended: bool


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    ends: Collection[int],
    per_prompt: int = 1,
    first: int = 0,
) -> list[list[Sample]]:
    """Draw answers to prompts.

    Args:
        model: a causal language model, possibly with an adapter; left as it was.
        prompts: ids of each prompt, begin token included; none is empty.
        sampling: how.
        ends: ids that end an answer; may be none, then every answer has `max_new_tokens`.
        per_prompt: answers to each prompt.
        first: number of the first of these prompts: asked in parts, they have the noise that they have together.

    Returns:
        For each prompt its answers.
    """
    rows = [(prompt, number) for prompt in range(len(prompts)) for number in range(per_prompt)]
    order = sorted(range(len(rows)), key=lambda row: len(prompts[rows[row][0]]))  # equal lengths need no padding
    drawn: dict[int, Sample] = {}
    with _ready(model):
        for start in range(0, len(order), sampling.batch_size):
            members = order[start : start + sampling.batch_size]
            asked = [tuple(prompts[rows[row][0]]) for row in members]
            seeds = [_seed(sampling.seed, first + rows[row][0], rows[row][1]) for row in members]
            for row, sample in zip(members, _batch(model, asked, seeds, sampling, frozenset(ends)), strict=True):
                drawn[row] = sample
    return [[drawn[prompt * per_prompt + number] for number in range(per_prompt)] for prompt in range(len(prompts))]


def _batch(
    model: nn.Module,
    prompts: Sequence[tuple[int, ...]],
    seeds: Sequence[int],
    sampling: Sampling,
    ends: frozenset[int],
) -> list[Sample]:
    causal = unwrapped(model)
    device = next(causal.parameters()).device
    width = max(map(len, prompts))
    padding = min(ends, default=0)
    ids = torch.tensor([[padding] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    settings = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=False,  # our last processor makes the likeliest token a draw
        eos_token_id=sorted(ends) or None,
        pad_token_id=padding,
    )
    with _only(causal, settings):
        # An adapter's module passes the call on to the model that it has changed in place.
        out = cast("Any", causal).generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            logits_processor=_processors(sampling, seeds, device),
        )
    return [_cut(row, ends) for row in out[:, width:].tolist()]


def _processors(sampling: Sampling, seeds: Sequence[int], device: torch.device) -> LogitsProcessorList:
    processors = LogitsProcessorList()
    if sampling.temperature == 0:
        return processors
    if sampling.temperature != 1:
        processors.append(TemperatureLogitsWarper(max(float(sampling.temperature), COLDEST)))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    processors.append(_Draw(seeds, device))
    return processors


class _Draw(LogitsProcessor):
    """Adds to every row noise of its own under which the likeliest token is a draw."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(
        self, input_ids: Int[Tensor, "row token"], scores: Float[Tensor, "row vocabulary"]
    ) -> Float[Tensor, "row vocabulary"]:
        scores = scores.float()
        noise = torch.empty_like(scores)
        for row, generator in zip(noise, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log_()


def _seed(seed: int, prompt: int, number: int) -> int:
    """63 bits that no two rows share."""
    text = f"{seed} {prompt} {number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def _cut(ids: Sequence[int], ends: frozenset[int]) -> Sample:
    """Through the first end token; behind it stands padding."""
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    return Sample(tuple(ids), ended=False) if end is None else Sample(tuple(ids[: end + 1]), ended=True)


@contextmanager
def _ready(model: nn.Module) -> Iterator[None]:
    """Dropout off, the attention that a cache is made for, and generators of the process as they were."""
    causal = unwrapped(model)
    training = [module for module in model.modules() if module.training]
    forest = causal.config._attn_implementation == FOREST
    for module in training:
        module.training = False
    if forest:
        causal.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        if forest:
            causal.set_attn_implementation(FOREST)
        for module in training:
            module.training = True


@contextmanager
def _only(causal: PreTrainedModel, settings: GenerationConfig) -> Iterator[None]:
    """The model without generation settings of its own (penalties, top-k): those would change what is drawn from."""
    own = causal.generation_config
    causal.generation_config = settings
    try:
        yield
    finally:
        causal.generation_config = own
