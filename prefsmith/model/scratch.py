"""A small model with random weights and a tokenizer of whole words, in Hugging Face's format."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from prefsmith.model.load import quiet


def new_model(
    folder: Path, words: Sequence[str], *, longest: int, seed: int, width: int = 64, layers: int = 2, heads: int = 4
) -> Path:
    """Write a Llama that has learnt nothing yet.

    Args:
        folder: to write to.
        words: the vocabulary; texts are these words with spaces between them.
        width: of the hidden states.
        layers: of the model.
        heads: of its attention.
        longest: most tokens of a text.
        seed: of the weights.
    """
    quiet()
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<end>", *words])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # A word that is not known is read as <unk>, which is a word like the others, so that texts come back as they went.
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", pad_token="<end>", model_max_length=longest
    )
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=longest,
        bos_token_id=None,
        eos_token_id=vocabulary["<end>"],
        pad_token_id=vocabulary["<end>"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
