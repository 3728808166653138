"""What is cut where a row is too long: one cut per group, the begin token kept, never to nothing."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tiny import byte_tokenizer, word_tokenizer

from prefsmith.data.encode import Encoder
from prefsmith.data.render import Renderer
from prefsmith.data.views import View
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Completion, Group

VIEW = View(comparisons=(Comparison(0, 1),))
TOKENIZER = word_tokenizer("abcdefgh")  # a is 3, b is 4, ... h is 10
BARE = word_tokenizer("abcdefgh", begin=False)
BYTES = byte_tokenizer()
ROW = ("a b c d", " e f g", " h")  # ids 1 3 4 5 6, then 7 8 9 2 and 10 2


def encoder(max_length, truncation="keep_end", tokenizer=TOKENIZER):
    return Encoder(tokenizer, Renderer(tokenizer), max_length=max_length, truncation=truncation)


def pair(prompt, chosen, rejected):
    return Group("g", "rows:7", prompt, (Completion(chosen), Completion(rejected)), (Comparison(0, 1),))


LOST = "with no more than one token left of the prompt"

CUTS = {
    "fits": ("keep_end", 9, (1, 3, 4, 5, 6), (7, 8, 9, 2), (10, 2), []),
    "one token": ("keep_end", 8, (1, 4, 5, 6), (7, 8, 9, 2), (10, 2), ["with a prompt cut"]),
    "prompt to begin": ("keep_end", 5, (1,), (7, 8, 9, 2), (10, 2), ["with a prompt cut", LOST]),
    "answer too": ("keep_end", 4, (1,), (7, 8, 9), (10, 2), ["with a prompt cut", LOST, "with an answer cut"]),
    "both answers": ("keep_end", 2, (1,), (7,), (10,), ["with a prompt cut", LOST, "with an answer cut"]),
    "start, longer": ("keep_start", 8, (1, 3, 4, 5, 6), (7, 8, 9), (10, 2), ["with an answer cut"]),
    "start, both": ("keep_start", 6, (1, 3, 4, 5, 6), (7,), (10,), ["with an answer cut"]),
    "drop, fits": ("drop", 9, (1, 3, 4, 5, 6), (7, 8, 9, 2), (10, 2), []),
    "refuse, fits": ("refuse", 9, (1, 3, 4, 5, 6), (7, 8, 9, 2), (10, 2), []),
}


@pytest.mark.parametrize(("truncation", "max_length", "prompt", "chosen", "rejected", "kinds"), CUTS.values(), ids=CUTS)
def test_cuts_worked_out_by_hand(truncation, max_length, prompt, chosen, rejected, kinds):
    cutting = encoder(max_length, truncation)
    encoded = cutting.encode(pair(*ROW), [VIEW])
    assert (encoded.prompt, *(each.ids for each in encoded.completions)) == (prompt, chosen, rejected)
    assert encoded.whole_prompt == 5
    assert cutting.counts.kinds == dict.fromkeys(kinds, 1)
    assert cutting.counts.prompt_tokens == len(prompt)
    assert cutting.counts.completion_tokens == len(chosen) + len(rejected)


def test_without_a_begin_token_the_prompts_last_token_stays():
    assert encoder(4, tokenizer=BARE).encode(pair(*ROW), [VIEW]).prompt == (6,)


def test_a_begin_token_that_the_template_writes_is_kept_too():
    tokenizer = word_tokenizer("abcdefgh", begin=False)
    tokenizer.chat_template = "{{ bos_token }} {% for m in messages %}{{ m.content }} {% endfor %}"
    cut = Encoder(tokenizer, Renderer(tokenizer), max_length=6).encode(pair(*ROW), [VIEW])
    assert cut.prompt == (1, 5, 6)


def test_a_dropped_row_is_counted_once_and_as_nothing_else():
    cutting = encoder(8, "drop")
    assert cutting.encode(pair(*ROW), [VIEW]) is None
    assert cutting.counts.as_dict() == {
        "groups": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "dropped for their length": 1,
    }


@pytest.mark.parametrize(
    ("truncation", "max_length", "row", "code", "says"),
    [
        ("refuse", 8, ROW, "data.too_long", "9 tokens, more than data.max_length=8"),
        ("keep_start", 5, ROW, "data.too_long", "the prompt takes all"),
        ("keep_end", 3, ("a", " b c d", " b c e"), "data.identical_tokens", "the same tokens"),
        ("keep_start", 4, ("a", " b c d", " b c e"), "data.identical_tokens", "the same tokens"),
    ],
    ids=["refuse", "nothing left", "same beginning", "same beginning behind the start"],
)
def test_what_cannot_be_cut_is_refused(truncation, max_length, row, code, says):
    cutting = encoder(max_length, truncation)
    with pytest.raises(DataError, match=says) as caught:
        cutting.encode(pair(*row), [VIEW])
    assert (caught.value.code, caught.value.where) == (code, "rows:7") and caught.value.fix
    assert cutting.counts.groups == 0 and not cutting.counts.kinds


def test_a_cut_answer_is_not_the_shorter_one_that_ends_there():
    """`b c` with its end token and `b c d` cut behind c differ: the first ends, the second goes on."""
    encoded = encoder(5, "keep_start").encode(pair("a", " b c", " b c d e f"), [VIEW])
    assert [each.ids for each in encoded.completions] == [(4, 5, 2), (4, 5, 6)]


WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=9)


@given(WORDS, WORDS, WORDS, st.integers(2, 14), st.sampled_from(["keep_end", "keep_start"]), st.booleans())
def test_every_cut_keeps_what_it_must(prompt, chosen, rejected, max_length, truncation, begin):
    assume(chosen != rejected)
    tokenizer = TOKENIZER if begin else BARE
    group = pair(" ".join(prompt), *(" " + " ".join(answer) for answer in (chosen, rejected)))
    whole = encoder(None, tokenizer=tokenizer).encode(group, [VIEW])
    cutting = encoder(max_length, truncation, tokenizer)
    longest = max(len(each.ids) for each in whole.completions)
    kept = max(1, min(len(whole.prompt), max_length - longest)) if truncation == "keep_end" else len(whole.prompt)
    answers = [each.ids[: max_length - kept] for each in whole.completions]
    try:
        encoded = cutting.encode(group, [VIEW])
    except DataError as error:
        refused = "data.too_long" if kept >= max_length else "data.identical_tokens"
        assert error.code == refused and (kept >= max_length or answers[0] == answers[1])
        return
    assert encoded.longest <= max_length and len(encoded.prompt) == kept
    assert answers[0] != answers[1] and all(answers)
    assert [each.ids for each in encoded.completions] == answers
    tail = encoded.prompt[1:] if begin else encoded.prompt
    assert tail == whole.prompt[len(whole.prompt) - len(tail) :] and (not begin or encoded.prompt[0] == 1)
    was_cut = [each != full.ids for each, full in zip(answers, whole.completions, strict=True)]
    assert [each.ids[-1] != 2 for each in encoded.completions] == was_cut
    kinds = [
        ("with a prompt cut", kept < len(whole.prompt)),
        (LOST, kept == 1 < len(whole.prompt)),
        ("with an answer cut", any(was_cut)),
    ]
    assert cutting.counts.kinds == {kind: 1 for kind, happened in kinds if happened}


TEXT = st.lists(st.sampled_from(["the", " news", "paper", "s", " cat", " ", "mat"]), min_size=1, max_size=6)


@given(prompt=TEXT, answers=st.lists(TEXT, min_size=3, max_size=3), max_length=st.integers(3, 16), start=st.booleans())
def test_answers_to_another_prompt_never_move_the_cut(prompt, answers, max_length, start):
    """They may lend tokens of the prompt to the completions, so sequences are compared as wholes."""
    prompt, (chosen, rejected, other) = "".join(prompt), map("".join, answers)
    cutting = encoder(max_length, "keep_start" if start else "keep_end", BYTES)
    try:
        own = cutting.encode(pair(prompt, chosen, rejected), [VIEW])
        mixed = cutting.add_mismatched(own, [Completion(other)])
    except DataError as error:
        assert error.code in ("data.no_prompt", "data.identical_tokens", "data.too_long")
        return
    assert sequences(mixed) == sequences(own)
    foreign = mixed.mismatched[0]
    assert 0 <= foreign.unscored < len(foreign.ids) and mixed.longest <= max_length
    text = BYTES.decode([*mixed.prompt, *foreign.ids])
    assert text.removesuffix("<|endoftext|>") in prompt + other


def sequences(group):
    return [((*group.prompt, *each.ids), each.ids[each.unscored :]) for each in group.completions]


def test_a_long_answer_to_another_prompt_is_cut_at_its_end():
    cutting = encoder(8)
    own = cutting.encode(pair(*ROW), [VIEW])
    mixed = cutting.add_mismatched(own, [Completion(" a a a a a a a"), Completion(" b")])
    assert (mixed.prompt, mixed.completions) == (own.prompt, own.completions)
    assert [each.ids for each in mixed.mismatched] == [(3, 3, 3, 3), (4, 2)]
    assert cutting.counts.groups == 1
