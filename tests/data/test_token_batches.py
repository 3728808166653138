"""Batches, seams and worker processes: the ids are those of a tokenizer that is called text by text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import CHATML, byte_tokenizer, word_tokenizer
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from prefsmith.data import tokens
from prefsmith.data.encode import Encoder
from prefsmith.data.render import Renderer
from prefsmith.data.tokens import WORD_PATTERNS, TextEncoder, is_direct
from prefsmith.data.views import Labelled, View
from prefsmith.records import Comparison, Completion, Group


def split_by(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(__import__("tokenizers").Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip


def trained(pre_tokenizer, *, normalizer=None, added=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    text = ["the cat sat on the mat", "don't we'll They'RE ok", "a1 b22 c333", "x  y   z", "the  the\n\nthe"] * 9
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(text, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    made.add_tokens([AddedToken("<|im_start|>", special=True), *added])
    return made


KINDS = {
    "GPT-2": trained(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "GPT-2 with a space in front": trained(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    **{f"pattern {n}": trained(split_by(pattern)) for n, pattern in enumerate(WORD_PATTERNS)},
    "NFC": trained(split_by(WORD_PATTERNS[2]), normalizer=normalizers.NFC()),
    "added words": trained(
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        added=[AddedToken("mat"), AddedToken("cat", single_word=True), AddedToken("|x|", rstrip=True)],
    ),
}
WORDS = ["the", " cat", " mat", " ", "  ", "\n", "\t", "don't", "'RE", "1", "22", "X", " a", "mat", ".", "-"]
PIECES = [*WORDS, "\u00e9", "e\u0301", "\u3000", "|x|", "<|im_end|>", "<|im_start|>", "\U0001f600", "\u0e01", "\u0300"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def one_by_one(tokenizer, text, *, control):
    keywords = {} if control else {"split_special_tokens": True}
    return tuple(tokenizer(text, add_special_tokens=False, **keywords)["input_ids"])


@pytest.mark.parametrize("name", KINDS)
@given(rows=st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3)), max_size=4), control=st.booleans())
def test_ids_are_those_of_single_calls(name, rows, control):
    tokenizer = KINDS[name]
    encoder = TextEncoder(tokenizer)
    assert encoder.seams and encoder.parallel
    rows = [(prompt, [prompt + answer for answer in answers]) for prompt, answers in rows]
    expected = [
        (
            one_by_one(tokenizer, prompt, control=control),
            [one_by_one(tokenizer, whole, control=control) for whole in wholes],
        )
        for prompt, wholes in rows
    ]
    assert encoder.of_prompts(rows, control=control) == expected


def test_a_prompt_is_encoded_once_up_to_its_seam(monkeypatch):
    encoder, seen = TextEncoder(KINDS["GPT-2"]), []
    ids = encoder.ids
    monkeypatch.setattr(encoder, "ids", lambda texts, **kinds: seen.extend(texts) or ids(texts, **kinds))
    encoder.of_prompts([("the cat sat ", ["the cat sat on", "the cat sat up"])], control=True)
    assert seen == ["the cat", " sat ", " sat on", " sat up"]


@pytest.mark.parametrize(
    "tokenizer",
    [
        word_tokenizer(["a"]),
        trained(pre_tokenizers.Metaspace()),
        trained(split_by(r"\w+|\s+")),
        trained(pre_tokenizers.ByteLevel(use_regex=False)),
        trained(pre_tokenizers.ByteLevel(), added=[AddedToken("New York")]),
        trained(pre_tokenizers.ByteLevel(), added=[AddedToken("york ")]),
        trained(pre_tokenizers.ByteLevel(), added=[AddedToken("york", lstrip=True)]),
        trained(pre_tokenizers.ByteLevel(), normalizer=normalizers.Strip()),
    ],
    ids=["words", "metaspace", "other pattern", "no words", "token across", "token before", "token behind", "strip"],
)
def test_where_it_is_not_known_to_be_exact_nothing_is_shared(tokenizer):
    encoder = TextEncoder(tokenizer)
    assert not encoder.seams
    rows = [("New York is a york ", ["New York is a york a", "New York is a york y"])]
    prompt, wholes = encoder.of_prompts(rows, control=True)[0]
    assert prompt == one_by_one(tokenizer, rows[0][0], control=True)
    assert wholes == [one_by_one(tokenizer, whole, control=True) for whole in rows[0][1]]


def test_dropout_of_merges_is_not_known_to_be_exact():
    tokenizer = trained(pre_tokenizers.ByteLevel())
    tokenizer.backend_tokenizer.model.dropout = 0.5
    assert not TextEncoder(tokenizer).seams


class Shouting(PreTrainedTokenizerFast):
    """A tokenizer with code of its own."""

    def __call__(self, text, **keywords):
        return super().__call__(text.upper(), **keywords)


def test_a_tokenizer_with_code_of_its_own_is_called():
    plain = KINDS["GPT-2"]
    shouting = Shouting(tokenizer_object=Tokenizer.from_str(plain.backend_tokenizer.to_str()), eos_token="<|im_end|>")
    assert is_direct(plain) and not is_direct(shouting)
    assert TextEncoder(shouting).ids(["the x"], control=True) == [one_by_one(plain, "THE X", control=True)]


def test_a_tokenizer_that_was_told_to_cut_and_pad_does_neither():
    tokenizer = trained(pre_tokenizers.ByteLevel())
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    text = "the cat sat on the mat"
    assert TextEncoder(tokenizer).ids([text], control=True) == [one_by_one(tokenizer, text, control=True)]


def rows(count):
    texts = [("the cat", " sat", " on the mat"), ("a <|im_end|> b", " c", " d"), ("the news", "paper", " x" * 60)]
    view = View(comparisons=(Comparison(0, 1),))
    made = []
    for number in range(count):
        prompt, *answers = texts[number % 3]
        group = Group(
            f"g{number}", f"rows:{number}", f"{prompt} {number}", tuple(map(Completion, answers)), view.comparisons
        )
        made.append(Labelled(group, (view,), group.comparisons))
    return made


@pytest.mark.parametrize("chat", [False, True])
def test_many_rows_are_encoded_as_one_by_one(chat):
    tokenizer = byte_tokenizer(chat_template=CHATML if chat else None)
    many = Encoder(tokenizer, Renderer(tokenizer), max_length=60, truncation="drop")
    one = Encoder(tokenizer, Renderer(tokenizer), max_length=60, truncation="drop")
    outcomes = many.encode_all(rows(9))
    for row, outcome in zip(rows(9), outcomes, strict=True):
        assert outcome.encoded == one.encode(row.group, row.views, row.compared)
        many.counts.count(outcome.encoded, outcome.kinds, row.group.source)
    assert many.counts == one.counts and one.counts.kinds["dropped for their length"] == 3


def test_the_patterns_are_those_of_the_models():
    """As their files have them, letter by letter: another pattern is not known to be cut safely."""
    assert len(set(WORD_PATTERNS)) == 3
    made = json.loads(KINDS["pattern 1"].backend_tokenizer.to_str())["pre_tokenizer"]["pretokenizers"][0]
    assert made["pattern"] == {"Regex": WORD_PATTERNS[1]} and made["behavior"] == "Isolated"
    assert tokens._cuts_words({"type": "Sequence", "pretokenizers": [made]}) is False
