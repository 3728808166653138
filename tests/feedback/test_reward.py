"""Rewards as objects: the text's own number, and a reward model's, of completions as they stand in groups."""

import pytest
import torch
from planted import WORDS
from tiny import save_model, word_tokenizer

from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.pack import pack
from prefsmith.data.render import Renderer
from prefsmith.feedback.reward import LearnedReward, Reward, TextReward
from prefsmith.model.reward import new_reward_model
from prefsmith.records import Completion, Group, Message


def group(number, prompt, *texts):
    return Group(f"g{number}", f"rows:{number}", prompt, tuple(map(Completion, texts)))


GROUPS = [group(1, "red w0", " apple", " berry w1 w2"), group(2, "blue", " w3"), group(3, "w0", "", " apple", " ")]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    model = new_reward_model(str(save_model(tmp_path_factory.mktemp("base"), WORDS, std=0.3)), device="cpu")
    with torch.no_grad():
        model.head.weight.copy_(torch.randn(model.head.weight.shape, generator=torch.Generator().manual_seed(1)))
    tokenizer = word_tokenizer(WORDS)
    return LearnedReward(model, Encoder(tokenizer, Renderer(tokenizer), max_length=32), name="learned", token_budget=64)


def test_both_are_rewards(learned):
    assert isinstance(learned, Reward) and isinstance(TextReward("length", len), Reward)


def test_a_function_of_the_text():
    assert TextReward("length", lambda text: float(len(text))).rewards(GROUPS) == [(6.0, 12.0), (3.0,), (0.0, 6.0, 1.0)]
    chat = Group("c", "rows:9", "red", (Completion(messages=(Message("assistant", "yes"),)),))
    assert TextReward("length", lambda text: float(len(text))).rewards([chat]) == [(3.0,)]


def test_a_learned_one_reads_prompt_answer_and_end(learned):
    """An answer of no text is the end token alone, as a policy may write it."""
    ids = word_tokenizer(WORDS).convert_tokens_to_ids
    prompts = [(1, ids("red"), ids("w0")), (1, ids("blue")), (1, ids("w0"))]
    answers = [
        [(ids("apple"), 2), (ids("berry"), ids("w1"), ids("w2"), 2)],
        [(ids("w3"), 2)],
        [(2,), (ids("apple"), 2), (2,)],
    ]
    expected = []
    for each, prompt, own in zip(GROUPS, prompts, answers, strict=True):
        encoded = EncodedGroup(each, prompt, tuple(map(EncodedCompletion, own)), (), (), whole_prompt=len(prompt))
        expected.append(pytest.approx(learned.model(pack([encoded])).tolist(), abs=1e-5))
    found = learned.rewards(GROUPS)
    assert [list(each) for each in found] == expected
    assert len({round(value, 3) for each in found for value in each}) == 5  # the two empty ones alone are alike


@pytest.mark.parametrize("budget", [1, 10_000])
def test_what_stands_beside_changes_nothing(learned, budget):
    other = LearnedReward(learned.model, learned.encoder, name="", token_budget=budget)
    flat = [value for each in other.rewards(GROUPS) for value in each]
    assert flat == pytest.approx([value for each in learned.rewards(GROUPS) for value in each], abs=1e-5)
