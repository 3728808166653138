"""Stories as they are told and as they are trained on: the same tokens, the same end."""

from datetime import date

import pytest
import torch
from story.teller import open_teller, with_own_end
from tiny import CHATML, byte_tokenizer, tiny_llama, word_tokenizer
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from prefsmith.assembly import make_encoder
from prefsmith.config import DataConfig, ModelConfig
from prefsmith.data.views import View
from prefsmith.errors import DataError
from prefsmith.evaluate.reader import open_reader
from prefsmith.evaluate.samples import Answer
from prefsmith.model.load import load
from prefsmith.records import Completion, Group, Rating

BEGIN, END = 1, 2
WORDS = ("lily", "tim", "ran", "home", "and", "the", "dog", ".")


def opening(text, line=1):
    return Group(text, f"openings:{line}", text, ())


OPENINGS = [opening("tim ran"), opening("lily and the dog ran home", 2)]


def trained_on(path, longest, story):
    """The ids that a run with the recipe's settings makes of a story, opening included."""
    data = DataConfig(template="plain", truncation="keep_start", max_length=longest)
    encoder = make_encoder(data, load(ModelConfig(path=str(path))), date(2025, 1, 1), lambda line: None)
    group = Group("g", "rows:1", story.group.prompt, (Completion(story.text),))
    encoded = encoder.encode(group, [View(ratings=(Rating(0, 1.0),))])
    return encoded.prompt + encoded.completions[0].ids


@pytest.fixture(scope="module")
def teller(tiny_model):
    return open_teller(tiny_model, OPENINGS)


def test_opening_and_story_have_one_length_and_never_more_than_the_model_takes(teller):
    stories = teller.tell(OPENINGS, seed=0, each=40)
    assert teller.longest == 20 - (len(stories[-1].prompt) - len(stories[0].prompt))  # room for all, whoever is longer
    lengths = {len(each.prompt) + len(each.ids) for each in stories if not each.ended}
    assert lengths == {teller.longest}
    assert max(len(each.prompt) + len(each.ids) for each in stories) == teller.longest
    assert {each.ids[-1] for each in stories if each.ended} == {BEGIN, END}
    assert not [each for each in stories if {BEGIN, END} & set(each.ids[:-1])]


def test_a_story_is_trained_on_as_it_was_told(teller, tiny_model):
    """One that was cut gets no end, one that ended gets the end that it had."""
    stories = teller.tell(OPENINGS, seed=0, each=40)
    same = [each for each in stories if teller.reads_back(each)]
    assert {each.ended for each in same} == {True, False}
    for story in same:
        assert trained_on(tiny_model, teller.longest, story) == story.prompt + story.ids


def test_what_would_be_trained_on_as_something_else_is_told_apart(teller):
    stories = teller.tell(OPENINGS, seed=0, each=40)
    unknown = [each for each in stories if 0 in each.ids]  # a word of its own, which text cannot say
    other_end = [each for each in stories if each.ids[-1] == BEGIN]  # rows end with the end token
    empty = [each for each in stories if len(each.ids) == 1]
    for kind in (unknown, other_end, empty):
        assert kind and not any(map(teller.reads_back, kind))


def save_ending_by(folder, often, seldom):
    """A model that writes one token often and another seldom behind a full stop, and the reverse elsewhere."""
    tokenizer = word_tokenizer(WORDS)
    model = tiny_llama(len(tokenizer), max_position_embeddings=20, num_hidden_layers=1)
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()  # what comes next depends on the last word alone
        embedded = model.model.embed_tokens.weight
        embedded[:, 0] = -1.0
        embedded[tokenizer.convert_tokens_to_ids("."), 0] = 1.0
        model.lm_head.weight[often, 0], model.lm_head.weight[seldom, 0] = 2.0, -2.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def cut_behind_a_sentence(path):
    """A story by hand that goes on behind its last whole sentence; it was not seen to end."""
    encoder = open_reader(path).encoder
    ids = encoder.tokenizer("home . tim ran home", add_special_tokens=False)["input_ids"]
    return [Answer(OPENINGS[0], encoder.prompt_ids(OPENINGS[0]), tuple(ids), " home . tim ran home", False)]


def test_a_model_that_ends_stories_by_beginning_others_is_trained_to_do_so(tmp_path):
    path, out = save_ending_by(tmp_path / "model", BEGIN, END), tmp_path / "out"
    out.mkdir()
    teller = open_teller(path, OPENINGS)
    (story,) = cut_behind_a_sentence(path)
    assert trained_on(path, teller.longest, story)[-1] == END
    copy = with_own_end(teller, [story], out)
    reader = open_reader(copy)
    assert (reader.encoder.end, reader.encoder.ends) == (BEGIN, {BEGIN, END})
    assert trained_on(copy, teller.longest, story)[-1] == BEGIN
    assert open_teller(copy, OPENINGS).encoder.begin == BEGIN
    weights = [load(ModelConfig(path=str(each))).model.state_dict() for each in (path, copy)]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_a_model_with_an_end_of_its_own_stays_as_it_is(tmp_path):
    path, out = save_ending_by(tmp_path / "model", END, BEGIN), tmp_path / "out"
    out.mkdir()
    assert with_own_end(open_teller(path, OPENINGS), cut_behind_a_sentence(path), out) == str(path)
    assert not list(out.iterdir())


def test_an_opening_that_leaves_no_room_is_named(tiny_model):
    with pytest.raises(DataError) as caught:
        open_teller(tiny_model, [*OPENINGS, opening("tim and lily and the dog ran home and " * 2, 7)])
    assert (caught.value.code, caught.value.where) == ("data.too_long", "openings:7")


def save_letters(folder):
    """A model of single characters that has no line end."""
    vocabulary = {letter: place for place, letter in enumerate(["<unk>", "<s>", "</s>", *"abc "])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    ).save_pretrained(folder)
    tiny_llama(len(vocabulary), max_position_embeddings=24).save_pretrained(folder)
    return folder


def test_a_line_end_that_the_tokenizer_lacks_is_told_and_trained_on(tmp_path):
    teller = open_teller(save_letters(tmp_path), [opening("abc"), opening("cab", 2)])
    told = teller.tell([opening("abc")], seed=0, each=60)
    stories = [each for each in told if 0 in each.ids and BEGIN not in each.ids and each.text.strip()]
    assert len(stories) > 5
    for story in stories:
        assert story.text.count("\n") == story.ids.count(0) and "unk" not in story.text
        assert teller.reads_back(story)


def test_a_real_model_of_letters_has_no_line_end_and_ends_stories_by_beginning_others(shared_data, tmp_path):
    openings = [opening("One day, Tim went to the park. He")]
    teller = open_teller(shared_data / "weights" / "babyllama-tok105", openings)
    assert (teller.unknown, teller.encoder.begin, teller.encoder.end) == ("<unk>", BEGIN, END)
    stories = teller.tell(openings, seed=0, each=8)
    assert not any(story.ended for story in stories)
    assert open_teller(with_own_end(teller, stories, tmp_path), openings).encoder.end == BEGIN


def test_a_chat_template_is_not_used(tmp_path):
    tokenizer = byte_tokenizer(chat_template=CHATML)
    tokenizer.save_pretrained(tmp_path)
    tiny_llama(len(tokenizer)).save_pretrained(tmp_path)
    teller = open_teller(tmp_path, [opening("the cat sat")])
    told = teller.tell([opening("the cat sat")], seed=0, each=2)
    assert tokenizer.decode(told[0].prompt) == "the cat sat"
