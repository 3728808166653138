"""Token ids worked out by hand: the begin token, the end token, the boundary, and what is scored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import CHATML, byte_tokenizer, word_tokenizer

from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedCompletion
from prefsmith.data.render import Renderer
from prefsmith.data.views import View, Wanted, label
from prefsmith.errors import ConfigError, DataError
from prefsmith.records import Comparison, Completion, Group, Rating

VIEW = View(comparisons=(Comparison(0, 1),))
WORDS = ["a", "b", "c", "d", "user", "assistant", "over"]  # ids 3, 4, 5, 6, 7, 8, 9
TURNS = "{% for m in messages %}{{ m.role }} {{ m.content }} </s> over {% endfor %}"
TURNS += "{% if add_generation_prompt %}assistant{% endif %}"


def pair(prompt, *answers):
    completions = tuple(Completion(answer) for answer in answers)
    return Group("g", "rows:7", prompt, completions, (Comparison(0, 1),))


def encode(tokenizer, group, views=(VIEW,), **settings):
    return Encoder(tokenizer, Renderer(tokenizer), max_length=None, **settings).encode(group, list(views))


def words(*, begin, template=None):
    tokenizer = word_tokenizer(WORDS, begin=begin)
    tokenizer.chat_template = template
    return tokenizer


def scored_text(tokenizer, completion):
    return tokenizer.decode(completion.ids[completion.unscored :])


@pytest.mark.parametrize(
    ("begin", "template", "prompt", "first"),
    [
        (True, None, (1, 3, 4), (5, 2)),
        (False, None, (3, 4), (5, 2)),
        (True, TURNS, (1, 7, 3, 4, 2, 9, 8), (5, 2)),
        (False, TURNS, (7, 3, 4, 2, 9, 8), (5, 2)),
        (True, "{{ bos_token }} " + TURNS, (1, 7, 3, 4, 2, 9, 8), (5, 2)),
        (False, "{{ bos_token }} " + TURNS, (1, 7, 3, 4, 2, 9, 8), (5, 2)),
    ],
    ids=["tokenizer", "nobody", "tokenizer, templated", "nobody, templated", "both", "template"],
)
def test_begin_stands_once_and_the_first_end_token_ends_the_answer(begin, template, prompt, first):
    """Behind `</s>` the template writes `over`, which is neither scored nor kept."""
    encoded = encode(words(begin=begin, template=template), pair("a b", " c", " d a"))
    assert encoded.prompt == prompt
    assert encoded.completions == (EncodedCompletion(first), EncodedCompletion((6, 3, 2)))


def test_end_ids_of_the_model_end_an_answer():
    """`over` is an end token by the model's generation settings, and it comes before `</s>`."""
    template = TURNS.replace("</s> over", "over </s>")
    encoded = encode(words(begin=True, template=template), pair("a", "c", "d"), end_ids=[9])
    assert [each.ids for each in encoded.completions] == [(5, 9), (6, 9)]


def test_an_answer_that_the_template_never_ends_is_counted():
    tokenizer = words(begin=True, template="{% for m in messages %}{{ m.content }} {% endfor %}")
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    assert [each.ids for each in encoder.encode(pair("a", "c", "d"), [VIEW]).completions] == [(5,), (6,)]
    assert encoder.counts.kinds == {"without an end token": 1}


def test_plain_text_needs_an_end_token():
    tokenizer = words(begin=True)
    tokenizer.eos_token = None
    with pytest.raises(ConfigError, match=r"model\.end_token"):
        Encoder(tokenizer, Renderer(tokenizer), max_length=None)


@pytest.mark.parametrize(
    ("tokenizer", "group", "code"),
    [
        (words(begin=False), pair("", "c", "d"), "data.no_prompt"),
        (byte_tokenizer(), pair("t", "he", "o"), "data.no_prompt"),
        (words(begin=True), pair("a", " c", "  "), "data.empty"),
        (words(begin=True), pair("a", " b", " \tb"), "data.identical_tokens"),
    ],
    ids=["no prompt", "prompt merged away", "no token", "same tokens"],
)
def test_a_row_that_leaves_nothing_to_learn_is_refused(tokenizer, group, code):
    with pytest.raises(DataError) as caught:
        encode(tokenizer, group)
    assert (caught.value.code, caught.value.where) == (code, "rows:7") and caught.value.fix


@pytest.mark.parametrize(("pairs", "kind", "refused"), [
    ("all", "pairwise", True), ("best_worst", "pairwise", False), ("best_worst", "listwise", True),
])  # fmt: skip
def test_ranked_answers_that_are_the_same_tokens_are_refused_where_they_are_compared(pairs, kind, refused):
    completions = tuple(Completion(text) for text in (" b", " \tb", " c"))
    group = Group("g", "rows:7", "a", completions, ranking=((0,), (1,), (2,)))
    made = label(group, [Wanted("some", kind)], pairs)
    tokenizer = words(begin=True)
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    if not refused:
        assert len(encoder.encode(group, made.views, made.compared).completions) == 2
        return
    with pytest.raises(DataError, match="two of the ranked answers are the same tokens") as caught:
        encoder.encode(group, made.views, made.compared)
    assert caught.value.code == "data.identical_tokens"


def test_an_empty_prompt_behind_a_begin_token_is_that_token():
    assert encode(words(begin=True), pair("", "c", "d")).prompt == (1,)


def test_a_merge_at_the_boundary_gives_each_answer_its_own():
    """`the news` is the, _, new, s; `the newspaper` is the, _newspaper: only `the` is shared."""
    tokenizer = byte_tokenizer()
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    encoded = encoder.encode(pair("the news", "paper", " paper"), [VIEW])
    pieces = [tokenizer.convert_ids_to_tokens(list(each.ids)) for each in encoded.completions]
    assert tokenizer.convert_ids_to_tokens(list(encoded.prompt)) == ["the"]
    assert pieces == [["Ġnewspaper", "<|endoftext|>"], ["Ġ", "new", "s", "Ġpaper", "<|endoftext|>"]]
    assert [each.unscored for each in encoded.completions] == [0, 3]
    assert scored_text(tokenizer, encoded.completions[1]) == " paper<|endoftext|>"
    assert encoder.counts.as_dict() == {
        "groups": 1,
        "prompt_tokens": 1,
        "completion_tokens": 4,
        "merged at the boundary": 1,
    }


def test_only_completions_that_a_loss_reads_are_encoded():
    group = pair("a", " b", " c", " d")
    encoded = encode(words(begin=True), group, [View(ratings=(Rating(2, 1.0),)), View(ratings=(Rating(0, 0.0),))])
    assert [each.ids for each in encoded.completions] == [(4, 2), (6, 2)]
    assert [each.text for each in encoded.group.completions] == [" b", " d"]
    assert [each.ratings for each in encoded.views] == [(Rating(1, 1.0),), (Rating(0, 0.0),)]
    assert encoded.compared == ()


def test_comparisons_are_renumbered_with_their_completions():
    group = Group("g", "rows:7", "a", pair("a", " b", " c", " d").completions, (Comparison(2, 1, 0.7, 3.0),))
    encoded = encode(words(begin=True), group, [View(comparisons=group.comparisons)])
    assert encoded.compared == encoded.views[0].comparisons == (Comparison(1, 0, 0.7, 3.0),)
    assert (encoded.tokens, encoded.longest) == (2 + 2 + 2, 4)


TEXT = st.lists(
    st.sampled_from(["the", " news", "paper", "s", " cat", " ", "\n", "<|im_end|>", "ü"]), min_size=1, max_size=5
)


@given(prompt=TEXT, chosen=TEXT, rejected=TEXT, chat=st.booleans())
def test_prompt_and_answer_decode_to_their_text(prompt, chosen, rejected, chat):
    """Whatever merges: nothing is lost, nothing is doubled, and every scored token ends behind the prompt."""
    prompt, chosen, rejected = "".join(prompt), "".join(chosen), "".join(rejected)
    tokenizer = CHAT if chat else BYTES
    try:
        encoded = encode(tokenizer, pair(prompt, chosen, rejected))
    except DataError as error:
        assert (error.code, chosen == rejected) == ("data.identical_tokens", True) or not chat
        return
    asked = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n" if chat else prompt
    for completion, answer in zip(encoded.completions, (chosen, rejected), strict=True):
        whole = tokenizer.decode([*encoded.prompt, *completion.ids])
        assert whole == f"{asked}{answer}{tokenizer.eos_token}"
        before = tokenizer.decode([*encoded.prompt, *completion.ids[: completion.unscored]])
        assert asked.startswith(before.rstrip("\ufffd"))
        assert completion.ids.count(tokenizer.eos_token_id) == 1 and completion.ids[-1] == tokenizer.eos_token_id


BYTES, CHAT = byte_tokenizer(), byte_tokenizer(chat_template=CHATML)


def test_an_answer_to_another_prompt_that_merges_is_lent_the_prompts_end():
    """`paper` merges with `news`: the shared prompt shrinks, and the own answers get its tokens back unscored."""
    encoder = Encoder(BYTES, Renderer(BYTES), max_length=None)
    own = encoder.encode(pair("the news", " paper", " cat"), [VIEW])
    mixed = encoder.add_mismatched(own, [Completion("paper")])
    assert [len(own.prompt), len(mixed.prompt)] == [4, 1]
    assert [each.unscored for each in (*mixed.completions, *mixed.mismatched)] == [3, 3, 0]
    assert sequences(mixed, mixed.completions) == sequences(own, own.completions)
    assert BYTES.decode([*mixed.prompt, *mixed.mismatched[0].ids]) == "the newspaper<|endoftext|>"


@given(prompt=TEXT, answers=st.lists(TEXT, min_size=3, max_size=3), chat=st.booleans())
def test_answers_to_another_prompt_leave_the_groups_own_sequences_alone(prompt, answers, chat):
    prompt, (chosen, rejected, other) = "".join(prompt), map("".join, answers)
    tokenizer = CHAT if chat else BYTES
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    try:
        own = encoder.encode(pair(prompt, chosen, rejected), [VIEW])
        mixed = encoder.add_mismatched(own, [Completion(other)])
        alone = encoder.encode(Group("g", "rows:7", prompt, (Completion(other),)), [View(ratings=(Rating(0, 1.0),))])
    except DataError as error:
        assert error.code in ("data.no_prompt", "data.identical_tokens", "data.too_long")
        return
    assert sequences(mixed, mixed.completions) == sequences(own, own.completions)
    assert sequences(mixed, mixed.mismatched) == sequences(alone, alone.completions)
    assert (mixed.views, mixed.compared, mixed.group) == (own.views, own.compared, own.group)


def sequences(group, completions):
    """All ids of each sequence, and those of them that are scored."""
    return [((*group.prompt, *each.ids), each.ids[each.unscored :]) for each in completions]
