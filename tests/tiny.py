"""Small models, tokenizers and rows that tests share. Nothing here is random but by a seed that stands in the code."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TypeVar

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.views import View
from prefsmith.records import Comparison, Completion, Group, Ranking, Rating

M = TypeVar("M", bound=PreTrainedModel)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def word_tokenizer(words: Iterable[str], *, begin: bool = True) -> PreTrainedTokenizerFast:
    """One id per word; writes `<s>` in front where `begin`, and never the end token."""
    vocabulary = {word: index for index, word in enumerate(["<unk>", "<s>", "</s>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


def byte_tokenizer(*, chat_template: str | None = None) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on a few sentences, so that text merges across any boundary; control tokens of ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = ["the cat sat on the mat", "newspaper newspapers paper papers", "the answer is forty two", "the the the"] * 9
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>" if chat_template else "<|endoftext|>"
    )
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    made.chat_template = chat_template
    return made


def tiny_llama(vocabulary: int = 40, *, seed: int = 0, std: float = 0.15, **changes: object) -> LlamaForCausalLM:
    """Two layers whose weights all differ, so that a wrong row, column or neighbour shows."""
    settings: dict[str, object] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    model = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **{**settings, **changes}))
    return stirred(model, seed=seed, std=std)


def stirred(model: M, *, seed: int = 0, std: float = 0.15) -> M:
    """The model with every matrix drawn anew, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * std)
    return model.eval()


def save_model(folder: Path, words: Sequence[str], **changes: object) -> Path:
    """A tiny Llama with a word tokenizer, as a folder that `--model` takes."""
    tokenizer = word_tokenizer(words)
    tiny_llama(len(tokenizer), **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_rows(path: Path, rows: Iterable[object]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def encoded_groups(
    count: int,
    *,
    completions: int = 2,
    vocabulary: int = 40,
    seed: int = 0,
    prompt: tuple[int, int] = (2, 9),
    answer: tuple[int, int] = (1, 7),
    kind: str = "pairwise",
) -> list[EncodedGroup]:
    """Groups of random ids, lengths within the given bounds; the first completion of each is the better one."""
    random = Random(seed)

    def ids(bounds: tuple[int, int]) -> tuple[int, ...]:
        return tuple(random.randrange(3, vocabulary) for _ in range(random.randint(*bounds)))

    groups = []
    for number in range(count):
        texts = tuple(Completion(f"{number}-{place}") for place in range(completions))
        comparisons = tuple(Comparison(0, other) for other in range(1, completions))
        ratings = tuple(Rating(place, float(place == 0)) for place in range(completions))
        places = tuple(range(completions))
        scores = tuple(2.0 - 0.7 * place for place in places)
        comparisons = tuple(replace(each, score_gap=scores[0] - scores[each.worse]) for each in comparisons)
        view = {
            "pairwise": View(comparisons=comparisons),
            "unpaired": View(ratings=ratings),
            "listwise": View(rankings=(Ranking(places, places, scores),)),
        }[kind]
        group = Group(f"g{number}", f"rows:{number + 1}", f"prompt {number}", texts, comparisons=comparisons)
        trunk = ids(prompt)
        answers = tuple(EncodedCompletion(ids(answer)) for _ in range(completions))
        groups.append(EncodedGroup(group, trunk, answers, (view,), comparisons, whole_prompt=len(trunk)))
    return groups
