"""Rewards as objects: the text's own number, and a reward model's, of completions as they stand in groups."""

import math

import pytest
import torch
from planted import WORDS
from tiny import save_model, word_tokenizer

from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.pack import pack
from prefsmith.data.render import Renderer
from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback.opening import open_judge
from prefsmith.feedback.reward import LearnedReward, Reward, TextReward, open_reward
from prefsmith.feedback.settings import judge_config
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


@pytest.fixture(scope="module")
def saved(learned, tmp_path_factory):
    """The reward model's folder, as transformers saves one."""
    folder = tmp_path_factory.mktemp("models") / "kindness"
    learned.model.inner.save_pretrained(folder)
    word_tokenizer(WORDS).save_pretrained(folder)
    return folder


def judge_of(folder, **settings):
    return open_judge(judge_config({"kind": "reward", "reward": str(folder), "device": "cpu", **settings}, "test"))


def test_a_folder_judges_by_its_numbers(learned, saved):
    ((one, other),) = learned.rewards([GROUPS[0]])
    with judge_of(saved) as judge:
        ((vote,),) = judge.votes([GROUPS[0]])
        facts = judge.describe()
    assert (vote.verdict, vote.annotator) == ("left" if one > other else "right", "kindness")
    assert facts["kind"] == "reward" and len(str(facts["weights"])) == 64
    with judge_of(saved, tie_margin=abs(one - other) + 0.01, name="kind") as judge:
        ((vote,),) = judge.votes([GROUPS[0]])
    assert (vote.verdict, vote.annotator) == ("tie", "kind")


def test_other_weights_are_another_judge(learned, saved, tmp_path):
    other = tmp_path / "kindness"
    new_reward_model(str(save_model(tmp_path / "base", WORDS, std=0.3)), device="cpu").inner.save_pretrained(other)
    word_tokenizer(WORDS).save_pretrained(other)
    with judge_of(saved) as one, judge_of(other) as two:
        assert one.describe()["weights"] != two.describe()["weights"] and one.name == two.name


def test_what_it_cannot_read_whole_has_no_verdict_and_the_pairs_beside_it_do(saved):
    longest = open_reward(saved, device="cpu").encoder.max_length
    long = group(4, "red", " apple" * (longest + 1), " berry")
    with judge_of(saved) as judge:
        said = [vote.verdict for (vote,) in judge.votes([GROUPS[0], long, GROUPS[0]])]
        assert said[1] == "invalid" and said[0] == said[2] != "invalid"
        assert judge.describe()["without_verdict"] == {"unreadable": 1}
    cut, whole = open_reward(saved, device="cpu").rewards([long, GROUPS[0]])  # a trainer's reward cuts, as data do
    assert all(map(math.isfinite, (*cut, *whole)))


def test_what_cannot_be_written_for_it_has_no_verdict_and_is_said_once(saved):
    bad, said = [group(number, "red", " <s> apple", " berry") for number in (6, 7)], []
    config = judge_config({"kind": "reward", "reward": str(saved), "device": "cpu"}, "test")
    with open_judge(config, say=said.append) as judge:
        verdicts = [vote.verdict for (vote,) in judge.votes([*bad, GROUPS[0]])]
    assert verdicts[:2] == ["invalid"] * 2 and verdicts[2] != "invalid"
    assert len(said) == 1 and "rows:6" in said[0] and "control token" in said[0]
    with pytest.raises(DataError, match="control token"):
        open_reward(saved, device="cpu").rewards(bad)


@pytest.mark.parametrize("prompt", ["red", "red " * 200])
def test_empty_answers_to_any_prompt_have_numbers(saved, prompt):
    ((one, other),) = open_reward(saved, device="cpu").rewards([group(5, prompt.strip(), "", " ")])
    assert math.isfinite(one) and one == other


def test_folders_without_a_reward_model_are_refused_with_what_they_are(saved, tmp_path):
    policy = save_model(tmp_path / "policy", WORDS)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.yaml").write_text("")
    (tmp_path / "empty").mkdir()
    for folder, said in (
        (policy, "score.weight"), (tmp_path / "run", "trained a policy"), (tmp_path / "empty", "no config.json"),
        (tmp_path / "none", "no such folder"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said) as caught, judge_of(folder):
            pass
        assert caught.value.fix and str(folder) in str(caught.value.where), folder
