"""The models, the tokenizer and the rows that both sides are given. Both environments import this file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

WORDS = [f"w{number}" for number in range(40)]
VOCABULARY = len(WORDS) + 4
BATCH = 8
BATCHES = 3


@dataclass(frozen=True)
class Row:
    """A pair as text; the answers bring their leading space."""

    prompt: str
    chosen: str
    rejected: str

    def as_dict(self) -> dict[str, str]:
        """For a data set or a file of JSON lines."""
        return asdict(self)


def tokenizer(*, writes_begin: bool = True) -> PreTrainedTokenizerFast:
    """One id per word; knows `<s>`, and writes it in front where `writes_begin`."""
    vocabulary = {word: index for index, word in enumerate(["<unk>", "<s>", "</s>", "<pad>", *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if writes_begin:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def model(seed: int, dtype: torch.dtype, *, std: float = 0.2) -> PreTrainedModel:
    """Two layers of width 32 whose weights are all drawn anew, without dropout.

    A Llama in float32. In float64 a GPT-2, since transformers' Llama computes its norms in float32 whatever the type.
    """
    made = _gpt2() if dtype == torch.float64 else _llama()
    for weight in made.parameters():
        weight.data = weight.data.to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in made.parameters():
            spread = std if weight.dim() > 1 else 0.1
            draws = torch.randn(weight.shape, dtype=torch.float64, generator=generator)
            weight.copy_(draws * spread + (weight.dim() == 1))
    return made


def _llama() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        bos_token_id=1,
        eos_token_id=2,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
    )
    return LlamaForCausalLM(config)


def _gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        bos_token_id=1,
        eos_token_id=2,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=128,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return GPT2LMHeadModel(config)


def policy(dtype: torch.dtype) -> PreTrainedModel:
    """The model that is trained."""
    return model(1, dtype)


def reference(dtype: torch.dtype) -> PreTrainedModel:
    """Another model, so that log-ratios are several nats."""
    return model(2, dtype)


def far_policy(dtype: torch.dtype) -> PreTrainedModel:
    """A policy that is hundreds of nats from the reference."""
    return model(3, dtype, std=4.0)


def random_rows() -> list[Row]:
    """Random words: prompts of 2 to 9, answers of 1 to 14."""
    random = Random(0)

    def words(least: int, most: int) -> str:
        return " ".join(random.choice(WORDS) for _ in range(random.randint(least, most)))

    return [Row(words(2, 9), f" {words(1, 14)}", f" {words(1, 14)}") for _ in range(BATCH * BATCHES)]


def likely_rows() -> list[Row]:
    """The prompts of `random_rows` with what the policy would say: its first choice word by word, or almost."""
    speaker, read = policy(torch.float64), tokenizer()
    rows = []
    for row in random_rows():
        ids = read(row.prompt)["input_ids"]
        rows.append(Row(row.prompt, _spoken(speaker, ids, 12, first=0), _spoken(speaker, ids, 9, first=1)))
    return rows


@torch.no_grad()
def _spoken(speaker: PreTrainedModel, prompt: Sequence[int], length: int, *, first: int) -> str:
    ids = list(prompt)
    for place in range(length):
        logits = speaker(torch.tensor([ids])).logits[0, -1, 4:]
        ids.append(4 + int(logits.argsort(descending=True)[first if place == 0 else 0]))
    return "".join(f" {WORDS[each - 4]}" for each in ids[len(prompt) :])


ROWS = {"random": random_rows, "likely": likely_rows}
